package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/tasks"
)

// JobStatus is one job. Its JSON is public.
type JobStatus struct {
	Job          string         `json:"job"`
	Account      string         `json:"account"`
	ID           string         `json:"id"`
	Batch        string         `json:"batch"`
	Priority     tasks.Priority `json:"priority,omitempty"`
	State        tasks.State    `json:"state"`
	Since        time.Time      `json:"since,omitzero"`
	EnqueuedAt   time.Time      `json:"enqueued_at,omitzero"`
	ChannelType  string         `json:"channel_type"`
	InstanceName string         `json:"instance_name"`
	InstanceID   string         `json:"instance_id"`
	Adopted      bool           `json:"adopted"`
	Candidates   []string       `json:"candidates"`
	Tries        int            `json:"tries"`
	Code         string         `json:"code"`
	Message      string         `json:"message"`
	RequestID    string         `json:"request_id"`
	Callback     callbackStatus `json:"callback"`
	Next         string         `json:"next"`
	Now          time.Time      `json:"-"`
}

type callbackStatus struct {
	State  tasks.CallbackState `json:"state"`
	Tries  int                 `json:"tries"`
	Reason string              `json:"reason"`
}

// FindJobs returns the jobs of that ID in every account, and the one of that
// account and ID. An ID may hold a slash, so both are asked for. Accounts whose part
// of a cluster is away are noted; see [Model.Skipped].
func (m *Model) FindJobs(ctx context.Context, name string) ([]JobStatus, error) {
	accounts, err := m.AccountNames(ctx)
	if err != nil {
		return nil, err
	}
	var refs []tasks.Ref
	for _, account := range accounts {
		refs = append(refs, tasks.Ref{Account: account, ID: name})
	}
	if ref, err := tasks.ParseRef(name); err == nil && slices.Contains(accounts, ref.Account) {
		refs = append(refs, ref)
	}
	out := []JobStatus{}
	for _, ref := range refs {
		r, err := m.Ledger.Get(ctx, ref)
		if errors.Is(err, tasks.ErrNotFound) {
			continue
		}
		if err != nil && !errors.Is(err, tasks.ErrUnreadable) {
			if m.Skip(ctx, ref.Account, err) {
				continue
			}
			return nil, err
		}
		s, err := m.JobStatus(ctx, tasks.Lookup{Record: r, Err: err})
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// JobStatus is what commands report of one job.
func (m *Model) JobStatus(ctx context.Context, f tasks.Lookup) (JobStatus, error) {
	if f.Err != nil {
		ref := f.Record.Ref()
		return JobStatus{
			Job: ref.String(), Account: ref.Account, ID: ref.ID, State: RowUnreadable, Candidates: []string{}, Message: f.Err.Error(),
			Next: "Its record cannot be read, so the job waits: check CAMSQ_DATA_KEY and the version of camsq.",
		}, nil
	}
	next, err := m.nextStep(ctx, f.Record)
	return newJobStatus(f.Record, next), err
}

func newJobStatus(r tasks.Record, next string) JobStatus {
	s := JobStatus{
		Job: r.Ref().String(), Account: r.Account, ID: r.ID, Batch: r.Batch, Priority: r.Priority,
		State: r.State, Since: r.Since.UTC(), EnqueuedAt: r.EnqueuedAt.UTC(),
		ChannelType: r.Request.ChannelType, InstanceName: r.Request.InstanceName,
		Adopted: r.Adopted, Candidates: append([]string{}, r.Candidates...),
		Tries: r.Tries, Code: r.Code, Message: r.Message, RequestID: r.RequestID,
		Callback: callbackStatus{State: r.Callback.State, Tries: r.Callback.Tries, Reason: r.Callback.Reason},
		Next:     next, Now: r.Now,
	}
	if r.Instance != nil {
		s.InstanceID = r.Instance.InstanceID
	}
	return s
}

// nextStep says what a job waits for.
func (m *Model) nextStep(ctx context.Context, r tasks.Record) (string, error) {
	switch r.State {
	case tasks.StateQueued:
		before, atLeast, err := m.Queue.Position(ctx, r)
		if err != nil {
			return "", err
		}
		facts, err := m.LaneState(ctx, r.Account)
		if err != nil {
			return "", err
		}
		facts.moreBefore = atLeast
		return facts.queuedNote(r, before), nil
	case tasks.StateCalling:
		if r.Wait() > 0 {
			return fmt.Sprintf("The call is being made; how it ended is known in %s at most.", humanize.Duration(r.Wait())), nil
		}
		return "The worker died during the call; the outcome is being looked up.", nil
	case tasks.StateUncertain:
		lane, err := m.LaneState(ctx, r.Account)
		if err != nil {
			return "", err
		}
		return lane.lookupNote(r.Wait()), nil
	case tasks.StateHeld:
		return fmt.Sprintf("It waits for an operator: camsq resolve %s, with --created INSTANCE_ID, --absent or --failed.", humanize.ShellQuote(r.Ref().String())), nil
	case tasks.StateFailed:
		return fmt.Sprintf("It has ended, and is not tried again by itself: camsq retry %s.", humanize.ShellQuote(r.Ref().String())), nil
	case tasks.StateCancelled:
		return "It has ended: it was cancelled before its call.", nil
	case BatchCompleted:
		return fmt.Sprintf("Its callback was given up: camsq retry --callbacks %s.", humanize.ShellQuote(r.Ref().String())), nil
	case tasks.StateCreated:
	}
	if r.Callback.State == tasks.CallbackOwed {
		return "It has ended well; only its callback is still owed.", nil
	}
	return "Done.", nil
}

func (c callbackStatus) String() string {
	text := string(c.State)
	switch c.State {
	case tasks.CallbackNone:
		return ""
	case tasks.CallbackDead:
		text = "given up"
	case tasks.CallbackGone:
		text = "the receiver wants no more"
	case tasks.CallbackOwed, tasks.CallbackDelivered:
	}
	if c.Tries == 1 {
		text += ", 1 try"
	} else if c.Tries > 1 {
		text += fmt.Sprintf(", %d tries", c.Tries)
	}
	if c.Reason != "" && c.State != tasks.CallbackDelivered {
		text += ", the last one: " + c.Reason
	}
	return text
}
