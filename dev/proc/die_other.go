//go:build !linux

package proc

import "syscall"

// dieWithParent does nothing: only Linux ties a child to its parent's life.
func dieWithParent(*syscall.SysProcAttr) {}
