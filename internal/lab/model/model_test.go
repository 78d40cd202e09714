package model_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/lab/model"
	"github.com/camsq/camsq/tasks"
)

// bound is a configuration that is explored to its end.
type bound struct {
	name  string
	c     model.Config
	large bool // only with CAMSQ_MODEL=large: see make model
}

var bounds = []bound{
	{name: "one job", c: model.Config{Jobs: 1, Tries: 2, Callbacks: true}},
	{name: "one job, its name stands there", c: model.Config{Jobs: 1, Tries: 2, Callbacks: true, Old: true}},
	{name: "one job, its name stands there, adopt", c: model.Config{Jobs: 1, Tries: 2, Callbacks: true, Old: true, Existing: model.ExistingAdopt}},
	{name: "one job, its name stands there, create", c: model.Config{Jobs: 1, Tries: 2, Old: true, Existing: model.ExistingCreate}},
	{name: "one job, hold", c: model.Config{Jobs: 1, Tries: 2, Callbacks: true, Hold: true}},
	{name: "one job, an operator", c: model.Config{Jobs: 1, Tries: 2, Operator: true}},
	{name: "one job, hold, an operator", c: model.Config{Jobs: 1, Tries: 2, Hold: true, Operator: true}},
	{name: "two jobs of one name, create", c: model.Config{Jobs: 2, Tries: 1, SameName: true, Existing: model.ExistingCreate}},

	{name: "one job, five tries, an operator", large: true, c: model.Config{Jobs: 1, Tries: 5, Callbacks: true, Operator: true}},
	{name: "one job, hold, an operator, callbacks", large: true, c: model.Config{Jobs: 1, Tries: 3, Callbacks: true, Hold: true, Operator: true}},
	{name: "two jobs of one name, fail", large: true, c: model.Config{Jobs: 2, Tries: 2, SameName: true}},
	{name: "two jobs of one name, adopt", large: true, c: model.Config{Jobs: 2, Tries: 2, SameName: true, Existing: model.ExistingAdopt}},
	{name: "two jobs of one name, create, two tries", large: true, c: model.Config{Jobs: 2, Tries: 2, SameName: true, Existing: model.ExistingCreate}},
	{name: "two jobs of one name, create, callbacks", large: true, c: model.Config{Jobs: 2, Tries: 1, SameName: true, Existing: model.ExistingCreate, Callbacks: true}},
	{name: "two jobs of one name, hold, an operator", large: true, c: model.Config{Jobs: 2, Tries: 2, SameName: true, Existing: model.ExistingCreate, Hold: true, Operator: true}},
	{name: "two jobs of two names", large: true, c: model.Config{Jobs: 2, Tries: 2}},
}

func TestNothingBreaksARule(t *testing.T) {
	results := make([]model.Result, len(bounds))
	t.Run("bounds", func(t *testing.T) {
		for i, b := range bounds {
			if b.large && os.Getenv("CAMSQ_MODEL") != "large" {
				continue // make model
			}
			t.Run(b.name, func(t *testing.T) {
				if !b.large {
					t.Parallel() // the large ones would need their memory at once
				}
				r := model.Explore(b.c, model.Rules())
				t.Logf("%d states, %d transitions, at most %d steps away", r.States, r.Transitions, r.Depth)
				if r.Broken != nil {
					t.Error(r.Broken)
				}
				results[i] = r
			})
		}
	})
	taken := map[tasks.Step]bool{}
	for _, r := range results {
		maps.Copy(taken, r.Taken)
	}
	// What the model never does, it proves nothing about.
	want := map[tasks.Step]bool{}
	for _, e := range tasks.Edges() {
		want[e.By] = true
	}
	for _, by := range []tasks.Step{
		tasks.StepBlocked,        // is throttled, to the protocol
		tasks.StepChoose,         // several instances must stand there before
		tasks.StepSeveral,        // somebody else must make one meanwhile
		tasks.StepResolveCreated, // the list must be later than the window: TestHoldNeedsNoSettleWindow
	} {
		delete(want, by)
	}
	if diff := cmp.Diff(want, taken); diff != "" {
		t.Errorf("steps that were taken (-want +got):\n%s", diff)
	}
}

// known are mistakes, and assumptions that do not hold. Each breaks a rule.
var known = []struct {
	name  string
	c     model.Config
	flaw  model.Flaw
	rules []string
}{
	{"the mark after the call", one, model.MarkAfterCall, []string{model.OneInstance, model.Marked}},
	{"the mark cleared on a timer", one, model.MarkOnTimer, []string{model.OneInstance}},
	{"judging before the deadline", one, model.JudgeAtOnce, []string{model.OneInstance}},
	{"a retry after a timeout", one, model.RetryOnTimeout, []string{model.OneInstance, model.NoneMade}},
	{"no baseline", model.Config{Jobs: 1, Tries: 2, Old: true, Existing: model.ExistingCreate}, model.NoBaseline, []string{model.Own}},
	{"no claims of instances", twins, model.NoInstanceClaims, []string{model.Apart, model.Own}},
	{"no claim of the name", twins, model.NoNameLock, []string{model.Own, model.Undisputed}},
	{"settling without compare-and-swap", one, model.BlindSettle, []string{model.OneInstance, model.OnlyEdges, model.Final, model.Truth}},
	{"another's mark taken back", one, model.UnmarkAny, []string{model.OneInstance, model.Marked}},
	{"no sweeper", one, model.NoSweeper, []string{model.Ends}},

	{"the list later than the settle window", one, model.LateList, []string{model.OneInstance}},
	{"a frozen process that sends", one, model.FrozenSend, []string{model.OneInstance, model.Marked}},
	{"a Redis that loses a write", one, model.RedisForgets, []string{model.OneInstance}},
	{"a stranger who takes the name meanwhile", one, model.Stranger, []string{model.Own}},
}

var (
	one   = model.Config{Jobs: 1, Tries: 2, Callbacks: true}
	twins = model.Config{Jobs: 2, Tries: 1, SameName: true, Existing: model.ExistingCreate}
)

func TestEveryKnownMistakeIsCaught(t *testing.T) {
	broken := map[string]bool{}
	t.Run("mistakes", func(t *testing.T) {
		for _, k := range known {
			k.c.Flaw = k.flaw
			for _, name := range k.rules {
				broken[name] = true
				t.Run(k.name+"/"+name, func(t *testing.T) {
					t.Parallel()
					r := model.Explore(k.c, []model.Rule{rule(t, name)})
					if r.Broken == nil {
						t.Fatalf("%q holds in all %d states", name, r.States)
					}
					t.Logf("%d steps:\n%s", len(r.Broken.Trace), r.Broken)
				})
			}
		}
	})
	for _, r := range model.Rules() {
		if !broken[r.Name] {
			t.Errorf("no mistake is meant to break %q, so nobody knows whether it can be broken", r.Name)
		}
	}
}

func rule(t *testing.T, name string) model.Rule {
	t.Helper()
	rules := model.Rules()
	at := slices.IndexFunc(rules, func(r model.Rule) bool { return r.Name == name })
	if at < 0 {
		t.Fatalf("there is no rule %q", name)
	}
	return rules[at]
}

// With CAMSQ_ABSENT=hold an operator decides, and not a timer: then a list that is
// later than the window costs patience and no instance.
func TestHoldNeedsNoSettleWindow(t *testing.T) {
	t.Parallel()
	c := model.Config{Jobs: 1, Tries: 2, Hold: true, Operator: true, Flaw: model.LateList}
	r := model.Explore(c, []model.Rule{rule(t, model.OneInstance), rule(t, model.Own), rule(t, model.NoneMade), rule(t, model.Ends)})
	if r.Broken != nil {
		t.Error(r.Broken)
	}
	if !r.Taken[tasks.StepResolveCreated] {
		t.Error("the operator never named a late instance")
	}
}

// An instance that is not listed yet is not there for the second job's baseline.
func TestExistingFailIsNoPromiseWhileTheListIsLate(t *testing.T) {
	t.Parallel()
	r := model.Explore(model.Config{Jobs: 2, Tries: 1, SameName: true}, []model.Rule{model.Wish()})
	if r.Broken == nil {
		t.Fatal("CAMSQ_EXISTING=fail could be promised for two jobs of one name: make it a rule")
	}
	t.Logf("%d steps:\n%s", len(r.Broken.Trace), r.Broken)
}

func ExampleExplore() {
	atMostOne := model.Rules()[:1]
	r := model.Explore(model.Config{Jobs: 1, Tries: 2, Flaw: model.MarkOnTimer}, atMostOne)
	fmt.Println(r.Broken)
	// Output:
	//   1. worker 1 takes job 1: it is queued
	//   2. worker 1 claims the name of job 1
	//   3. worker 1 lists what stands there before the first call of job 1
	//   4. worker 1 writes "begin" for job 1
	//   5. worker 1 sends the request of job 1
	//   6. the API makes an instance for job 1; worker 1 gets the answer
	//   7. the deadline of the call of job 1 passes
	//   8. worker 2 takes job 1: it is calling, and its caller counts as dead
	//   9. worker 2 writes "unsent" for job 1
	//  10. worker 2 takes job 1: it is queued
	//  11. worker 2 claims the name of job 1
	//  12. worker 2 writes "begin" for job 1
	//  13. worker 2 sends the request of job 1
	//  14. the API makes an instance for job 1; worker 2 gets the answer
	// broken: a job makes at most one instance
}
