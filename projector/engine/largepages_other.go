//go:build !linux

package engine

func largePages[T any]([]T) {}
