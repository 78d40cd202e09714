package tasks_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/camsq/camsq/tasks"
)

// worst is the longest event that a job which Validate accepts can have, with a message
// of so many bytes. JSON writes each U+2028 with six bytes.
func worst(message int) tasks.Event {
	e := created()
	e.Data.JobID, e.Data.BatchID, e.Data.Account = strings.Repeat("j", 128), strings.Repeat("\\", 128), strings.Repeat("a", 63)
	e.Data.Request.InstanceName = strings.Repeat("\"", 128)
	e.Data.Instance.InstanceID, e.Data.Instance.InstanceName = strings.Repeat("9", 128), e.Data.Request.InstanceName
	e.Data.Instance.ResourceRegionID, e.Data.Instance.SubmitTime = strings.Repeat("\"", 256), strings.Repeat("\"", 256)
	e.Data.Code, e.Data.RequestID, e.Data.Message = strings.Repeat("c", 128), strings.Repeat("r", 64), strings.Repeat("m", message)
	e.Data.Metadata = map[string]string{}
	for i := range 20 {
		e.Data.Metadata[fmt.Sprint(strings.Repeat("k", 38), i)] = strings.Repeat("\u2028", 500)
	}
	return e
}

func TestAnEventHasItsBound(t *testing.T) {
	// Only an invalid job has these; its outcome must be told all the same.
	huge := worst(100)
	for _, text := range []*string{&huge.Data.JobID, &huge.Data.BatchID, &huge.Data.Code, &huge.Data.Instance.InstanceID, &huge.Data.Instance.SubmitTime} {
		*text = strings.Repeat("9", 900_000)
	}
	batch := events()["event_batch"]
	many := *batch.Data.Batch
	many.Codes = map[string]int64{}
	for i := range 2000 {
		many.Codes[fmt.Sprint("Code.", i, strings.Repeat("x", 100))] = 2
	}
	batch.Data.Batch = &many
	for name, tt := range map[string]struct {
		event tasks.Event
		keeps []string // what stands in the body
		cut   bool     // the message is not whole
	}{
		"the worst that is valid":                     {worst(512), []string{`mmm"`, `"metadata":{"kkk`, `"code":"ccc`}, false},
		"10,000 instances in the message":             {worst(530_000), []string{`"metadata":{"kkk`, `"code":"ccc`, `…"`}, true},
		"a message that JSON makes six times as long": {func() tasks.Event { e := created(); e.Data.Message = strings.Repeat("\u2028", 20_000); return e }(), []string{`"tenant":"7"`, `\u2028…"`}, true},
		"texts that no valid job has":                 {huge, []string{`"metadata":{}`, `"instance_id":"999`, `"message":""`}, true},
		"a batch with thousands of codes":             {batch, []string{`"codes":{"other":4000}`, `"total":4`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := tasks.EncodeEvent(tt.event)
			if err != nil || len(body) > tasks.MaxEvent {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			for _, part := range tt.keeps {
				if !bytes.Contains(body, []byte(part)) {
					t.Errorf("%s is not in the body", part)
				}
			}
			again, err := tasks.EncodeEvent(tt.event)
			if err != nil || !bytes.Equal(body, again) {
				t.Error("the same event gives another body")
			}
			got, err := tasks.DecodeEvent(body)
			if err != nil || tt.cut && got.Data.Message == tt.event.Data.Message {
				t.Errorf("%v, message of %d bytes", err, len(got.Data.Message))
			}
		})
	}
	if i := huge.Data.Instance; len(i.InstanceID) != 900_000 {
		t.Error("encoding has changed the record's own instance")
	}
	whole, err := tasks.EncodeEvent(worst(0))
	if err != nil || !bytes.Contains(whole, []byte(`"metadata":{"kkk`)) {
		t.Errorf("%d bytes, %v: valid metadata does not fit", len(whole), err)
	}
	t.Logf("the worst valid event without its message has %d of %d bytes", len(whole), tasks.MaxEvent)
}
