package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/camsq/camsq/tasks"
)

// request is the sealed part of a record: what the producer asked for, without
// what names the job. Two requests are the same if these are.
type request struct {
	params
	CallbackURL string            `json:"u,omitempty"`
	Metadata    map[string]string `json:"m,omitempty"`
}

// params is a [tasks.Request] with names of one letter: there may be a million of them
// in Redis. A letter means what it means for good.
type params struct {
	ChannelType         string `json:"t"`
	InstanceName        string `json:"n"`
	InstanceDescription string `json:"d,omitempty"`
	ResourceGroupID     string `json:"g,omitempty"`
	OfficeAddress       string `json:"a,omitempty"`
	ContactMail         string `json:"e,omitempty"`
	CountryID           string `json:"c,omitempty"`
	FacebookBmID        string `json:"b,omitempty"`
	IsvTerms            string `json:"i,omitempty"`
	IsConfirmAudit      string `json:"y,omitempty"`
}

func (l *Ledger) sealRequest(j tasks.Job) ([]byte, error) {
	plain, err := json.Marshal(request{params: params(j.Request), CallbackURL: j.CallbackURL, Metadata: j.Metadata})
	if err != nil {
		return nil, fmt.Errorf("ledger: encoding the request of %s: %w", j.Ref(), err)
	}
	sealed, err := l.keys.Seal(plain, j.Ref().String())
	if err != nil {
		return nil, fmt.Errorf("ledger: sealing the request of %s: %w", j.Ref(), err)
	}
	return sealed, nil
}

// parts are a record as it stands in Redis: see the layout.
type parts struct{ head, priority, progress, sealed string }

func split(record string) parts {
	var p parts
	p.head, record, _ = strings.Cut(record, "\n")
	p.priority, record, _ = strings.Cut(record, "\n")
	p.progress, p.sealed, _ = strings.Cut(record, "\n")
	return p
}

// decode makes a record of its parts. Every error wraps [tasks.ErrUnreadable] and
// says which job it is about.
func (l *Ledger) decode(ref tasks.Ref, now time.Time, p parts) (tasks.Record, error) {
	r := tasks.Record{Now: now}
	r.Account, r.ID = ref.Account, ref.ID
	if err := decodeHead(p.head, &r); err != nil {
		return tasks.Record{}, unreadable(ref, err)
	}
	if r.Priority = tasks.Priority(p.priority); !r.Priority.Valid() {
		return tasks.Record{}, unreadable(ref, fmt.Errorf("its priority %.20q is unknown", p.priority))
	}
	plain, err := l.keys.Open([]byte(p.sealed), ref.String())
	if err != nil {
		return tasks.Record{}, unreadable(ref, err)
	}
	var req request
	if err := json.Unmarshal(plain, &req); err != nil {
		return tasks.Record{}, unreadable(ref, fmt.Errorf("its request is damaged"))
	}
	r.Request, r.CallbackURL, r.Metadata = tasks.Request(req.params), req.CallbackURL, req.Metadata
	if p.progress != "" {
		if err := json.Unmarshal([]byte(p.progress), &r.Progress); err != nil {
			return tasks.Record{}, unreadable(ref, fmt.Errorf("its progress is damaged"))
		}
	}
	return r, nil
}

func unreadable(ref tasks.Ref, why error) error {
	return fmt.Errorf("ledger: job %s: %w: %w", ref, tasks.ErrUnreadable, why)
}

func decodeHead(head string, r *tasks.Record) error {
	f := strings.SplitN(head, " ", 7)
	if f[0] != "1" {
		return fmt.Errorf("its version %.10q is not one that this camsq knows; a newer camsq may", f[0])
	}
	if len(f) != 7 {
		return fmt.Errorf("its head has %d parts instead of 7", len(f))
	}
	r.State, r.Rev, r.Batch = tasks.State(f[1]), f[2], f[6]
	for i, at := range map[int]*time.Time{3: &r.Since, 4: &r.Due, 5: &r.EnqueuedAt} {
		ms, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return fmt.Errorf("part %d of its head is not a time", i+1)
		}
		*at = time.Time{}
		if ms != 0 {
			*at = time.UnixMilli(ms)
		}
	}
	for _, s := range tasks.States() {
		if s == r.State {
			return nil
		}
	}
	return fmt.Errorf("its state %.20q is unknown", f[1])
}

// HeadState is the state that a head tells, or "" if it cannot be read.
func HeadState(head string) tasks.State {
	var r tasks.Record
	if err := decodeHead(head, &r); err != nil {
		return ""
	}
	return r.State
}
