package inspect

// How the records of followed jobs are read: pageSize in one round trip, and
// WindowSize of them between two pauses, so that a hundred thousand jobs are no
// load for Redis; each gets its turn.
const (
	PageSize   = 500
	WindowSize = 2000

	// MaxFollowed is how many jobs are followed one by one. Of more, their batches are.
	MaxFollowed = 100_000

	// MaxShown is how many jobs without an instance are listed.
	MaxShown = 20
)
