package tasks

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Batch is how the jobs of one name stand in one account. Its times are on
// Redis's clock.
type Batch struct {
	Account, Name string
	// Jobs counts by state. A job that has ended counts though its record expired.
	Jobs map[State]int64
	// Codes counts the failed jobs by their code. Codes beyond the first that a batch
	// met count together as [CodeOther].
	Codes map[string]int64
	// Started is when the first job was accepted of those that have ended; zero if none has.
	Started time.Time
	// Closed is when the producer said that the last job was sent; zero if it has not,
	// or has sent others since.
	Closed time.Time
	// Completed is when the batch was completed: closed, and none of its jobs open. It
	// is zero if it is not, or not any more: an operator has put back a job, or more came.
	Completed time.Time
	// Completions is how often it was completed.
	Completions int64
	// Now is when the batch was read.
	Now time.Time
}

// Open counts the jobs that have not ended. A held one is open: its batch is not
// completed before an operator has decided.
func (b Batch) Open() int64 {
	var n int64
	for s, count := range b.Jobs {
		if !s.Final() {
			n += count
		}
	}
	return n
}

// CodeCount is how many jobs have failed with a code.
type CodeCount struct {
	Code string
	Jobs int64
}

// CodeOther stands for all codes that are not counted by their own names.
const CodeOther = "other"

// TopCodes returns the n most frequent codes of a count, the most frequent first,
// and then what is left as [CodeOther].
func TopCodes(codes map[string]int64, n int) []CodeCount {
	var top []CodeCount
	rest := CodeCount{CodeOther, codes[CodeOther]}
	for code, jobs := range codes {
		if code != CodeOther && jobs > 0 {
			top = append(top, CodeCount{code, jobs})
		}
	}
	slices.SortFunc(top, func(a, b CodeCount) int {
		if order := cmp.Compare(b.Jobs, a.Jobs); order != 0 {
			return order
		}
		return strings.Compare(a.Code, b.Code)
	})
	for _, c := range top[min(n, len(top)):] {
		rest.Jobs += c.Jobs
	}
	top = top[:min(n, len(top))]
	if rest.Jobs > 0 {
		top = append(top, rest)
	}
	return top
}

// BatchRef names one completion of a batch: the first, or that after it was opened again.
type BatchRef struct {
	Account, Batch string
	// Completion counts from 1.
	Completion int64
}

// String returns "account/batch#completion", the form in which messages, logs and
// callback tasks name it. A job's ID has no number sign, so no [Ref] reads like it.
func (r BatchRef) String() string { return r.Account + "/" + r.Key() }

// Key is the name within the account: "batch#completion".
func (r BatchRef) Key() string { return r.Batch + "#" + strconv.FormatInt(r.Completion, 10) }

// ParseBatchRef reads what [BatchRef.String] wrote.
func ParseBatchRef(s string) (BatchRef, error) {
	account, key, _ := strings.Cut(s, "/")
	at := strings.LastIndexByte(key, '#')
	if at > 0 && ValidAccount(account) && checkBatch(key[:at]) == "" {
		n, err := strconv.ParseInt(key[at+1:], 10, 64)
		if r := (BatchRef{Account: account, Batch: key[:at], Completion: n}); err == nil && n > 0 && r.String() == s {
			return r, nil
		}
	}
	return BatchRef{}, fmt.Errorf("tasks: %q does not name a completed batch as ACCOUNT/BATCH#NUMBER", clip(s, 160))
}

// Completion is a batch as it stood when it was completed, and how far telling that got.
type Completion struct {
	BatchRef
	// Facts do not change any more, whatever becomes of the batch.
	Facts Batch
	// Version changes with every write of Callback. A write names the Version that it was
	// made from and is refused if another came first.
	Version  string
	Callback CallbackProgress
}

// topEventCodes is how many codes an event names.
const topEventCodes = 10

// Event returns the event of the completion. It depends on the facts
// alone, so every try carries the same bytes.
func (c Completion) Event() Event {
	f := c.Facts
	b := &EventBatch{
		Completion: c.BatchRef.Completion, Codes: map[string]int64{}, StartedAt: f.Started, ClosedAt: f.Closed, CompletedAt: f.Completed,
		Jobs: EventBatchJobs{Created: f.Jobs[StateCreated], Failed: f.Jobs[StateFailed], Cancelled: f.Jobs[StateCancelled]},
	}
	for n := range maps.Values(f.Jobs) {
		b.Jobs.Total += n
	}
	for _, top := range TopCodes(f.Codes, topEventCodes) {
		b.Codes[top.Code] = top.Jobs
	}
	return Event{
		Type: EventBatchCompleted, Timestamp: f.Completed,
		Data: EventData{BatchID: c.Batch, Account: c.Account, Batch: b},
	}
}
