package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// EventType says what a webhook is about. It fixes the meaning of the event's data.
type EventType string

// The event types. A receiver must tolerate types that are not in this list.
const (
	EventInstanceCreated EventType = "instance.created" // the instance exists: Data.Instance is set
	EventInstanceFailed  EventType = "instance.failed"  // there is no instance and no further try
	EventInstanceHeld    EventType = "instance.held"    // the outcome is unknown: an operator has to decide
	EventBatchCompleted  EventType = "batch.completed"  // the batch was closed and each of its jobs has ended: Data.Batch is set
)

// EventTypes lists every event type.
func EventTypes() []EventType {
	return []EventType{EventInstanceCreated, EventInstanceFailed, EventInstanceHeld, EventBatchCompleted}
}

// Event is the body of a webhook. Its JSON is public: a field that changes its name or meaning is a breaking change.
type Event struct {
	Type EventType `json:"type"`
	// Timestamp is when it happened, not when it was sent. It travels in UTC with milliseconds.
	Timestamp time.Time `json:"timestamp"`
	Data      EventData `json:"data"`
}

// EventData says how one job ended, or (only BatchID, Account and Batch are set) how one batch did.
// It carries no contact data: of the request it repeats only what names the instance.
type EventData struct {
	JobID    string         `json:"job_id"`
	BatchID  string         `json:"batch_id"`
	Account  string         `json:"account"`
	Request  EventRequest   `json:"request"`
	Instance *EventInstance `json:"instance"` // null when there is none, or none is known
	// Batch is set in the events of batches. Its fields stand beside batch_id and
	// account, and those of a job do not stand there then: see [Event.MarshalJSON].
	Batch *EventBatch `json:"-"`
	// Code and Message are the API's last answer; Code is "OK" after a success.
	Code    string `json:"code"`
	Message string `json:"message"`
	// RequestID is the API's own, to be quoted to its support.
	RequestID string `json:"request_id"`
	Tries     int    `json:"tries"`
	// Adopted is true if a lookup found the instance: after a create whose answer was lost, or
	// before the first call (CAMSQ_EXISTING=adopt).
	Adopted bool `json:"adopted"`
	// Metadata is the producer's, given back untouched.
	Metadata map[string]string `json:"metadata"`
}

// EventRequest is the part of the request that names the instance, under the API's own field names.
type EventRequest struct {
	ChannelType  string `json:"ChannelType"`
	InstanceName string `json:"InstanceName"`
}

// EventInstance is an instance as the API described it.
type EventInstance struct {
	InstanceID       string `json:"instance_id"`
	InstanceName     string `json:"instance_name"`
	ChannelType      string `json:"channel_type"`
	ResourceRegionID string `json:"resource_region_id"`
	SubmitTime       string `json:"submit_time"`
}

// EventBatch counts a batch's jobs when it was completed.
type EventBatch struct {
	// Completion counts how often the batch was completed: 2 and more after an operator
	// has put back jobs that had failed, or more jobs came under its name.
	Completion int64          `json:"completion"`
	Jobs       EventBatchJobs `json:"jobs"`
	// Codes counts the failed jobs by their ten most frequent codes; the rest is "other".
	Codes map[string]int64 `json:"codes"`
	// StartedAt is when the first job was accepted, ClosedAt when the producer had sent
	// the last, CompletedAt when every one had ended.
	StartedAt   time.Time `json:"started_at"`
	ClosedAt    time.Time `json:"closed_at"`
	CompletedAt time.Time `json:"completed_at"`
}

// EventBatchJobs counts the jobs of a batch by how they ended.
type EventBatchJobs struct {
	Total     int64 `json:"total"`
	Created   int64 `json:"created"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
}

// MarshalJSON writes the event of a job or of a batch: each has only its own fields.
func (e Event) MarshalJSON() ([]byte, error) {
	type job Event
	if e.Data.Batch == nil {
		return encode(job(e))
	}
	type batch struct {
		BatchID string `json:"batch_id"`
		Account string `json:"account"`
		*EventBatch
	}
	return encode(struct {
		Type      EventType `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      batch     `json:"data"`
	}{e.Type, e.Timestamp, batch{e.Data.BatchID, e.Data.Account, e.Data.Batch}})
}

// UnmarshalJSON reads what [Event.MarshalJSON] wrote.
func (e *Event) UnmarshalJSON(body []byte) error {
	type job Event
	if err := json.Unmarshal(body, (*job)(e)); err != nil || e.Type != EventBatchCompleted {
		return err
	}
	var batch struct{ Data EventBatch }
	if err := json.Unmarshal(body, &batch); err != nil {
		return err
	}
	e.Data.Batch = &batch.Data
	return nil
}

// encode writes JSON with names as they are: no receiver puts it into a page unread.
func encode(v any) ([]byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), err
}

// EncodeEvent writes the webhook body. The same event gives the same bytes, always: a signature and [EventID] depend
// on it. An event without type or timestamp is refused. A body has at most [MaxEvent] bytes: see encodeWithin.
func EncodeEvent(e Event) ([]byte, error) {
	if e.Type == "" {
		return nil, errors.New("tasks: encoding an event: it has no type")
	}
	if e.Timestamp.IsZero() {
		return nil, fmt.Errorf("tasks: encoding an event %s: it has no timestamp", e.Type)
	}
	e.Timestamp = instant(e.Timestamp)
	if e.Data.Metadata == nil {
		e.Data.Metadata = map[string]string{}
	}
	if e.Data.Batch != nil {
		b := *e.Data.Batch
		b.StartedAt, b.ClosedAt, b.CompletedAt = instant(b.StartedAt), instant(b.ClosedAt), instant(b.CompletedAt)
		if b.Codes == nil {
			b.Codes = map[string]int64{}
		}
		e.Data.Batch = &b
	}
	body, err := encodeWithin(e)
	if err != nil {
		return nil, fmt.Errorf("tasks: encoding an event %s: %w", e.Type, err)
	}
	return body, nil
}

// instant gives a time its one spelling, also after a store that keeps milliseconds.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// DecodeEvent reads a webhook body. Fields and types that it does not know are no error, so that an old receiver
// survives a new sender; a body without type or timestamp is one.
func DecodeEvent(body []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("tasks: decoding an event: %w", err)
	}
	if e.Type == "" || e.Timestamp.IsZero() {
		return Event{}, errors.New("tasks: decoding an event: type and timestamp are required")
	}
	return e, nil
}

// EventID derives the webhook-id from the bytes of the body: the same on every try and after every restart, another
// one for every other outcome, and free of what a producer wrote (the signature scheme forbids a dot in it).
func EventID(body []byte) string {
	return "evt_" + digest(string(body))
}
