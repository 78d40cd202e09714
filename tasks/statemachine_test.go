package tasks_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/tasks"
)

const statePage = "../docs/state_machine.md"

func TestThePageOfTheStateMachineIsFresh(t *testing.T) {
	want := drawStates(t)
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(statePage, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(statePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/state_machine.md is stale; UPDATE=1 go test ./tasks writes it (-want +got):\n%s", diff)
	}
}

func TestOnlyTheBeginEdgeFromQueuedLeadsToACall(t *testing.T) {
	begins := 0
	for _, e := range tasks.Edges() {
		switch {
		case e.To != tasks.StateCalling:
		case e.From == tasks.StateQueued && e.By == tasks.StepBegin:
			begins++
		default:
			t.Errorf("%s --%s--> %s also leads to a call", e.From, e.By, e.To)
		}
	}
	if begins != 1 {
		t.Errorf("%d edges begin a call, want 1", begins)
	}
}

func TestEveryOutcomeIsAStepFromCallingAndNoOtherStepLeavesIt(t *testing.T) {
	want := map[tasks.Outcome]tasks.State{
		tasks.OutcomeAmbiguous: tasks.StateUncertain,
		tasks.OutcomeSucceeded: tasks.StateCreated,
		tasks.OutcomeRejected:  tasks.StateFailed,
		tasks.OutcomeThrottled: tasks.StateQueued,
		tasks.OutcomeBlocked:   tasks.StateQueued,
		tasks.OutcomeUnsent:    tasks.StateQueued,
	}
	got := map[tasks.Outcome]tasks.State{}
	steps := map[tasks.Step]bool{}
	for _, o := range tasks.Outcomes() {
		to, err := tasks.Next(tasks.StateCalling, o.Step())
		if err != nil {
			t.Errorf("outcome %s: %v", o, err)
		}
		got[o], steps[o.Step()] = to, true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("where the outcomes lead (-want +got):\n%s", diff)
	}
	for _, e := range tasks.Edges() {
		if e.From == tasks.StateCalling && !steps[e.By] && e.By != tasks.StepFound {
			t.Errorf("step %s leaves calling, is no outcome, and is no find", e.By)
		}
	}
}

func TestOnlyALookupLeavesUncertainAndOnlyAPersonLeavesHeldOrFailed(t *testing.T) {
	allowed := map[tasks.State]map[tasks.Step]bool{
		tasks.StateUncertain: {tasks.StepFound: true, tasks.StepSeveral: true, tasks.StepAbsent: true, tasks.StepUnfound: true},
		tasks.StateHeld:      {tasks.StepResolveCreated: true, tasks.StepResolveAbsent: true, tasks.StepResolveFailed: true},
		tasks.StateFailed:    {tasks.StepRetried: true},
	}
	for _, e := range tasks.Edges() {
		if steps, ok := allowed[e.From]; ok && !steps[e.By] {
			t.Errorf("%s leaves %s", e.By, e.From)
		}
	}
}

func TestAJobThatHasItsInstanceOrWasWithdrawnStaysSoAndAllOthersHaveAWayOut(t *testing.T) {
	out := map[tasks.State]int{}
	for _, e := range tasks.Edges() {
		out[e.From]++
	}
	for _, s := range tasks.States() {
		forGood := s == tasks.StateCreated || s == tasks.StateCancelled
		if forGood != (out[s] == 0) {
			t.Errorf("%s: %d steps leave it", s, out[s])
		}
		if forGood && !s.Final() {
			t.Errorf("%s has no way out and is not final", s)
		}
	}
}

func TestEveryStateCanBeReachedFromQueued(t *testing.T) {
	reached := map[tasks.State]bool{tasks.StateQueued: true}
	for range tasks.States() {
		for _, e := range tasks.Edges() {
			if reached[e.From] {
				reached[e.To] = true
			}
		}
	}
	for _, s := range tasks.States() {
		if !reached[s] {
			t.Errorf("no way leads to %s", s)
		}
	}
	if len(reached) != len(tasks.States()) {
		t.Errorf("reached %d states, want the %d that are listed", len(reached), len(tasks.States()))
	}
}

func TestNextAllowsExactlyTheEdges(t *testing.T) {
	type move struct {
		from tasks.State
		by   tasks.Step
	}
	edges := map[move]tasks.State{}
	steps := map[tasks.Step]bool{"": true, "no_such_step": true}
	for _, e := range tasks.Edges() {
		if _, twice := edges[move{e.From, e.By}]; twice {
			t.Errorf("%s by %s stands in the table twice", e.From, e.By)
		}
		if e.Why == "" {
			t.Errorf("%s by %s has no reason", e.From, e.By)
		}
		edges[move{e.From, e.By}] = e.To
		steps[e.By] = true
	}
	for _, from := range append(tasks.States(), "", "no_such_state") {
		for by := range steps {
			to, err := tasks.Next(from, by)
			want, allowed := edges[move{from, by}]
			if to != want || (err == nil) != allowed {
				t.Errorf("Next(%q, %q) = %q, %v; want %q", from, by, to, err, want)
			}
			if stepErr, ok := errors.AsType[*tasks.StepError](err); err != nil && (!ok || *stepErr != tasks.StepError{From: from, By: by}) {
				t.Errorf("Next(%q, %q): the error %v does not name the step", from, by, err)
			}
		}
	}
}

func TestTheEdgesCannotBeChangedByACaller(t *testing.T) {
	tasks.Edges()[0].To = tasks.StateFailed
	if got := tasks.Edges()[0].To; got != tasks.StateCalling {
		t.Errorf("the first edge leads to %s after a caller wrote into its copy", got)
	}
}

func TestAnOutcomeThatNobodySetIsAmbiguous(t *testing.T) {
	var zero tasks.Outcome
	if zero != tasks.OutcomeAmbiguous {
		t.Errorf("the zero outcome is %s", zero)
	}
	known := map[tasks.Outcome]bool{}
	for _, o := range tasks.Outcomes() {
		known[o] = true
	}
	for n := range 256 {
		o := tasks.Outcome(n)
		if known[o] {
			continue
		}
		if o.String() != "ambiguous" || o.Step() != tasks.StepAmbiguous {
			t.Errorf("outcome %d reads %q and makes the step %q", n, o, o.Step())
		}
	}
}

func TestOnlyBeingTurnedAwayCostsNoTry(t *testing.T) {
	for _, o := range tasks.Outcomes() {
		free := o == tasks.OutcomeThrottled || o == tasks.OutcomeBlocked
		if o.CostsTry() == free {
			t.Errorf("%s: costs a try is %t", o, o.CostsTry())
		}
	}
}

// drawStates writes docs/state_machine.md from the table of edges and from the
// comments on the states.
func drawStates(t *testing.T) []byte {
	t.Helper()
	meaning := stateComments(t)
	var page bytes.Buffer
	page.WriteString(`<!-- Written by "UPDATE=1 go test ./tasks" from tasks/state.go; do not edit. -->

# The life of a job

An outcome is the result of one call; a state belongs to a job. The ledger refuses every step that is not listed here, so a
late or duplicate worker cannot move a job in any other way.

` + "```mermaid\nstateDiagram-v2\n    [*] --> queued\n")
	for _, e := range tasks.Edges() {
		fmt.Fprintf(&page, "    %s --> %s: %s\n", e.From, e.To, e.By)
	}
	for _, s := range tasks.States() {
		if s.Final() {
			fmt.Fprintf(&page, "    %s --> [*]\n", s)
		}
	}
	page.WriteString("```\n\n## States\n\n| State | What it means | Webhook |\n| --- | --- | --- |\n")
	for _, s := range tasks.States() {
		if meaning[s] == "" {
			t.Fatalf("tasks/state.go has no comment on %s", s)
		}
		event := ""
		if kind := s.EventType(); kind != "" {
			event = "`" + string(kind) + "`"
		}
		fmt.Fprintf(&page, "| %s | %s | %s |\n", s, cell(meaning[s]), event)
	}
	page.WriteString("\n## Steps\n\n| From | Step | To | Why |\n| --- | --- | --- | --- |\n")
	for _, e := range tasks.Edges() {
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", e.From, e.By, e.To, cell(e.Why))
	}
	return page.Bytes()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// stateComments reads what each state means from where it is defined, so that
// the page and the code cannot say two things.
func stateComments(t *testing.T) map[tasks.State]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "state.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	meaning := map[tasks.State]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || spec.Doc == nil {
			return true
		}
		value, ok := spec.Values[0].(*ast.BasicLit)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "State") {
			return true
		}
		text := strings.Join(strings.Fields(spec.Doc.Text()), " ")
		text = strings.TrimPrefix(text, spec.Names[0].Name+" means that ")
		meaning[tasks.State(strings.Trim(value.Value, `"`))] = strings.ToUpper(text[:1]) + text[1:]
		return true
	})
	return meaning
}
