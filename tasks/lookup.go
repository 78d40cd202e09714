package tasks

import "maps"

// Lookup is the result of reading the record of one job among several.
type Lookup struct {
	Record Record
	// Err wraps [ErrNotFound] or [ErrUnreadable]. Record then holds the job's account and
	// ID alone, and its state if that can be read.
	Err error
}

// SameRequest reports whether the record was made for what the job asks for. Batch and
// priority do not matter.
func (r *Record) SameRequest(j Job) bool {
	return r.Request == j.Request && r.CallbackURL == j.CallbackURL && maps.Equal(r.Metadata, j.Metadata)
}
