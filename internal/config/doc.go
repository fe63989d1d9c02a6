// Package config reads Ringback's one YAML file (docs/configuration.md).
//
// All errors of a file are reported together, each with file, line and column, the
// path of the value, what is wrong and what is allowed:
//
//	ringback.yml:14:52: endpoints.SHOP.delivery.attempts: 0 is below 1; allowed: 1 to 1000
//
// Secrets are written as references, ${env:NAME}, ${file:PATH} or ${credential:NAME},
// and kept in the type [Secret], which no log, dump or encoder shows. Relative paths are
// relative to the folder of the configuration file.
package config
