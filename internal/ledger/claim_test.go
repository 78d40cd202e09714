package ledger_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// twin is a job for the same instance name as other jobs.
func twin(id string) tasks.Job {
	j := job(id)
	j.Request.InstanceName = "viber_ins"
	return j
}

func mustClaim(t *testing.T, l *ledger.Ledger, r tasks.Record, want string) {
	t.Helper()
	if holder, err := l.LockName(t.Context(), r); err != nil || holder != want {
		t.Errorf("LockName by %s: %q, %v; want %q", r.ID, holder, err, want)
	}
}

func TestANameIsHeldByOneJobUntilItEnds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, twin("waits"), job("elsewhere"))
		waits := get(t, l, "waits")
		mustClaim(t, l, get(t, l, "elsewhere"), "elsewhere")

		for _, e := range tasks.Edges() {
			if e.From.Final() {
				continue // it has given its name back
			}
			r := place(t, c, l, twin(string(e.From)+"-"+string(e.By)), e.From)
			mustClaim(t, l, r, r.ID)
			mustClaim(t, l, r, r.ID) // once more: a turn that comes back
			mustClaim(t, l, waits, r.ID)
			end := step(t, l, r, e.By)
			if !end.State.Final() {
				mustClaim(t, l, waits, r.ID)
				if _, err := l.UpdateProgress(t.Context(), end, 0); err != nil {
					t.Fatal(err)
				}
				mustClaim(t, l, waits, r.ID)
				c.Del(t.Context(), prefix+"job:"+r.ID) // out of the way of the next
				continue
			}
			if key := prefix + "name:" + r.Request.NameKey(); c.Exists(t.Context(), key).Val() != 0 {
				t.Errorf("%s to %s left the name claimed", e.By, e.To)
			}
		}
		mustClaim(t, l, waits, "waits")
		mustClaim(t, l, get(t, l, "elsewhere"), "elsewhere")
	})
}

func TestANameIsTakenOverFromAJobThatIsGone(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, twin("heir"), twin("late"), twin("lost"))
		heir, late, lost := get(t, l, "heir"), get(t, l, "late"), get(t, l, "lost")

		mustClaim(t, l, lost, "lost")
		c.Del(t.Context(), prefix+"job:lost")
		mustClaim(t, l, heir, "heir")
		mustClaim(t, l, late, "heir")

		// A turn that was late claims for a job that has ended.
		heir = step(t, l, heir, tasks.StepCancel)
		mustClaim(t, l, heir, "heir")
		mustClaim(t, l, late, "late")

		// Who cannot be read may be alive.
		c.Set(t.Context(), prefix+"job:late", "2 from the future", 0)
		insert(t, c, twin("next"))
		mustClaim(t, l, get(t, l, "next"), "late")
	})
}

func TestEndingAJobLeavesAnothersName(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, twin("holds"), twin("waits"))
		mustClaim(t, l, get(t, l, "holds"), "holds")
		step(t, l, get(t, l, "waits"), tasks.StepCancel)
		// Asked of Redis: a claim would take the name again.
		if got := c.Get(t.Context(), prefix+"name:"+twin("").Request.NameKey()).Val(); got != "holds" {
			t.Errorf("the name is held by %q, want holds", got)
		}
	})
}

func create(t *testing.T, l *ledger.Ledger, r tasks.Record, instance string) (tasks.Record, error) {
	t.Helper()
	r = step(t, l, r, tasks.StepBegin)
	r.Instance = &tasks.EventInstance{InstanceID: instance}
	return l.Transition(t.Context(), r, tasks.StepSucceeded, 0)
}

func TestAnInstanceBelongsToOneJob(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, twin("a"), twin("b"))
		a, err := create(t, l, get(t, l, "a"), "cams-1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = create(t, l, get(t, l, "b"), "cams-1"); !errors.Is(err, tasks.ErrClaimed) {
			t.Errorf("the second job for cams-1: %v, want ErrClaimed", err)
		}
		if b := get(t, l, "b"); b.State != tasks.StateCalling || b.Instance != nil {
			t.Errorf("b stands %s with %+v, want it untouched", b.State, b.Instance)
		}
		a.Callback.State = tasks.CallbackDelivered
		if _, err = l.UpdateProgress(t.Context(), a, 0); err != nil {
			t.Errorf("noting the callback of the job that has it: %v", err)
		}

		claimed, err := l.Claimed(t.Context(), get(t, l, "b"), []string{"cams-1", "cams-2"})
		if diff := cmp.Diff(map[string]bool{"cams-1": true}, claimed); err != nil || diff != "" {
			t.Errorf("for b (-want +got): %v\n%s", err, diff)
		}
		claimed, err = l.Claimed(t.Context(), a, []string{"cams-2", "cams-1"})
		if err != nil || claimed["cams-1"] || claimed["cams-2"] {
			t.Errorf("for a itself: %v, %v; want none claimed by others", claimed, err)
		}
		if claimed, err = l.Claimed(t.Context(), a, nil); err != nil || len(claimed) != 0 {
			t.Errorf("of no instances: %v, %v", claimed, err)
		}
	})
}

// An instance whose name another job holds is that job's to record, while a call of it may
// have made one: a job in another state, or a lock that is left of one, explains nothing.
func TestANameIsTakenWhileItsJobMayHaveMadeAnInstance(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		mine := place(t, c, l, twin("mine"), tasks.StateUncertain)
		mustClaim(t, l, mine, "mine")
		keys := map[string]string{"mine": mine.Request.NameKey(), "free": tasks.NameKey("VIBER", "free")}
		for _, state := range tasks.States() {
			j := job(string(state))
			j.Request.InstanceName = "Shop " + string(state)
			r := place(t, c, l, j, state)
			mustClaim(t, l, r, r.ID) // of one that has ended: by a turn that was late
			keys[string(state)] = tasks.NameKey("viber", "SHOP\u00a0"+string(state))
		}
		insert(t, c, job("gone"), job("unreadable"))
		for _, id := range []string{"gone", "unreadable"} {
			r := get(t, l, id)
			mustClaim(t, l, r, id)
			keys[id] = r.Request.NameKey()
		}
		c.Del(t.Context(), prefix+"job:gone")
		c.Set(t.Context(), prefix+"job:unreadable", "9 what", 0)

		var all []string
		for _, key := range keys {
			all = append(all, key)
		}
		taken, err := l.Taken(t.Context(), mine, all)
		if err != nil {
			t.Fatal(err)
		}
		for id, key := range keys {
			if want := id == string(tasks.StateCalling) || id == string(tasks.StateUncertain); taken[key] != want {
				t.Errorf("the name of %s: taken is %t, want %t", id, taken[key], want)
			}
		}
		if taken, err := l.Taken(t.Context(), mine, nil); err != nil || len(taken) != 0 {
			t.Errorf("of no names: %v, %v", taken, err)
		}
	})
}

// Names that the API may keep as one are locked as one.
func TestNamesThatMayBeStoredAlikeAreClaimedAsOne(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		a, b, other := twin("a"), twin("b"), twin("c")
		a.Request.InstanceName, b.Request.InstanceName, other.Request.InstanceName = "Acme Süd", "ACMESU\u0308D", "Acme Sud"
		insert(t, c, a, b, other)
		mustClaim(t, l, get(t, l, "a"), "a")
		mustClaim(t, l, get(t, l, "b"), "a")
		mustClaim(t, l, get(t, l, "c"), "c")
		step(t, l, get(t, l, "a"), tasks.StepCancel)
		mustClaim(t, l, get(t, l, "b"), "b")
	})
}

func TestAnInstanceIsFreeAgainWhenItsRecordExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l := open(t, c, time.Hour)
		insert(t, c, twin("a"))
		a, err := create(t, l, get(t, l, "a"), "cams-1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Minute)
		if _, err := l.UpdateProgress(t.Context(), a, 0); err != nil { // renews both
			t.Fatal(err)
		}
		time.Sleep(50 * time.Minute)
		insert(t, c, twin("b"))
		if _, err := create(t, l, get(t, l, "b"), "cams-1"); !errors.Is(err, tasks.ErrClaimed) {
			t.Errorf("while the record is there: %v, want ErrClaimed", err)
		}
		time.Sleep(11 * time.Minute)
		if _, err := l.Get(t.Context(), a.Ref()); !errors.Is(err, tasks.ErrNotFound) {
			t.Fatalf("the record is still there: %v", err)
		}
		b := get(t, l, "b")
		b.Instance = &tasks.EventInstance{InstanceID: "cams-1"}
		if _, err := l.Transition(t.Context(), b, tasks.StepSucceeded, 0); err != nil {
			t.Errorf("after the record expired: %v, want it free", err)
		}
	})
}

func TestTheCallbackListsFollowTheRecord(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		r := place(t, c, l, job("a"), tasks.StateCreated)
		all := append(tasks.CallbackStates(), tasks.CallbackNone)
		for _, from := range all {
			for _, to := range all {
				for _, s := range []tasks.CallbackState{from, to} {
					var err error
					r.Callback.State = s
					if r, err = l.UpdateProgress(t.Context(), r, 0); err != nil {
						t.Fatal(err)
					}
				}
				for _, list := range []ledger.List{ledger.OwedCallbacks, ledger.DeadCallbacks} {
					want := string(to) == string(list)
					if got := slices.Contains(members(t, c, string(list)), "a"); got != want {
						t.Errorf("from %q to %q: in the list %s: %v, want %v", from, to, list, got, want)
					}
				}
			}
		}
	})
}
