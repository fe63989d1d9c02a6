package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ringback/internal/headername"
)

const (
	// maxFileBytes bounds the configuration file and every file that it names.
	maxFileBytes = 1 << 20

	referenceForms = "${env:NAME}, ${file:PATH} or ${credential:NAME}"
	referenceWords = "a reference, " + referenceForms
	literalFault   = headername.SecretWritten + "; allowed: " + referenceWords
)

var references = regexp.MustCompile(`\$\{([^}]*)(\}?)`)

// variable is the name of an environment variable.
var variable = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// wholeReference is a reference that can be expanded, for the schema.
const wholeReference = `\$\{(env:[A-Za-z0-9_-]+|file:[^}]+|credential:` + systemdName + `)\}`

// systemdName is that of a credential of systemd. One that begins with a dot may be no
// file of its folder.
const systemdName = `[A-Za-z0-9_-][A-Za-z0-9._-]*`

var credential = regexp.MustCompile(`^` + systemdName + `$`)

// credentialsFolder is the variable that systemd sets for a unit that has credentials.
const credentialsFolder = "CREDENTIALS_DIRECTORY"

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

// referenced is the value of an environment variable, or what a file holds.
func (d *decoder) referenced(path, reference string) (string, error) {
	inner, closed := strings.CutSuffix(strings.TrimPrefix(reference, "${"), "}")
	scheme, name, _ := strings.Cut(inner, ":")
	switch {
	case closed && scheme == "env" && variable.MatchString(name):
		if value := os.Getenv(name); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("the environment variable %s is not set, or is empty", name)
	case closed && scheme == "file" && name != "":
		return d.secretFile(path, name)
	case closed && scheme == "credential" && credential.MatchString(name):
		folder := os.Getenv(credentialsFolder)
		if folder == "" {
			return "", fmt.Errorf("the environment variable %s is not set: systemd sets it for a unit with LoadCredential=%s:PATH", credentialsFolder, name)
		}
		return d.secretFile(path, filepath.Join(folder, name))
	}
	return "", errors.New("this reference is invalid; allowed: " + referenceForms)
}

// secretFile is what a file holds, without line breaks at its end.
func (d *decoder) secretFile(path, name string) (string, error) {
	content, err := d.readFile(path, name, true)
	if err != nil {
		return "", err
	}
	if value := strings.TrimRight(string(content), "\r\n"); value != "" {
		return value, nil
	}
	return "", fmt.Errorf("the file %s is empty", quote(name))
}

// readFile reads a file that the value at path names, relative to the
// configuration's folder. A private one is for the program alone.
func (d *decoder) readFile(path, name string, private bool) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(d.file), name)
	}
	content, mode, err := d.files.read(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	if open := openToAll(mode, private); open != "" {
		d.warn(path, "%s: %s", name, open)
	}
	return content, nil
}
