// Package config reads Ringback's one YAML file (README, "Configuration").
//
// It is strict: an unknown key, a key written twice, a value outside its
// limits and a literal where a secret belongs are errors. Every error says
// file, line and column, the path of the value, what is wrong and what is
// allowed, and all errors of a file are reported together:
//
//	ringback.yml:14:52: endpoints.SHOP.delivery.attempts: 0 is below 1: allowed are 1 to 1000
//
// Secrets are written as references, ${env:NAME} or ${file:PATH}, and live in
// the type [Secret], which no log, dump or encoder shows. Relative paths are
// relative to the folder of the configuration file.
package config
