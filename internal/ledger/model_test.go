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
	Batch  map[string]batchBooks
	Names  map[string]string // the holder of each name
	Owners map[string]string // the job of each instance
}

// batchBooks is what the counts of a batch say.
type batchBooks struct {
	Jobs              map[tasks.State]int64
	Codes             map[string]int64
	Closed, Completed bool
	Completions       int64
}

// batchModel is how many jobs a batch had when it was closed, and when it was
// completed; 0 if that does not hold any more.
type batchModel struct{ jobs, open, closed, completed, completions int64 }

// batchModels counts the jobs of each batch, and completes what is complete.
func batchModels(models map[string]*batchModel, model map[string]tasks.Record) {
	for _, m := range models {
		m.jobs, m.open = 0, 0
	}
	for _, r := range model {
		if r.Batch == "" {
			continue
		}
		if models[r.Batch] == nil {
			models[r.Batch] = new(batchModel)
		}
		m := models[r.Batch]
		m.jobs++
		if !r.State.Final() {
			m.open++
		}
	}
	for _, m := range models {
		if m.open > 0 {
			m.completed = 0
		}
		if m.open == 0 && m.closed == m.jobs && m.completed != m.jobs {
			m.completed = m.jobs
			m.completions++
		}
	}
}

var listed = []tasks.State{tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain, tasks.StateHeld, tasks.StateFailed}

// truth is what they should say.
func truth(model map[string]tasks.Record, holders map[string]string, batches map[string]*batchModel) books {
	b := emptyBooks()
	maps.Copy(b.Names, holders)
	for name, m := range batches {
		for n := range m.completions {
			b.list("batches:owed", tasks.BatchRef{Batch: name, Completion: n + 1}.Key())
		}
	}
	slices.Sort(b.Lists["batches:owed"])
	for _, id := range slices.Sorted(maps.Keys(model)) {
		r := model[id]
		b.Jobs[r.State]++
		if r.Batch != "" {
			batch, there := b.Batch[r.Batch]
			if !there {
				m := batches[r.Batch]
				batch = batchBooks{
					Jobs: zeros(), Codes: map[string]int64{}, Closed: m.closed == m.jobs, Completed: m.completed == m.jobs, Completions: m.completions,
				}
				b.Batch[r.Batch] = batch
			}
			batch.Jobs[r.State]++
			if code := r.Code; r.State == tasks.StateFailed {
				if code == "" {
					code = tasks.CodeOther
				}
				batch.Codes[code]++
			}
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
		Lists: map[string][]string{}, Jobs: zeros(), Batch: map[string]batchBooks{},
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
	lists := []string{"owed", "dead", "batches:owed", "batches:dead"}
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
	if o.PendingCallbacks != int64(len(b.Lists["owed"])+len(b.Lists["batches:owed"])) || o.DeadCallbacks != int64(len(b.Lists["dead"])) {
		t.Errorf("Overview counts %d owed and %d dead", o.PendingCallbacks, o.DeadCallbacks)
	}
	batches, err := l.Batches(ctx, account, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range batches {
		batch, err := l.Batch(ctx, account, name)
		if err != nil {
			t.Fatal(err)
		}
		b.Batch[name] = batchBooks{batch.Jobs, batch.Codes, !batch.Closed.IsZero(), !batch.Completed.IsZero(), batch.Completions}
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
		batches := map[string]*batchModel{}

		for i := range 600 {
			ids := slices.Sorted(maps.Keys(model))
			if i%12 == 0 || len(ids) == 0 {
				j := job("j" + strconv.Itoa(i))
				j.Batch = []string{"", "march", "april 2nd", "solo", fmt.Sprintf("solo %d", i)}[random.IntN(5)]
				j.Priority = []tasks.Priority{tasks.PriorityNormal, tasks.PriorityHigh}[random.IntN(2)]
				j.Request.InstanceName = "name" + strconv.Itoa(random.IntN(40))
				insert(t, c, j)
				model[j.ID] = get(t, l, j.ID)
				batchModels(batches, model)
				continue
			}
			if i%7 == 0 {
				names := append(slices.Sorted(maps.Keys(batches)), "none")
				name := names[random.IntN(len(names))]
				if m := batches[name]; m != nil {
					m.closed = m.jobs
				}
				batchModels(batches, model)
				got, err := l.CloseBatch(t.Context(), account, name)
				var want int64
				if m := batches[name]; m != nil && m.completed == m.jobs {
					want = m.completions
				}
				if err != nil || got != want {
					t.Fatalf("step %d: CloseBatch(%s): %d, %v; want %d", i, name, got, err, want)
				}
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
					if _, err := l.UpdateProgress(t.Context(), old, 0); err == nil {
						t.Fatalf("step %d: a write from an old revision of %s was taken", i, id)
					}
				}
				continue
			case what == 1 && r.State.Final():
				continue
			case what == 1:
				holder, err := l.LockName(t.Context(), r)
				want := id
				if other, held := holders[r.Request.InstanceName]; held {
					want = other
				}
				if err != nil || holder != want {
					t.Fatalf("step %d: LockName by %s: %q, %v; want %q", i, id, holder, err, want)
				}
				holders[r.Request.InstanceName] = holder
				continue
			case what < 4 || len(steps) == 0:
				got, err = l.UpdateProgress(t.Context(), r, time.Duration(random.IntN(3))*time.Second)
			default:
				e := steps[random.IntN(len(steps))]
				if e.To == tasks.StateCreated {
					r.Instance = &tasks.EventInstance{InstanceID: "cams-" + id}
				}
				r.Code = []string{"", "Quota", "InvalidParameter.Name", "NoPermission"}[random.IntN(4)]
				got, err = l.Transition(t.Context(), r, e.By, 0)
			}
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if got.State.Final() && holders[r.Request.InstanceName] == id {
				delete(holders, r.Request.InstanceName)
			}
			var before int64
			if m := batches[r.Batch]; m != nil {
				before = m.completions
			}
			completes := got.Completes
			got.Completes = 0
			stale[id], model[id] = model[id], got
			batchModels(batches, model)
			if m := batches[r.Batch]; m != nil && (m.completions > before) != (completes > 0) || completes > 0 && completes != m.completions {
				t.Fatalf("step %d: job %s completes %d of its batch; want %+v", i, id, completes, m)
			}
			if i%50 == 0 {
				if diff := cmp.Diff(truth(model, holders, batches), read(t, c, l, model)); diff != "" {
					t.Fatalf("after step %d (-truth +redis):\n%s", i, diff)
				}
			}
		}
		var completions int64
		for _, m := range batches {
			completions += m.completions
		}
		t.Logf("%d completions of %d batches", completions, len(batches))
		if diff := cmp.Diff(truth(model, holders, batches), read(t, c, l, model)); diff != "" {
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
