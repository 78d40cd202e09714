package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
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
	if err := strict(plain, &req); err != nil {
		return tasks.Record{}, unreadable(ref, fmt.Errorf("its request %w", err))
	}
	if err := req.check(); err != nil {
		return tasks.Record{}, unreadable(ref, err)
	}
	r.Request, r.CallbackURL, r.Metadata = tasks.Request(req.params), req.CallbackURL, req.Metadata
	if p.progress != "" {
		if err := strict([]byte(p.progress), &r.Progress); err != nil {
			return tasks.Record{}, unreadable(ref, fmt.Errorf("its progress %w", err))
		}
		if err := checkProgress(r.Progress); err != nil {
			return tasks.Record{}, unreadable(ref, err)
		}
	}
	return r, nil
}

// strict decodes one JSON object and nothing else. A field that this version does not
// know is an error: a write would drop it. The error repeats nothing of the text.
func strict(text []byte, into any) error {
	if len(text) == 0 || text[0] != '{' {
		return errors.New("is damaged")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if strings.HasPrefix(err.Error(), "json: unknown field") {
			return errors.New("has a field that this camsq does not know; a newer one may")
		}
		return errors.New("is damaged")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("is damaged")
	}
	return nil
}

// check says what an opened request lacks to be one.
func (q request) check() error {
	if q.ChannelType == "" || q.InstanceName == "" {
		return errors.New("its request has no channel type or no instance name")
	}
	return nil
}

// checkProgress says what a progress has that none can have.
func checkProgress(p tasks.Progress) error {
	if negative(p) {
		return errors.New("its progress counts below zero")
	}
	return checkCallback(p.Callback)
}

// checkCallback does it for how far telling an outcome got.
func checkCallback(p tasks.CallbackProgress) error {
	switch {
	case negative(p):
		return errors.New("its callback counts below zero")
	case p.State != tasks.CallbackNone && !slices.Contains(tasks.CallbackStates(), p.State):
		return fmt.Errorf("the state %.20q of its callback is unknown", p.State)
	}
	return nil
}

// negative says whether a number of a struct is below zero. It walks along the fields so
// that a new one cannot be forgotten.
func negative(of any) bool {
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		if f := v.Field(i); f.CanInt() && f.Int() < 0 {
			return true
		}
	}
	return false
}

func unreadable(ref tasks.Ref, why error) error {
	return fmt.Errorf("ledger: job %s: %w: %w", ref, tasks.ErrUnreadable, why)
}

func decodeHead(head string, r *tasks.Record) error {
	f := strings.SplitN(head, " ", 7)
	if err := checkVersion(f[0]); err != nil {
		return err
	}
	if len(f) != 7 {
		return fmt.Errorf("its head has %d parts instead of 7", len(f))
	}
	if f[2] == "" {
		return errors.New("its head has no revision")
	}
	r.State, r.Version, r.Batch = tasks.State(f[1]), f[2], f[6]
	for i, at := range map[int]*time.Time{3: &r.Since, 4: &r.Due, 5: &r.EnqueuedAt} {
		ms, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil || ms < 0 || strconv.FormatInt(ms, 10) != f[i] {
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

// HeadState is the state that a head has, or "" if it cannot be read.
func HeadState(head string) tasks.State {
	var r tasks.Record
	if err := decodeHead(head, &r); err != nil {
		return ""
	}
	return r.State
}
