package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// What becomes of a job whose create is answered with a success that contradicts it. One
// call, one instance, whatever the answer says.
func TestAnAnswerThatContradictsTheRequestIsLookedUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer map[string]string
		state  tasks.State
		code   string
		named  string // a candidate of the held job, beside its instance
	}{
		{"another channel type", map[string]string{"ChannelType": "WHATSAPP"}, tasks.StateCreated, "OK", ""},
		{"another name", map[string]string{"InstanceName": "someone-else"}, tasks.StateCreated, "OK", ""},
		{"an ID that can be none", map[string]string{"InstanceId": "cams\n\x1b[31m\x00"}, tasks.StateCreated, "OK", ""},
		{"an ID of 900,000 bytes", map[string]string{"InstanceId": strings.Repeat("9", 900_000)}, tasks.StateCreated, "OK", ""},
		{"another instance of another channel type", map[string]string{"InstanceId": "cams-9", "ChannelType": "WHATSAPP"}, tasks.StateHeld, tasks.CodeContradicted, "cams-9"},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			w := newCluster(t, camstest.Config{Calm: true})
			w.start()
			w.cloud.FailName("shop", camstest.Fault{Answer: tt.answer})
			w.enqueue("shop")
			w.awaitEnd(time.Hour, "shop")
			r, i := w.record("shop"), w.cloud.Instances()[0]
			if r.State != tt.state || r.Code != tt.code || w.cloud.Calls("CreateInstance") != 1 {
				t.Fatalf("the job is %s (%s %s) after %d calls, want %s (%s) after one", r.State, r.Code, r.Message, w.cloud.Calls("CreateInstance"), tt.state, tt.code)
			}
			if tt.state == tasks.StateHeld {
				if want := []string{tt.named, i.InstanceID}; !slices.Equal(r.Candidates, want) {
					t.Errorf("the candidates are %v, want %v", r.Candidates, want)
				}
				return
			}
			if !r.Adopted || r.Instance.InstanceID != i.InstanceID || r.Instance.ChannelType != "VIBER" || r.Instance.InstanceName != "shop" {
				t.Errorf("the instance is %+v, adopted %v, want %+v found by a look", r.Instance, r.Adopted, i)
			}
		})
	}
}

// The list never shows what the answer named: to call again could make a second one.
func TestAnInstanceThatAnAnswerNamedIsNeverAbsent(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]camstest.Fault{
		"a success for another name": {Answer: map[string]string{"InstanceName": "SHOP"}},
		"a refusal that names one":   {Reply: camstest.ReplyContradiction, Created: true},
	} {
		bubble(t, name, func(t *testing.T) {
			// The filter looks for the name as it was sent, and never finds it as it is kept.
			w := newCluster(t, camstest.Config{Calm: true, StoreName: strings.ToUpper})
			w.start()
			w.cloud.FailName("shop", fault)
			w.enqueue("shop")
			w.awaitEnd(time.Hour, "shop")
			r, i := w.record("shop"), w.cloud.Instances()
			if r.State != tasks.StateHeld || r.Code != tasks.CodeContradicted || len(i) != 1 || !slices.Equal(r.Candidates, []string{i[0].InstanceID}) {
				t.Errorf("the job is %s (%s) with the candidates %v, and there are %d instances", r.State, r.Code, r.Candidates, len(i))
			}
		})
	}
}

// An API that keeps names its way, and says so in its answers too: the answer and the
// list agree which instance the call made. Another one of such a name decides nothing.
func TestAnInstanceThatAnswerAndListAgreeOnIsTheJobs(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{"they agree": "", "the answer named another": "cams-77"} {
		bubble(t, name, func(t *testing.T) {
			w := newCluster(t, camstest.Config{Calm: true, StoreName: strings.ToUpper, FilterStored: true})
			w.start()
			answer := map[string]string{"InstanceName": "SHOP"}
			if id != "" {
				answer["InstanceId"] = id
			}
			w.cloud.FailName("shop", camstest.Fault{Answer: answer})
			w.enqueue("shop")
			w.awaitEnd(time.Hour, "shop")
			r, made := w.record("shop"), w.cloud.Instances()
			state := tasks.StateCreated
			if id != "" {
				state = tasks.StateHeld
			}
			if r.State != state || len(made) != 1 {
				t.Fatalf("the job is %s (%s), and there are %d instances, want it %s", r.State, r.Code, len(made), state)
			}
			if id == "" && (r.Instance.InstanceID != made[0].InstanceID || !r.Adopted) {
				t.Errorf("the job has %+v, and made %s", r.Instance, made[0].InstanceID)
			}
		})
	}
}

// Two spellings of an ID are one instance, and so is one with white space around it.
func TestAnInstanceThatAnotherJobHasInAnotherSpellingIsHeld(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"cams-1", "CAMS-1", "  cams-1 "} {
		bubble(t, id, func(t *testing.T) {
			w := newCluster(t, camstest.Config{Calm: true})
			w.start()
			w.cloud.FailName("first", camstest.Fault{Answer: map[string]string{"InstanceId": "Cams-1"}})
			w.enqueue("first")
			w.awaitEnd(time.Hour, "first")
			w.cloud.FailName("second", camstest.Fault{Answer: map[string]string{"InstanceId": id}})
			w.enqueue("second")
			w.awaitEnd(time.Hour, "second")
			if r := w.record("second"); r.State != tasks.StateHeld || !slices.Equal(r.Candidates, []string{strings.TrimSpace(id)}) {
				t.Errorf("the second job is %s with the candidates %v", r.State, r.Candidates)
			}
		})
	}
}

// The request ID of a success is what its vendor's support asks for.
func TestTheRequestIDOfASuccessIsKept(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w := newCluster(t, camstest.Config{}) // odd shapes: the channel type comes in lower case too
		w.start()
		jobs := names("kept", 5)
		w.enqueue(jobs...)
		w.awaitEnd(time.Hour, jobs...)
		seen := map[string]bool{}
		for _, id := range jobs {
			r := w.record(id)
			e, _ := r.Event()
			if r.RequestID == "" || seen[r.RequestID] || e.Data.RequestID != r.RequestID || e.Data.Instance.ChannelType != "VIBER" ||
				!strings.Contains(w.log.String(), " request_id="+r.RequestID) {
				t.Errorf("job %s: request ID %q, event %+v", id, r.RequestID, e.Data)
			}
			seen[r.RequestID] = true
		}
	})
}

// An operator chooses between candidates: the record and the webhook name fifty.
func TestCandidatesHaveTheirBound(t *testing.T) {
	t.Parallel()
	for existing, want := range map[worker.OnExisting]struct {
		candidates int
		message    string
	}{
		worker.ExistingAdopt: {50, "several instances may be this job's: "},
		worker.ExistingFail:  {0, "instances of that channel type and name exist already: "},
	} {
		bubble(t, string(existing), func(t *testing.T) {
			w := newCluster(t, camstest.Config{Calm: true})
			for i := range 51 {
				w.cloud.Add("", cams.Instance{InstanceID: fmt.Sprint("i-", i), InstanceName: "shop", ChannelType: "VIBER"})
			}
			w.start(func(_ *process, s *setup) { s.OnExisting = existing })
			w.enqueue("shop")
			w.awaitEnd(time.Hour, "shop")
			r := w.record("shop")
			if len(r.Candidates) != want.candidates || !strings.HasPrefix(r.Message, want.message) || !strings.HasSuffix(r.Message, " and 1 more") || strings.Count(r.Message, ",") != 49 {
				t.Errorf("%d candidates, %q", len(r.Candidates), r.Message)
			}
		})
	}
}
