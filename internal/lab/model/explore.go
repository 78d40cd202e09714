package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/camsq/camsq/tasks"
)

// Result is what an exploration found.
type Result struct {
	// States and Transitions count what was visited. Depth is how many steps away
	// the farthest state is.
	States, Transitions, Depth int
	// Taken are the steps that some job took.
	Taken map[tasks.Step]bool
	// Broken is nil if every rule holds.
	Broken *Broken
}

// Broken is the shortest way to break a rule.
type Broken struct {
	Rule  Rule
	Trace []string
}

// String describes it in words, a line for each step.
func (b *Broken) String() string {
	var out strings.Builder
	for i, line := range b.Trace {
		fmt.Fprintf(&out, "%3d. %s\n", i+1, line)
	}
	fmt.Fprintf(&out, "broken: %s", b.Rule.Words)
	return out.String()
}

// search is a breadth-first walk, so the first way to a state is a shortest one.
type search struct {
	c     Config
	rules []Rule
	// index finds a state in states; parents holds where each was reached from.
	index   map[state]int32
	states  []state
	parents []int32
	depths  []uint16
	// smooth are the transitions that are no fault.
	smooth []edge
	took   stepSet
	result Result
}

type edge struct{ from, to int32 }

// Explore visits every state that can be reached and checks the rules, until one
// is broken.
func Explore(c Config, rules []Rule) Result {
	x := &search{c: c, rules: rules, index: map[state]int32{}, result: Result{Taken: map[tasks.Step]bool{}}}
	lasting := slices.ContainsFunc(rules, func(r Rule) bool { return r.Name == Ends })
	x.visit(c.start(), -1)
	var out []transition
	for at := int32(0); int(at) < len(x.states); at++ {
		from := x.states[at]
		out = c.all(&from, &x.took, out[:0])
		x.result.Transitions += len(out)
		for i := range out {
			t := &out[i]
			to, fresh := x.visit(t.to, at)
			if rule, ok := x.breaks(&from, &t.to, fresh); ok {
				x.result.Broken = &Broken{rule, x.trace(append(x.way(at), t.to.ordered()))}
				return x.end()
			}
			if lasting && !t.fault && to != at {
				x.smooth = append(x.smooth, edge{at, to})
			}
		}
	}
	if lasting {
		x.findStuck()
	}
	return x.end()
}

func (x *search) end() Result {
	x.result.States, x.result.Depth = len(x.states), int(x.depths[len(x.depths)-1])
	for by, n := range x.took {
		if n {
			x.result.Taken[moves[by].by] = true
		}
	}
	return x.result
}

// visit returns the number of a state, which is new if it was not visited before.
// Workers have no names: states that differ in who is who are one.
func (x *search) visit(s state, from int32) (at int32, fresh bool) {
	s = s.ordered()
	if at, ok := x.index[s]; ok {
		return at, false
	}
	at, depth := int32(len(x.states)), uint16(0)
	if from >= 0 {
		depth = x.depths[from] + 1
	}
	x.index[s] = at
	x.states, x.parents, x.depths = append(x.states, s), append(x.parents, from), append(x.depths, depth)
	return at, true
}

func (s state) ordered() state {
	if s.workers[0].key() < s.workers[1].key() {
		s.workers[0], s.workers[1] = s.workers[1], s.workers[0]
	}
	return s
}

// key tells any two workers apart that do.
func (w worker) key() (k uint64) {
	for _, part := range []uint8{uint8(w.pc), w.job, uint8(w.by), w.instance, uint8(w.baseline), uint8(w.state)} {
		k = k<<8 | uint64(part)
	}
	for _, flag := range []bool{w.current, w.applied, w.won, w.late, w.over, w.pledged} {
		k <<= 1
		if flag {
			k |= 1
		}
	}
	return k
}

// breaks names a rule that a step broke.
func (x *search) breaks(from, to *state, fresh bool) (Rule, bool) {
	for _, r := range x.rules {
		if fresh && r.always != nil && !r.always(&x.c, to) || r.change != nil && !r.change(&x.c, from, to) {
			return r, true
		}
	}
	return Rule{}, false
}

// findStuck looks for a state from which no way leads to where all has ended.
func (x *search) findStuck() {
	// before lists, for each state, the states from which it is one step away: those
	// of state s stand at first[s] up to first[s+1].
	first := make([]int32, len(x.states)+1)
	for _, e := range x.smooth {
		first[e.to+1]++
	}
	for i := range x.states {
		first[i+1] += first[i]
	}
	before, filled := make([]int32, len(x.smooth)), slices.Clone(first)
	for _, e := range x.smooth {
		before[filled[e.to]] = e.from
		filled[e.to]++
	}
	well := make([]bool, len(x.states))
	var todo []int32
	for i := range x.states {
		if x.c.ended(&x.states[i]) {
			well[i], todo = true, append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, b := range before[first[at]:first[at+1]] {
			if !well[b] {
				well[b], todo = true, append(todo, b)
			}
		}
	}
	if at := slices.Index(well, false); at >= 0 {
		rule := x.rules[slices.IndexFunc(x.rules, func(r Rule) bool { return r.Name == Ends })]
		x.result.Broken = &Broken{rule, x.trace(x.way(int32(at)))}
	}
}

// way returns the states on the way to a state, and that state.
func (x *search) way(at int32) (way []state) {
	for ; at >= 0; at = x.parents[at] {
		way = append(way, x.states[at])
	}
	slices.Reverse(way)
	return way
}

// trace describes what happened on the way. It walks the way again, so that each
// worker keeps its name.
func (x *search) trace(way []state) (lines []string) {
	now := x.c.start()
	for _, want := range way[1:] {
		for _, t := range x.c.all(&now, &x.took, nil) {
			if t.to.ordered() == want {
				lines, now = append(lines, t.text()), t.to
				break
			}
		}
	}
	return lines
}

func (t *transition) text() string {
	return strings.NewReplacer("W", fmt.Sprint(t.worker+1), "J", fmt.Sprint(t.job+1), "S", `"`+string(moves[t.by].by)+`"`).Replace(t.words)
}
