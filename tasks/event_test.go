package tasks_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/tasks"
)

func created() tasks.Event {
	return tasks.Event{
		Type:      tasks.EventInstanceCreated,
		Timestamp: time.Date(2026, 3, 4, 5, 6, 7, 891_234_567, time.FixedZone("UTC+8", 8*3600)),
		Data: tasks.EventData{
			JobID: "acme.viber-1", BatchID: "2026-03", Account: "default",
			Request: tasks.EventRequest{ChannelType: "VIBER", InstanceName: "viber_ins <&> 小店"},
			Instance: &tasks.EventInstance{
				InstanceID: "cams-xxx1", InstanceName: "viber_ins <&> 小店", ChannelType: "VIBER",
				ResourceRegionID: "ap-southeast-1", SubmitTime: "1699000000000",
			},
			Code: "OK", RequestID: "90E63D28-E31D-1EB2-8939-A94866411B2O", Tries: 1,
			Metadata: map[string]string{"tenant": "7", "crm": "a&b", "z": "", "B": "upper sorts first"},
		},
	}
}

func events() map[string]tasks.Event {
	failed := tasks.Event{
		Type:      tasks.EventInstanceFailed,
		Timestamp: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		Data: tasks.EventData{
			JobID: "j2", Account: "default",
			Request: tasks.EventRequest{ChannelType: "VIBER", InstanceName: "two"},
			Code:    "Product.Unsubscript", Message: "not subscribed", RequestID: "r-2", Tries: 3,
		},
	}
	held := failed
	held.Type, held.Data.Code, held.Data.Message = tasks.EventInstanceHeld, "", ""
	return map[string]tasks.Event{
		"event_created": created(),
		"event_failed":  failed,
		"event_held":    held,
		"event_batch": {
			Type:      tasks.EventBatchCompleted,
			Timestamp: time.Date(2026, 3, 4, 6, 0, 0, 0, time.UTC),
			Data: tasks.EventData{BatchID: "2026-03 <&> 小店", Account: "default", Batch: &tasks.EventBatch{
				Completion: 2, Jobs: tasks.EventBatchJobs{Total: 4, Created: 1, Failed: 2, Cancelled: 1},
				Codes:       map[string]int64{"InvalidParameter.InstanceName": 1, "camsq.TriesSpent": 1},
				StartedAt:   time.Date(2026, 3, 4, 5, 0, 0, 123_456_789, time.FixedZone("UTC+8", 8*3600)),
				ClosedAt:    time.Date(2026, 3, 3, 21, 0, 5, 0, time.UTC),
				CompletedAt: time.Date(2026, 3, 4, 6, 0, 0, 0, time.UTC),
			}},
		},
	}
}

// Receivers parse these bytes: a changed golden file is a breaking change.
func TestEventBodiesMatchTheGoldenFiles(t *testing.T) {
	seen := map[tasks.EventType]bool{}
	for name, event := range events() {
		seen[event.Type] = true
		t.Run(name, func(t *testing.T) {
			got, err := tasks.EncodeEvent(event)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".json")
			if os.Getenv("UPDATE") == "1" {
				if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimSuffix(string(want), "\n"), string(got)); diff != "" {
				t.Errorf("body differs (UPDATE=1 writes it anew) (-want +got):\n%s", diff)
			}
		})
	}
	for _, typ := range tasks.EventTypes() {
		if !seen[typ] {
			t.Errorf("no golden file for %s", typ)
		}
	}
}

func TestTheSameEventIsTheSameBytesAndTheSameID(t *testing.T) {
	first, err := tasks.EncodeEvent(created())
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		again := created()
		again.Timestamp = again.Timestamp.In(time.UTC).Truncate(time.Millisecond) // as read back from a store
		body, err := tasks.EncodeEvent(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, body) || tasks.EventID(first) != tasks.EventID(body) {
			t.Fatalf("two encodings of one event differ:\n%s\n%s", first, body)
		}
	}
	later := created()
	later.Timestamp = later.Timestamp.Add(time.Second)
	body, err := tasks.EncodeEvent(later)
	if err != nil {
		t.Fatal(err)
	}
	if tasks.EventID(first) == tasks.EventID(body) {
		t.Error("a second outcome of the job has the webhook-id of the first: receivers would drop it")
	}
	if id := tasks.EventID(first); !regexp.MustCompile(`^evt_[a-z2-7]{26}$`).MatchString(id) {
		t.Errorf("EventID = %q, want evt_ and 26 letters or digits", id)
	}
}

func TestAnEventSurvivesTheWire(t *testing.T) {
	for name, event := range events() {
		t.Run(name, func(t *testing.T) {
			body, err := tasks.EncodeEvent(event)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tasks.DecodeEvent(body)
			if err != nil {
				t.Fatal(err)
			}
			event.Timestamp = event.Timestamp.UTC().Truncate(time.Millisecond)
			if b := event.Data.Batch; b != nil {
				b.StartedAt = b.StartedAt.UTC().Truncate(time.Millisecond)
			} else if event.Data.Metadata == nil {
				event.Data.Metadata = map[string]string{}
			}
			if diff := cmp.Diff(event, got); diff != "" {
				t.Errorf("decoded event differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncodingRefusesAnEventThatIsNotFilledIn(t *testing.T) {
	for name, event := range map[string]tasks.Event{
		"no type":      {Timestamp: time.Unix(1, 0)},
		"no timestamp": {Type: tasks.EventInstanceCreated},
	} {
		t.Run(name, func(t *testing.T) {
			if body, err := tasks.EncodeEvent(event); err == nil {
				t.Errorf("encoded as %s, want an error", body)
			}
		})
	}
}

func TestDecodingToleratesTheFutureButNotGarbage(t *testing.T) {
	cases := []struct {
		name, body string
		ok         bool
	}{
		{"a batch with fields of a later version", `{"type":"batch.completed","timestamp":"2030-01-01T00:00:00Z","data":{"batch_id":"a","jobs":{"total":1,"lost":1},"new":[1]}}`, true},
		{"a batch without facts", `{"type":"batch.completed","timestamp":"2030-01-01T00:00:00Z"}`, true},
		{"a type and fields of a later version", `{"type":"instance.renamed","timestamp":"2030-01-01T00:00:00Z","data":{"job_id":"a","new":[1]},"v":2}`, true},
		{"not JSON", `hello`, false},
		{"no type", `{"timestamp":"2030-01-01T00:00:00Z","data":{}}`, false},
		{"no timestamp", `{"type":"instance.created","data":{}}`, false},
		{"a timestamp that is none", `{"type":"instance.created","timestamp":"yesterday","data":{}}`, false},
		{"two documents", `{"type":"a","timestamp":"2030-01-01T00:00:00Z"}{}`, false},
		{"nothing", ``, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := tasks.DecodeEvent([]byte(c.body)); (err == nil) != c.ok {
				t.Errorf("DecodeEvent error = %v, want ok = %v", err, c.ok)
			}
		})
	}
}
