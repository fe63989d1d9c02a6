//go:build unix

package temporalserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lock holds the data directory dir until release, or until the process ends however
// it ends.
func lock(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write in the data directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil:
		return f.Close, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("data directory %s is in use by another server: stop that one, or name another directory", dir)
	default:
		err = fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	return nil, errors.Join(err, f.Close())
}
