package worker_test

import (
	"context"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// storing are ways in which an API may keep names. None is documented.
var storing = map[string]func(string) string{
	"lower case":            strings.ToLower,
	"upper case":            strings.ToUpper,
	"white space collapsed": func(s string) string { return strings.Join(strings.Fields(s), " ") },
	"white space dropped":   func(s string) string { return strings.Join(strings.Fields(s), "") },
	"hyphens for spaces":    func(s string) string { return strings.ReplaceAll(s, " ", "-") },
	"composed, collapsed":   func(s string) string { return strings.Join(strings.Fields(norm.NFC.String(s)), " ") },
	"letters and marks":     norm.NFD.String,
	"escaped for HTML":      html.EscapeString,
	"escaped for a URL":     url.QueryEscape,
	"ASCII only": func(s string) string {
		return strings.Map(func(r rune) rune {
			if r > 126 {
				return '?'
			}
			return r
		}, s)
	},
	"cut off":        func(s string) string { return s[:4] },
	"with a suffix":  func(s string) string { return s + "-1" },
	"with a prefix":  func(s string) string { return "cams_" + s },
	"something else": func(s string) string { return fmt.Sprint(len(s)) },
}

// losingAnswers makes each create and loses its answer.
func losingAnswers(d *fixture, c *worker.Config) {
	c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
		_, _ = d.cloud.CreateInstance(ctx, q)
		return cams.Instance{}, noAnswer()
	}}
}

// losingAll loses each create before it makes anything.
var losingAll = answering(noAnswer())

func storedAs(store func(string) string) func(*fixture, *worker.Config) {
	return func(d *fixture, _ *worker.Config) { d.cloud.store = store }
}

func called2(name string) tasks.Record {
	r := queued()
	r.Request.InstanceName = name
	return r
}

// Whatever the API makes of a name: the instance that it lists for that name is not
// absent, and no second one is made.
func TestANearMatchIsHeldAndNeverAbsent(t *testing.T) {
	for way, store := range storing {
		for _, name := range []string{"Acme  Support", "CafeUpper & X", "normCafe\u0301 Zz", "plain-one"} {
			bubble(t, way+", "+name, func(t *testing.T) {
				d := newFixture(t, losingAnswers, storedAs(store))
				d.ledger.put(called2(name))
				start := time.Now()
				r := d.toEnd(t)
				want(t, "creates", d.cloud.creates, 1)
				if store(name) == name {
					want(t, "state, instance", []any{r.State, r.Instance.InstanceID}, []any{tasks.StateCreated, "1000"})
					return
				}
				want(t, "state, code, candidates", []any{r.State, r.Code, r.Candidates}, []any{tasks.StateHeld, tasks.CodeNearMatch, []string{"1000"}})
				if !strings.Contains(d.log.String(), `level=WARN msg="job held"`) {
					t.Error("the log does not warn of a job that waits for an operator")
				}
				if took := time.Since(start); took < 3*time.Minute {
					t.Errorf("it was held after %v: another job may still have recorded that instance", took)
				}
				if !strings.Contains(r.Message, "1000 "+tasks.Reveal(store(name), 80)) {
					t.Errorf("the message does not say how the instance is called: %s", r.Message)
				}
				want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
				want(t, "looks", slices.Contains(d.looks, "absent"), false)
			})
		}
	}
}

func TestAnExactMatchWinsOverNearOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, losingAnswers)
		d.cloud.store, d.cloud.part = nil, true
		d.ledger.put(queued())
		if _, err := d.turn(t); err == nil {
			t.Fatal("the answer was not lost")
		}
		d.cloud.add("VIBER", "shop 2")
		r := d.toEnd(t)
		want(t, "state, instance", []any{r.State, r.Instance.InstanceID}, []any{tasks.StateCreated, "1000"})
	})
}

// The API may list for a name whatever contains it. What other jobs have, what stood
// there before, and what another job is just making is no near match.
func TestWhatOtherJobsExplainIsNoNearMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := true
		d := newFixture(t, func(d *fixture, c *worker.Config) {
			d.cloud.part = true
			c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
				if lost {
					lost = false
					return cams.Instance{}, noAnswer()
				}
				return d.cloud.CreateInstance(ctx, q)
			}}
		})
		for i := range 3000 { // others have them
			d.ledger.instances[d.cloud.add("VIBER", fmt.Sprint("shop-", i)).InstanceID] = fmt.Sprint("other-", i)
		}
		for i := range 100 { // by hand, before
			d.cloud.add("VIBER", fmt.Sprint("a shop by hand ", i))
		}
		d.ledger.put(queued())
		_, _ = d.turn(t)
		want(t, "state, noted", []any{d.job(t).State, len(d.job(t).Nearby), d.job(t).NearbyMany}, []any{tasks.StateUncertain, 100, false})
		for i := range 100 { // meanwhile, by jobs that have not recorded them
			r := called2(fmt.Sprint("SHOP later ", i))
			r.ID, r.State = fmt.Sprint("later-", i), tasks.StateCalling
			d.ledger.put(r)
			if _, err := d.ledger.LockName(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			d.cloud.add("VIBER", fmt.Sprint("shop later ", i))
		}
		r := d.toEnd(t)
		want(t, "state, creates", []any{r.State, d.cloud.creates}, []any{tasks.StateCreated, 1})
		want(t, "noted", len(r.Nearby), 0)
	})
}

// An instance that another job records within the settle window is that job's, however
// the API calls it.
func TestANearMatchThatAnotherJobRecordsIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, config(func(c *worker.Config) { c.OnNotFound = worker.NotFoundHold }), losingAll)
		d.cloud.part = true
		d.ledger.put(queued())
		_, _ = d.turn(t)
		i := d.cloud.add("VIBER", "shop of another")
		go func() {
			time.Sleep(2 * time.Minute)
			d.ledger.mu.Lock()
			defer d.ledger.mu.Unlock()
			d.ledger.instances[i.InstanceID] = "job-0"
		}()
		r := d.toEnd(t)
		want(t, "state, code", []any{r.State, r.Code}, []any{tasks.StateHeld, tasks.CodeAbsent})
		want(t, "looks", []bool{slices.Contains(d.looks, "near"), d.looks[len(d.looks)-1] == "absent"}, []bool{true, true})
	})
}

// Where the API returns so many others that they cannot be noted, an instance that is
// not found by its own name may be among them.
func TestAmongTooManyOthersNothingIsAbsent(t *testing.T) {
	for _, made := range []bool{false, true} {
		bubble(t, fmt.Sprint("made: ", made), func(t *testing.T) {
			d := newFixture(t, losingAnswers)
			if !made {
				d = newFixture(t, losingAll)
			}
			d.cloud.part = true
			for i := range 501 {
				d.cloud.add("VIBER", fmt.Sprint("shop-", i))
			}
			d.ledger.put(queued())
			r := d.toEnd(t)
			if made {
				want(t, "state, instance", []any{r.State, r.Instance.InstanceID}, []any{tasks.StateCreated, "1501"})
				return
			}
			want(t, "state, code, candidates", []any{r.State, r.Code, len(r.Candidates)}, []any{tasks.StateHeld, tasks.CodeNearMatch, 0})
			if !strings.Contains(r.Message, "more than 500 others") {
				t.Errorf("message: %s", r.Message)
			}
			want(t, "noted", len(r.Nearby) <= 500 && r.NearbyMany, true)

			// An operator knows that there is none. That is asked once.
			d.decide(t, operate.Decision{By: tasks.StepResolveAbsent})
			d.Worker = newFixture(t, func(n *fixture, c *worker.Config) {
				n.ledger, n.cloud = d.ledger, d.cloud
				c.Store, c.Lanes[0].API = d.ledger, d.cloud
			}).Worker
			want(t, "state", d.toEnd(t).State, tasks.StateCreated)
			want(t, "creates", d.cloud.creates, 1)
		})
	}
}

// Of many candidates some are named, and an operator's word counts for all of them.
func TestAPersonsWordCountsForEveryCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := true
		d := newFixture(t, func(d *fixture, c *worker.Config) {
			d.cloud.part = true
			c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
				if !lost {
					return d.cloud.CreateInstance(ctx, q)
				}
				lost = false
				for i := range 130 {
					d.cloud.add("VIBER", fmt.Sprintf("shop %d %s", i, strings.Repeat("x", 200)))
				}
				return cams.Instance{}, noAnswer()
			}}
		})
		d.ledger.put(queued())
		r := d.toEnd(t)
		want(t, "state, code, candidates", []any{r.State, r.Code, len(r.Candidates)}, []any{tasks.StateHeld, tasks.CodeNearMatch, 50})
		if !strings.Contains(r.Message, "and 120 more") || len(r.Message) > 2000 {
			t.Errorf("message of %d bytes: %s", len(r.Message), r.Message)
		}
		d.decide(t, operate.Decision{By: tasks.StepResolveAbsent})
		want(t, "state, creates", []any{d.toEnd(t).State, d.cloud.creates}, []any{tasks.StateCreated, 1})
	})
}

// What comes after an operator's word is not covered by it.
func TestANearMatchThatComesLateIsHeldToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, losingAnswers, storedAs(strings.ToUpper), config(func(c *worker.Config) { c.OnNotFound = worker.NotFoundHold }))
		d.cloud.lag = time.Hour
		d.ledger.put(queued())
		r := d.toEnd(t)
		want(t, "state, code", []any{r.State, r.Code}, []any{tasks.StateHeld, tasks.CodeAbsent})
		d.decide(t, operate.Decision{By: tasks.StepResolveAbsent})
		time.Sleep(time.Hour)
		r = d.toEnd(t)
		want(t, "state, code, candidates, creates", []any{r.State, r.Code, r.Candidates, d.cloud.creates},
			[]any{tasks.StateHeld, tasks.CodeNearMatch, []string{"1000"}, 1})
		d.decide(t, operate.Decision{By: tasks.StepResolveCreated, InstanceID: "1000"})
		want(t, "state", d.job(t).State, tasks.StateCreated)
	})
}

// decide is what an operator decides about job-1.
func (d *fixture) decide(t *testing.T, decision operate.Decision) {
	t.Helper()
	o := operate.Operator{Store: withOwner{d.ledger}, Queue: noQueue{d.callbacks}}
	if _, err := o.Resolve(t.Context(), job1, decision); err != nil {
		t.Fatal(err)
	}
}

type withOwner struct{ *fakeStore }

func (m withOwner) InstanceOwner(_ context.Context, _, instanceID string) (string, error) {
	return m.instances[instanceID], nil
}

type noQueue struct{ *fakeQueue }

func (noQueue) Provision(context.Context, string, []string) error { return nil }

func TestMoreInstancesOfANameThanCanBeHeldInMindAreLeftToAPerson(t *testing.T) {
	for _, state := range []tasks.State{tasks.StateQueued, tasks.StateUncertain} {
		bubble(t, string(state), func(t *testing.T) {
			d := newFixture(t, config(func(c *worker.Config) { c.OnExisting = worker.ExistingCreate }))
			for range cams.MaxFound + 1 {
				d.cloud.add("VIBER", "shop")
			}
			r := queued()
			if state == tasks.StateUncertain {
				r = called(state, 0)
				r.Doubted = true
			}
			d.ledger.put(r)
			r, err := d.turn(t)
			noError(t, err)
			want(t, "state, code, candidates, creates", []any{r.State, r.Code, len(r.Candidates), d.cloud.creates},
				[]any{tasks.StateHeld, tasks.CodeSeveral, 50, 0})
			if len(r.Message) > 200 || !strings.Contains(r.Message, "more than 1000") {
				t.Errorf("message: %s", r.Message)
			}
			d.decide(t, operate.Decision{By: tasks.StepResolveAbsent})
			want(t, "state, creates", []any{d.toEnd(t).State, d.cloud.creates}, []any{tasks.StateCreated, 1})
		})
	}
}

// Two names that an API may keep as one: their jobs never overlap, and neither takes the
// other's instance.
func TestTwoJobsWhoseNamesDifferInCaseOnly(t *testing.T) {
	for _, existing := range []worker.OnExisting{worker.ExistingFail, worker.ExistingCreate} {
		bubble(t, string(existing), func(t *testing.T) {
			d := newFixture(t, losingAnswers, storedAs(strings.ToLower), config(func(c *worker.Config) { c.OnExisting = existing }))
			second := called2("acme")
			second.ID = "job-2"
			d.ledger.put(called2("Acme"))
			d.ledger.put(second)
			turn := func() tasks.Record {
				_ = d.Process(t.Context(), second.Ref())
				r, _ := d.ledger.Get(t.Context(), second.Ref())
				return r
			}
			_, _ = d.turn(t)
			want(t, "the second while the first is in doubt", turn().State, tasks.StateQueued)
			r := d.toEnd(t)
			want(t, "the first: state, candidates", []any{r.State, r.Candidates}, []any{tasks.StateHeld, []string{"1000"}})
			want(t, "the second while the first is held", turn().State, tasks.StateQueued)

			d.decide(t, operate.Decision{By: tasks.StepResolveCreated, InstanceID: "1000"})
			for range 300 {
				if r = turn(); r.State.Final() {
					break
				}
				time.Sleep(time.Second)
			}
			if existing == worker.ExistingFail {
				want(t, "the second: state, code, creates", []any{r.State, r.Code, d.cloud.creates}, []any{tasks.StateFailed, tasks.CodeExists, 1})
				return
			}
			want(t, "the second: state, creates", []any{r.State, d.cloud.creates}, []any{tasks.StateCreated, 2})
			want(t, "its instance", r.Instance.InstanceID, "1001")
		})
	}
}

// The same against the stand-in, with all of it between: names go in at the door, the
// cloud keeps them its way, and loses the first answer of each.
func TestAnAPIThatKeepsNamesItsWayMakesNoSecondInstance(t *testing.T) {
	for _, way := range []string{"lower case", "white space dropped", "composed, collapsed", "cut off", "with a suffix"} {
		bubble(t, way, func(t *testing.T) {
			store := storing[way]
			w := newCluster(t, camstest.Config{Calm: true, StoreName: store, FilterStored: true})
			jobs := map[string]string{"a": "Acme  Support", "b": "CafeUpper X", "c": "Delta Shop", "d": "plain-one", "e": "normCafe\u0301"}
			for id, name := range jobs {
				w.cloud.Next("CreateInstance", camstest.Fault{Created: true, Reply: camstest.ReplyReset})
				_, err := w.producer.Create(t.Context(), tasks.Job{
					ID: id, Account: account, CallbackURL: "https://example.com/hook", Request: tasks.Request{ChannelType: "VIBER", InstanceName: name},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			w.start()
			w.awaitEnd(10*time.Minute, "a", "b", "c", "d", "e")
			if n := len(w.cloud.Instances()); n != len(jobs) {
				t.Errorf("%d instances for %d jobs", n, len(jobs))
			}
			for id := range jobs {
				r := w.record(id)
				kept := r.Request.InstanceName
				state, code := tasks.StateCreated, "OK"
				if store(kept) != kept {
					state, code = tasks.StateHeld, tasks.CodeNearMatch
				}
				want(t, id+": state, code", []any{r.State, r.Code}, []any{state, code})
			}
		})
	}
}
