package engine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// largePages asks for large pages behind s, which is not used yet: of many small
// ones the processor remembers too few, and looks each entity's up anew. It is a
// hint, and nothing depends on it.
func largePages[T any](s []T) {
	bytes := len(s) * int(unsafe.Sizeof(*new(T)))
	if bytes < mebibyte {
		return
	}
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), bytes)
	page := uintptr(unix.Getpagesize())
	inside := -uintptr(unsafe.Pointer(&s[0])) % page
	_ = unix.Madvise(memory[inside:], unix.MADV_HUGEPAGE)
}
