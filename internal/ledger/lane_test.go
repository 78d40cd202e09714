package ledger_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// lane reads the account's lane.
func lane(t *testing.T, l *ledger.Ledger) tasks.Lane {
	t.Helper()
	lanes, err := l.Lanes(t.Context(), []string{"other", account})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tasks.Lane{Account: "other"}, lanes[0], cmpopts.IgnoreFields(tasks.Lane{}, "Now")); diff != "" {
		t.Errorf("the lane of another account (-want +got):\n%s", diff)
	}
	if lanes[1].Now.IsZero() {
		t.Error("the lane does not say when it was read")
	}
	return lanes[1]
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func probe(t *testing.T, l *ledger.Ledger, id string) (ok bool, wait time.Duration) {
	t.Helper()
	ok, wait, err := l.Probe(t.Context(), turnOf(id), time.Minute)
	noError(t, err)
	return ok, wait
}

// turnOf is the turn that "job#turn" names.
func turnOf(name string) tasks.ProbeID {
	job, turn, _ := strings.Cut(name, "#")
	return tasks.ProbeID{Ref: ref(job), Turn: turn}
}

func ref(id string) tasks.Ref { return tasks.Ref{Account: account, ID: id} }

var noPermission = tasks.Trip{Action: "CreateInstance", Code: "NoPermission", Message: "You are not authorized."}

func TestALaneIsPausedAndLimitedUntilSomebodySaysOtherwise(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		noError(t, l.PauseLane(t.Context(), account, "a wrong file"))
		noError(t, l.LimitLane(t.Context(), account, 0.5))
		first := lane(t, l)
		if first.Pause == nil || first.Pause.Why != "a wrong file" || first.Now.Sub(first.Pause.Since).Abs() > time.Minute || first.Limit != 0.5 {
			t.Errorf("after a pause and a limit: %+v %+v", first, first.Pause)
		}
		noError(t, l.PauseLane(t.Context(), account, "as before"))
		if again := lane(t, l); again.Pause == nil || !again.Pause.Since.Equal(first.Pause.Since) || again.Pause.Why != "as before" {
			t.Errorf("after a second pause: %+v, want the time of the first", again.Pause)
		}
		noError(t, l.ResumeLane(t.Context(), account))
		noError(t, l.LimitLane(t.Context(), account, 0))
		if now := lane(t, l); now.Pause != nil || now.Limit != 0 {
			t.Errorf("after all was taken back: %+v", now)
		}
		if n := c.Exists(t.Context(), prefix+"lane").Val(); n != 0 {
			t.Error("a lane that nothing holds back leaves a key")
		}
	})
}

// A prober whose job was refused before says nothing of other jobs: then its job alone is
// known to have failed, and any other one may probe at once.
func TestAProberMayStayTheOnlyWitness(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		noError(t, l.Trip(t.Context(), turnOf("a"), noPermission, time.Hour))
		if ok, _ := probe(t, l, "b#1"); !ok {
			t.Fatal("the probe of another job was refused")
		}
		again := noPermission
		again.Witness = "b"
		noError(t, l.Trip(t.Context(), turnOf("b#1"), again, time.Hour))
		if got := lane(t, l).Trip; got.Witness != "b" || got.Probes != 2 {
			t.Errorf("after a job was refused again: %+v, want b to be the witness", got)
		}
		if ok, _ := probe(t, l, "c"); !ok {
			t.Error("the probe of another job than the witness was refused")
		}
	})
}

// One job at a time asks whether the API still refuses the account, and only its
// word counts.
func TestALaneThatHasTrippedIsProbedByOneJobAtATime(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		if ok, _ := probe(t, l, "a"); !ok {
			t.Error("a lane that has not tripped needs no probe, and one was refused")
		}
		noError(t, l.Trip(t.Context(), turnOf("a"), noPermission, time.Hour))
		noError(t, l.Trip(t.Context(), turnOf("b"), tasks.Trip{Action: "ListInstance", Code: "Forbidden"}, time.Millisecond)) // was under way
		got := lane(t, l).Trip
		want := noPermission
		want.Probes, want.Witness = 1, "a"
		if diff := cmp.Diff(&want, got, cmpopts.IgnoreFields(tasks.Trip{}, "Since", "ProbeAt")); diff != "" {
			t.Fatalf("the trip (-want +got):\n%s", diff)
		}
		if ok, wait := probe(t, l, "a"); ok || wait < 59*time.Minute {
			t.Errorf("a probe of the refused job before its time: %v, and the wait is %v", ok, wait)
		}
		// While one job alone was refused, another is asked at once.
		if ok, _ := probe(t, l, "b#1"); !ok {
			t.Error("the probe of another job was refused")
		}
		noError(t, l.Trip(t.Context(), turnOf("b#1"), noPermission, time.Hour))
		if got := lane(t, l).Trip; got.Witness != "" || got.Probes != 2 {
			t.Errorf("after two jobs were refused: %+v", got)
		}
		for _, job := range []string{"a", "b#2", "c"} {
			if ok, wait := probe(t, l, job); ok || wait < 59*time.Minute {
				t.Errorf("a probe of %s before its time: %v, and the wait is %v", job, ok, wait)
			}
		}
		noError(t, l.ResumeLane(t.Context(), account)) // an operator will not wait
		if ok, _ := probe(t, l, "b"); !ok {
			t.Error("the first probe after that was refused")
		}
		if ok, wait := probe(t, l, "c"); ok || wait < 50*time.Second {
			t.Errorf("a second probe beside the first: %v, and the wait is %v", ok, wait)
		}
		if ok, _ := probe(t, l, "b"); !ok {
			t.Error("the prober was refused its second call")
		}
		if got := lane(t, l).Trip; got.Prober != "b" {
			t.Errorf("the lane's prober is %q, want b", got.Prober)
		}

		noError(t, l.Trip(t.Context(), turnOf("c"), noPermission, time.Millisecond))
		noError(t, l.CloseBreaker(t.Context(), turnOf("c")))
		noError(t, l.AbortProbe(t.Context(), turnOf("c"), time.Millisecond))
		if got := lane(t, l).Trip; got == nil || got.Probes != 2 || got.Prober != "b" {
			t.Errorf("after the words of one that does not probe: %+v", got)
		}

		noError(t, l.Trip(t.Context(), turnOf("b"), tasks.Trip{Action: "CreateInstance", Code: "Forbidden.RAM"}, 0))
		if got := lane(t, l).Trip; got.Probes != 3 || got.Code != "Forbidden.RAM" || got.Prober != "" {
			t.Errorf("after a probe that was refused: %+v", got)
		}
		if ok, _ := probe(t, l, "c"); !ok {
			t.Error("the next probe was refused")
		}
		noError(t, l.AbortProbe(t.Context(), turnOf("c"), 0))
		if got := lane(t, l).Trip; got.Probes != 3 || got.Prober != "" {
			t.Errorf("after a probe that proved nothing: %+v", got)
		}
		if ok, _ := probe(t, l, "d"); !ok {
			t.Error("the probe after that was refused")
		}
		noError(t, l.CloseBreaker(t.Context(), turnOf("d")))
		if got := lane(t, l); got.Trip != nil {
			t.Errorf("after a probe that was let in: %+v", got.Trip)
		}
	})
}

// A prober that dies does not keep the lane shut for ever.
func TestTheProbeOfADeadJobEnds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		noError(t, l.Trip(t.Context(), turnOf("a"), noPermission, 0))
		if ok, _, err := l.Probe(t.Context(), turnOf("a"), 20*time.Millisecond); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for {
			ok, wait := probe(t, l, "b")
			if ok {
				return
			}
			if wait > 20*time.Millisecond {
				t.Fatalf("the wait for a dead prober is %v, want at most its time", wait)
			}
			time.Sleep(wait)
		}
	})
}

// Who listens hears at once that a lane has changed.
func TestAChangeOfALaneIsSaid(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		s := c.Subscribe(t.Context(), tasks.WakeChannel)
		defer s.Close()
		if _, err := s.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		heard := s.Channel()
		for _, tt := range []struct {
			name   string
			change func() error
		}{
			{"pause", func() error { return l.PauseLane(t.Context(), account, "") }},
			{"resume", func() error { return l.ResumeLane(t.Context(), account) }},
			{"limit", func() error { return l.LimitLane(t.Context(), account, 8) }},
			{"trip", func() error { return l.Trip(t.Context(), turnOf("a"), noPermission, 0) }},
			{"untrip", func() error {
				probe(t, l, "a")
				return l.CloseBreaker(t.Context(), turnOf("a"))
			}},
		} {
			noError(t, tt.change())
			t.Logf("%s", tt.name) // the last one said nothing, if the test hangs here
			if m := <-heard; m.Payload != tasks.LaneMessage(account) {
				t.Errorf("%s says %q", tt.name, m.Payload)
			}
		}
	})
}

func TestAccountsWithUnresolvedNamesThem(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, job("a"))
		for _, tt := range []struct {
			by   tasks.Step
			want []string
		}{
			{by: "", want: nil},
			{by: tasks.StepBegin, want: []string{account}},
			{by: tasks.StepAmbiguous, want: []string{account}},
			{by: tasks.StepAbsent, want: nil},
		} {
			if tt.by != "" {
				step(t, l, get(t, l, "a"), tt.by)
			}
			got, err := l.AccountsWithUnresolved(t.Context(), []string{"other", account})
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("after %q: %v\n%s", tt.by, err, diff)
			}
		}
	})
}

// What one account has is no error of another's.
func TestEachLaneIsJudgedByItsOwnAnswers(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, l := t.Context(), open(t, c, 0)
		insert(t, c, job("a"))
		step(t, l, get(t, l, "a"), tasks.StepBegin)
		for _, key := range []string{"lane", "state:calling"} {
			if err := c.Set(ctx, "camsq:{provision:broken}:"+key, "x", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		lanes, errs := l.Lanes(ctx, []string{"broken", account})
		if len(errs) != 2 || errs[0] == nil || errs[1] != nil || lanes[1].Account != account || lanes[1].Now.IsZero() {
			t.Errorf("Lanes: %+v, %v", lanes, errs)
		}
		unresolved, err := l.AccountsWithUnresolved(ctx, []string{"broken", account})
		if err == nil || !strings.Contains(err.Error(), "account broken") || !slices.Equal(unresolved, []string{account}) {
			t.Errorf("AccountsWithUnresolved: %q, %v; want %s, and an error that names broken", unresolved, err, account)
		}
	})
}
