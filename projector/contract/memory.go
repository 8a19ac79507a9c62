package contract

// Both planes reckon alike with the memory limit of a projector's container.
const (
	// LeastMemoryBytes is the smallest limit in which a projector works. Measured,
	// 200,000 events of 100 bytes for 100,000 entities: with 64 MiB the collector
	// takes 3 % of the CPU, with 48 MiB a sixth, and there the kernel begins to
	// take the program's own pages out of memory; at 24 MiB nothing moves.
	LeastMemoryBytes = 64 << 20
	// besidesGo is what Go does not count: the pages of the program, as far as
	// they are used, and what the kernel holds for it.
	besidesGo = 24 << 20
)

// GoMemoryBytes is what of a container's memory limit Go may use, GOMEMLIMIT.
func GoMemoryBytes(limit int64) int64 {
	return max(1<<20, min(limit/10*9, limit-besidesGo))
}

// MemoryLimitFor is the limit of a container in which Go may use so many bytes.
func MemoryLimitFor(goBytes int64) int64 {
	return max(goBytes/9*10+10, goBytes+besidesGo)
}
