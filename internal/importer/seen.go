package importer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"sort"

	"github.com/camsq/camsq/tasks"
)

// index knows which jobs have come already, and where each came first. It keeps 20
// bytes of a job, so that a million rows stay small: 96 bits of a digest, of which
// two are never the same by accident, and where the row is.
type index struct {
	jobs map[[12]byte]indexEntry
	// typed are digests of the names of those that came first with another name than
	// theirs: one that differs in what cannot be seen. They are few.
	typed map[[12]byte][8]byte
	// most is how many jobs are kept; 0 has no bound.
	most  int
	files []indexedFile
}

type indexEntry struct {
	at      uint32 // base of its file, and the line in it
	request uint32 // a digest, to distinguish requests
}

// indexedFile is a file and the number that its line 0 has among all.
type indexedFile struct {
	name string
	base uint32
	last uint32
}

// NewIndex makes an index that keeps the most first jobs; 0 keeps all.
func NewIndex(most int) *index {
	return &index{jobs: map[[12]byte]indexEntry{}, typed: map[[12]byte][8]byte{}, most: most}
}

// beginFile names the file that the next rows are from.
func (s *index) beginFile(name string) {
	base := uint32(0)
	if n := len(s.files); n > 0 {
		base = s.files[n-1].last + 1
	}
	s.files = append(s.files, indexedFile{name: name, base: base, last: base})
}

func indexKey(ref tasks.Ref) [12]byte {
	sum := sha256.Sum256([]byte(ref.Account + "/" + ref.ID)) // an account's name has no slash
	return [12]byte(sum[:12])
}

// find returns where a job came first.
func (s *index) find(ref tasks.Ref) (first Position, request uint32, ok bool) {
	f, ok := s.jobs[indexKey(ref)]
	if !ok {
		return Position{}, 0, false
	}
	i := sort.Search(len(s.files), func(i int) bool { return s.files[i].base > f.at })
	file := s.files[i-1]
	return Position{file.name, int(f.at - file.base)}, f.request, true
}

// add keeps where a job came first; line is of the file that began last.
func (s *index) add(ref tasks.Ref, line int, request uint32) {
	file := &s.files[len(s.files)-1]
	at := uint64(file.base) + uint64(line)
	if at > math.MaxUint32 || s.most > 0 && len(s.jobs) >= s.most {
		return
	}
	file.last = max(file.last, uint32(at))
	s.jobs[indexKey(ref)] = indexEntry{at: uint32(at), request: request}
}

// addTyped keeps the name that a job came with first, after add.
func (s *index) addTyped(job tasks.Job, name string) {
	if key := indexKey(job.Ref()); name != job.Request.InstanceName && s.jobs[key] != (indexEntry{}) {
		s.typed[key] = nameDigest(name)
	}
}

// typedAlike says whether a job came first with the very name that it comes with now.
func (s *index) typedAlike(job tasks.Job, name string) bool {
	first, other := s.typed[indexKey(job.Ref())]
	if name == job.Request.InstanceName {
		return !other
	}
	return other && first == nameDigest(name)
}

func nameDigest(name string) [8]byte {
	sum := sha256.Sum256([]byte(name))
	return [8]byte(sum[:8])
}

// RequestDigest distinguishes requests; the same one may come with two batches and two
// priorities.
func RequestDigest(job tasks.Job) uint32 {
	job.Batch, job.Priority = "", ""
	text, _ := json.Marshal(job) // cannot fail: it is made of texts
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint32(sum[:])
}
