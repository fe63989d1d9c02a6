package config

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
)

// Files are what a configuration was read from, the file itself and those that it names:
// by path a digest of the content, or why it could not be read.
type Files map[string]string

// Now are the same files as they are now.
func (f Files) Now() Files {
	now := Files{}
	for path := range f {
		_, _, _ = now.read(path) // an error is in now
	}
	return now
}

// read reads a regular file of at most maxFileBytes, and records it.
func (f Files) read(path string) ([]byte, fs.FileMode, error) {
	content, mode, err := readRegular(path)
	if err != nil {
		f[path] = err.Error()
		return nil, 0, err
	}
	digest := sha256.Sum256(content)
	f[path] = string(digest[:])
	return content, mode, nil
}

func readRegular(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, Denied(err, "0640")
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return nil, 0, fmt.Errorf("%s is not a regular file of at most %d bytes", quote(path), maxFileBytes)
	}
	content, err := os.ReadFile(path)
	return content, info.Mode(), Denied(err, "0640")
}

// readOnce reads what has no content of its own, such as a pipe.
func readOnce(path string) ([]byte, fs.FileMode, error) {
	content, err := os.ReadFile(path)
	return content, 0, Denied(err, "0640")
}
