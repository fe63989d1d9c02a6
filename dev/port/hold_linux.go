package port

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
)

// hold binds a socket that does not listen. The kernel passes its port over when
// it chooses one, and lets who names it listen beside, since both say
// SO_REUSEADDR, as Go's, gRPC's and PostgreSQL's listeners do.
func hold(_ context.Context, addr netip.AddrPort) (*Held, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("hold %s: %w", addr, os.NewSyscallError("socket", err))
	}
	// A file closes itself when nobody has it any more.
	socket := os.NewFile(uintptr(fd), "held port")
	bound, err := bind(fd, addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hold %s: %w", addr, err), socket.Close())
	}
	return &Held{bound, socket.Close}, nil
}

func bind(fd int, addr netip.AddrPort) (bound netip.AddrPort, err error) {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return bound, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		return bound, os.NewSyscallError("bind", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return bound, os.NewSyscallError("getsockname", err)
	}
	return netip.AddrPortFrom(addr.Addr(), uint16(name.(*syscall.SockaddrInet4).Port)), nil
}
