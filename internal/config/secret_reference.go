package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// maxFileBytes bounds the configuration file and every file that it names.
	maxFileBytes = 1 << 20

	referenceWords = "a reference, ${env:NAME} or ${file:PATH}"
	literalFault   = "a secret must not be written in this file; allowed: " + referenceWords
)

var references = regexp.MustCompile(`\$\{([^}]*)(\}?)`)

// secret expands the references in text, of which nothing is ever shown.
func (d *decoder) secret(path, text string) Secret {
	if !strings.Contains(text, "${") {
		d.fault(path, literalFault)
	}
	expanded := references.ReplaceAllStringFunc(text, func(reference string) string {
		value, err := d.referenced(path, reference)
		if err != nil {
			d.fault(path, "%w", err)
		}
		return value
	})
	d.secrets[path] = expanded
	return NewSecret(expanded)
}

// header reads the value of a header, which the validator may refuse as a literal.
func (d *decoder) header(path, text string) Header {
	if strings.Contains(text, "${") {
		return Header{Secret: d.secret(path, text)}
	}
	d.secrets[path] = text
	return Header{Secret: NewSecret(text), literal: true}
}

// referenced is the value of an environment variable or a file.
func (d *decoder) referenced(path, reference string) (string, error) {
	inner, closed := strings.CutSuffix(strings.TrimPrefix(reference, "${"), "}")
	scheme, name, _ := strings.Cut(inner, ":")
	switch {
	case closed && scheme == "env" && plainKey.MatchString(name):
		if value := os.Getenv(name); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("the environment variable %s is not set, or is empty", name)
	case closed && scheme == "file" && name != "":
		content, err := d.readFile(path, name, true)
		if err != nil {
			return "", err
		}
		if value := strings.TrimRight(string(content), "\r\n"); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("the file %s is empty", quote(name))
	}
	return "", errors.New("this reference is invalid; allowed: ${env:NAME} or ${file:PATH}")
}

// readFile reads a file that the value at path names, relative to the
// configuration's folder. A private one is for the program alone.
func (d *decoder) readFile(path, name string, private bool) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(d.file), name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", Denied(err, "0640"))
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", quote(name), maxFileBytes)
	}
	if open := openToAll(info.Mode(), private); open != "" {
		d.warn(path, "%s: %s", name, open)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", Denied(err, "0640"))
	}
	return content, nil
}
