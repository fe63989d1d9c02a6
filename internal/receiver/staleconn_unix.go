//go:build unix

package receiver

import (
	"errors"
	"syscall"
)

// hasArrived reports whether a socket has bytes, an end or an error to be read.
func hasArrived(fd uintptr) bool {
	_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
}
