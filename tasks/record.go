package tasks

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ref names a job: IDs are unique within an account.
type Ref struct {
	Account string
	ID      string
}

// String returns "account/id", the form in which messages, logs and callback
// tasks name a job. An account's name has no slash.
func (r Ref) String() string { return r.Account + "/" + r.ID }

// ParseRef reads what [Ref.String] wrote.
func ParseRef(s string) (Ref, error) {
	account, id, ok := strings.Cut(s, "/")
	if !ok || !ValidAccount(account) || !validID(id) {
		return Ref{}, fmt.Errorf("tasks: %q does not name a job as ACCOUNT/ID", clip(s, 80))
	}
	return Ref{Account: account, ID: id}, nil
}

// Record is everything that the ledger knows of a job. Its times are on Redis's
// clock, so that processes whose clocks differ agree.
type Record struct {
	Job
	State State
	// Version changes with every write. A write names the Version that it was made
	// from
	// and is refused if another came first.
	Version string
	// EnqueuedAt is when the job was accepted, Since when it entered its State.
	EnqueuedAt, Since time.Time
	// Due is the earliest time at which the job needs processing again: the
	// end of the call that may be running (calling), the next lookup (uncertain),
	// or the end of a backoff (queued). Zero means now.
	Due time.Time
	// Now is when the record was read.
	Now time.Time
	// Completes is the completion of its batch that a write of the record brought
	// about; zero otherwise. Only the write's own answer has it.
	Completes int64
	Progress
}

// Ref returns the job's name.
func (r Record) Ref() Ref { return Ref{Account: r.Account, ID: r.ID} }

// Wait is how long it is until [Record.Due]; never negative.
func (r Record) Wait() time.Duration { return max(0, r.Due.Sub(r.Now)) }

// Progress is the part of a record that changes over the job's life. It holds no
// personal data: it stands in Redis in clear.
type Progress struct {
	// Tries counts the calls that cost a try.
	Tries int `json:"tries,omitempty"`
	// FirstTry is when the first call that cost a try began; the age budget counts from it.
	FirstTry time.Time `json:"first_try,omitzero"`
	// Delays counts the waits in a row that brought no answer, for the backoff.
	Delays int `json:"delays,omitempty"`
	// Baseline holds the IDs of the instances of the same name, in whichever form the API
	// keeps it (see [FoldName]), that stood there before the first call. Nil means that
	// there was no lookup yet.
	Baseline *[]string `json:"baseline,omitempty"`
	// Nearby holds the IDs of the other instances that the API returned for the name then
	// and that no job had. Whatever the API makes of a name, an instance that is neither
	// here nor in Baseline came after. It is bounded; NearbyMany means that there were more.
	Nearby     []string `json:"nearby,omitempty"`
	NearbyMany bool     `json:"nearby_many,omitempty"`
	// Vouched says that an operator has judged the instances in question since the last
	// uncertain call: none is the job's, also where there were too many to note them.
	Vouched bool `json:"vouched,omitempty"`
	// Doubted reports that the outcome of a call of the job was once uncertain: whatever
	// was concluded since, its instance may still turn up.
	Doubted bool `json:"doubted,omitempty"`
	// Lookups counts how often recovery listed the instances since the job became uncertain.
	Lookups int `json:"looks,omitempty"`
	// Refusals counts the answers that refused the account for this job while the API let
	// others of the same process in, the first refusal included; RefusedAt is when the last
	// of them came, or of the answers that turned the job away by flow control.
	Refusals  int       `json:"refusals,omitempty"`
	RefusedAt time.Time `json:"refused_at,omitzero"`
	// Unknown counts the answers whose code nothing is known of.
	Unknown int `json:"unknown,omitempty"`
	// Named is the instance that the answer to a call named which was not a success
	// all the same. While it is not found, the call counts as one that may have made it.
	Named string `json:"named,omitempty"`
	// Candidates are the instance IDs between which a held job needs an operator to choose.
	Candidates []string `json:"candidates,omitempty"`

	// Instance is the instance of a created job.
	Instance *EventInstance `json:"instance,omitempty"`
	// Adopted says that the instance was found by a lookup rather than in an answer.
	Adopted bool `json:"adopted,omitempty"`
	// Code, Message and RequestID are of the last answer, or of what camsq itself
	// decided: such codes begin with "camsq.".
	Code      string `json:"code,omitempty"`
	Message   string `json:"message,omitempty"`
	RequestID string `json:"request_id,omitempty"`

	// Callback is how far telling the outcome got.
	Callback CallbackProgress `json:"callback,omitzero"`
}

// InBaseline says whether the instance stood there before the first call.
func (p Progress) InBaseline(instanceID string) bool {
	return p.Baseline != nil && hasID(*p.Baseline, instanceID) || hasID(p.Nearby, instanceID)
}

// hasID compares instance IDs as claims do, without regard to case.
func hasID(ids []string, id string) bool {
	return slices.ContainsFunc(ids, func(i string) bool { return strings.EqualFold(i, id) })
}

// Absolve notes an operator's word that the instances in question are not the job's: they
// count as if they had stood there before its first call.
func (p *Progress) Absolve() {
	others := slices.Clone(p.Candidates)
	if p.Baseline != nil {
		others = append(others, *p.Baseline...)
	}
	p.Baseline, p.Candidates, p.Vouched = &others, nil, true
}

// Forget drops what only a further lookup of the instance of an uncertain call would need.
func (p *Progress) Forget() { p.Nearby, p.NearbyMany = nil, false }

// Renew gives the job another budget, on an operator's word. The callback of the
// outcome that it takes back is no longer owed: the next outcome is delivered instead.
//
// A job that was never uncertain forgets its baseline: whatever stands there now
// stood there before its next call. One that was keeps it, since an instance that
// is not in it may be the job's own, come late: see [Progress.LookupFirst]. So does one
// whose instances an operator has judged: see [Progress.Absolve].
func (p *Progress) Renew(code, message string) {
	*p = Progress{
		Baseline: p.Baseline, Nearby: p.Nearby, NearbyMany: p.NearbyMany, Vouched: p.Vouched,
		Doubted: p.Doubted, Code: code, Message: message,
	}
	if !p.Doubted {
		p.Forget()
		if !p.Vouched {
			p.Baseline = nil
		}
	}
}

// LookupFirst says that the API must be asked for the instance of an earlier call
// before the job may call again: an operator has put it back, and that call had no answer.
func (p Progress) LookupFirst() bool { return p.Doubted && p.Tries == 0 }

// CallbackState is how far telling an outcome got.
type CallbackState string

const (
	// CallbackNone means that there is no receiver, or nothing to report yet.
	CallbackNone CallbackState = ""
	// CallbackOwed means that the receiver has not acknowledged it yet.
	CallbackOwed CallbackState = "owed"
	// CallbackDelivered means that the receiver answered 2xx.
	CallbackDelivered CallbackState = "delivered"
	// CallbackGone means that the receiver answered 410 and wants no more.
	CallbackGone CallbackState = "gone"
	// CallbackDead means that every try failed; it is listed, to be replayed.
	CallbackDead CallbackState = "dead"
)

// CallbackStates lists every state of a callback.
func CallbackStates() []CallbackState {
	return []CallbackState{CallbackOwed, CallbackDelivered, CallbackGone, CallbackDead}
}

// CallbackProgress is how far telling an outcome got.
type CallbackProgress struct {
	State CallbackState `json:"state,omitempty"`
	Tries int           `json:"tries,omitempty"`
	// Reason is that of the last try that failed, from [DeliveryReasons].
	Reason string `json:"reason,omitempty"`
}

// Event returns the event of the record's outcome. It depends on the
// outcome alone, so every try of one outcome carries the same bytes. ok is false
// where the state owes none.
func (r Record) Event() (e Event, ok bool) {
	kind := r.State.EventType()
	if kind == "" {
		return Event{}, false
	}
	return Event{
		Type:      kind,
		Timestamp: r.Since,
		Data: EventData{
			JobID:     r.ID,
			BatchID:   r.Batch,
			Account:   r.Account,
			Request:   EventRequest{ChannelType: r.Request.ChannelType, InstanceName: r.Request.InstanceName},
			Instance:  r.Instance,
			Code:      r.Code,
			Message:   r.Message,
			RequestID: r.RequestID,
			Tries:     r.Tries,
			Adopted:   r.Adopted,
			Metadata:  r.Metadata,
		},
	}, true
}

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// digest makes a 26-letter name from parts whose borders matter.
func digest(parts ...string) string {
	text := make([]byte, 0, 256)
	for _, p := range parts {
		text = append(append(strconv.AppendInt(text, int64(len(p)), 10), ':'), p...)
	}
	sum := sha256.Sum256(text)
	return base32Lower.EncodeToString(sum[:16])
}
