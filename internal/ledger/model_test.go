package ledger_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// books is what the indexes and counters of an account say.
type books struct {
	Lists  map[string][]string
	Jobs   map[tasks.State]int64
	Batch  map[string]map[tasks.State]int64
	Names  map[string]string // the holder of each name
	Owners map[string]string // the job of each instance
}

var listed = []tasks.State{tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain, tasks.StateHeld, tasks.StateFailed}

// truth is what they should say.
func truth(model map[string]tasks.Record, holders map[string]string) books {
	b := emptyBooks()
	maps.Copy(b.Names, holders)
	for _, id := range slices.Sorted(maps.Keys(model)) {
		r := model[id]
		b.Jobs[r.State]++
		if r.Batch != "" {
			if b.Batch[r.Batch] == nil {
				b.Batch[r.Batch] = zeros()
			}
			b.Batch[r.Batch][r.State]++
		}
		if slices.Contains(listed, r.State) {
			b.list("state:"+string(r.State), id)
		}
		if s := r.Callback.State; s == tasks.CallbackOwed || s == tasks.CallbackDead {
			b.list(string(s), id)
		}
		if r.State == tasks.StateCreated && r.Instance != nil {
			b.Owners[r.Instance.InstanceID] = id
		}
	}
	return b
}

func emptyBooks() books {
	return books{
		Lists: map[string][]string{}, Jobs: zeros(), Batch: map[string]map[tasks.State]int64{},
		Names: map[string]string{}, Owners: map[string]string{},
	}
}

func zeros() map[tasks.State]int64 {
	m := map[tasks.State]int64{}
	for _, s := range tasks.States() {
		m[s] = 0
	}
	return m
}

func (b books) list(name, id string) { b.Lists[name] = append(b.Lists[name], id) }

// read tells what they do say.
func read(t *testing.T, c redis.UniversalClient, l *ledger.Ledger, model map[string]tasks.Record) books {
	t.Helper()
	b, ctx := emptyBooks(), t.Context()
	lists := []string{"owed", "dead"}
	for _, s := range tasks.States() {
		lists = append(lists, "state:"+string(s))
	}
	for _, name := range lists {
		if ids := members(t, c, name); len(ids) > 0 {
			b.Lists[name] = ids
		}
	}
	o, err := l.Overview(ctx, account)
	if err != nil {
		t.Fatal(err)
	}
	b.Jobs = o.Jobs
	if o.Owed != int64(len(b.Lists["owed"])) || o.Dead != int64(len(b.Lists["dead"])) {
		t.Errorf("Overview counts %d owed and %d dead", o.Owed, o.Dead)
	}
	batches, err := l.Batches(ctx, account, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range batches {
		if b.Batch[name], err = l.Batch(ctx, account, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range model {
		if holder := c.Get(ctx, prefix+"name:"+r.Request.NameKey()).Val(); holder != "" {
			b.Names[r.Request.InstanceName] = holder
		}
		if r.Instance != nil {
			if owner := c.Get(ctx, prefix+"instance:"+r.Instance.InstanceID).Val(); owner != "" {
				b.Owners[r.Instance.InstanceID] = owner
			}
		}
	}
	return b
}

func TestIndexesAndCountsAreAlwaysTheTruth(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		l := open(t, c, 0)
		model, stale, holders := map[string]tasks.Record{}, map[string]tasks.Record{}, map[string]string{}
		callbacks := append(tasks.CallbackStates(), tasks.CallbackNone)

		for i := range 600 {
			ids := slices.Sorted(maps.Keys(model))
			if i%12 == 0 || len(ids) == 0 {
				j := job("j" + strconv.Itoa(i))
				j.Batch = []string{"", "march", "april 2nd"}[random.IntN(3)]
				j.Priority = []tasks.Priority{tasks.PriorityNormal, tasks.PriorityHigh}[random.IntN(2)]
				j.Request.InstanceName = "name" + strconv.Itoa(random.IntN(40))
				insert(t, c, j)
				model[j.ID] = get(t, l, j.ID)
				continue
			}
			id := ids[random.IntN(len(ids))]
			r := model[id]
			r.Callback.State = callbacks[random.IntN(len(callbacks))]
			var steps []tasks.Edge
			for _, e := range tasks.Edges() {
				if e.From == r.State {
					steps = append(steps, e)
				}
			}
			var got tasks.Record
			var err error
			switch what := random.IntN(10); {
			case what == 0: // a write from a revision that is past
				if old, ok := stale[id]; ok {
					if _, err := l.Note(t.Context(), old, 0); err == nil {
						t.Fatalf("step %d: a write from an old revision of %s was taken", i, id)
					}
				}
				continue
			case what == 1 && r.State.Final():
				continue
			case what == 1:
				holder, err := l.Claim(t.Context(), r)
				want := id
				if other, held := holders[r.Request.InstanceName]; held {
					want = other
				}
				if err != nil || holder != want {
					t.Fatalf("step %d: Claim by %s: %q, %v; want %q", i, id, holder, err, want)
				}
				holders[r.Request.InstanceName] = holder
				continue
			case what < 4 || len(steps) == 0:
				got, err = l.Note(t.Context(), r, time.Duration(random.IntN(3))*time.Second)
			default:
				e := steps[random.IntN(len(steps))]
				if e.To == tasks.StateCreated {
					r.Instance = &tasks.EventInstance{InstanceID: "cams-" + id}
				}
				got, err = l.Step(t.Context(), r, e.By, 0)
			}
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if got.State.Final() && holders[r.Request.InstanceName] == id {
				delete(holders, r.Request.InstanceName)
			}
			stale[id], model[id] = model[id], got
			if i%50 == 0 {
				if diff := cmp.Diff(truth(model, holders), read(t, c, l, model)); diff != "" {
					t.Fatalf("after step %d (-truth +redis):\n%s", i, diff)
				}
			}
		}
		if diff := cmp.Diff(truth(model, holders), read(t, c, l, model)); diff != "" {
			t.Fatalf("at the end (-truth +redis):\n%s", diff)
		}
	})
}

func TestPagesHoldEveryJobOnceWhateverTheirNumber(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	l := open(t, c, 0)
	for _, n := range []int{1, 999, 1000, 1003} { // 1, 1000, 2000 and 3003 in all
		var jobs []tasks.Job
		for i := range n {
			jobs = append(jobs, job(fmt.Sprintf("j%d-%d", n, i)))
		}
		insert(t, c, jobs...)
		total, err := l.CountUnfinished(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for ids, err := range l.Unfinished(t.Context(), account, 0) {
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if seen[id] {
					t.Errorf("job %s came twice", id)
				}
				seen[id] = true
			}
		}
		if int64(len(seen)) != total {
			t.Errorf("the pages hold %d jobs, CountUnfinished says %d", len(seen), total)
		}
	}
}
