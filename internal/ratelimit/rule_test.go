package ratelimit

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// scenario is what becomes of an account's quota, and what the limiter believes
// it to be.
type scenario struct {
	name     string
	ceiling  float64 // of the quota at first
	quota    share
	calls    float64       // that go well, in seconds of the quota at first
	lasts    time.Duration // or so long
	use, bad float64       // what must be used of the quota, and may be turned away of all calls
}

// share is what there is of the quota at first.
type share func(since time.Duration) float64

func cut(to, then float64) share {
	return func(since time.Duration) float64 {
		switch {
		case since < 20*time.Second:
			return 1
		case since < 50*time.Second:
			return to
		}
		return then
	}
}

var scenarios = []scenario{
	{"steady", 0.99, cut(1, 1), 50, 0, 1 / 1.02, 0.001},
	{"a third for 30 s", 0.99, cut(0.33, 1), 80, 0, 0.95, 0.02},
	{"a third, then two", 0.99, cut(0.33, 0.66), 80, 0, 0.95, 0.02},
	{"a third for good", 0.99, cut(0.33, 0.33), 80, 0, 0.95, 0.02},
	{"three quarters of the believed", 4. / 3, cut(1, 1), 1e9, time.Minute, 0.95, 0.02},
}

// setting is where the scenarios are played.
type setting struct {
	quota     float64 // a second
	jitter    time.Duration
	latency   time.Duration
	processes int
	seeds     uint64
	apis      []func(quota func(at int64) float64) api
}

func countsClockSeconds(q func(at int64) float64) api { return &clockSecond{quota: q} }
func countsAnySecond(q func(at int64) float64) api    { return &anySecond{quota: q} }
func holdsTokens(q func(at int64) float64) api        { return &tokens{quota: q} }

// worst plays the scenario in each setting with each API, with and without an exact
// retry-after, and returns the least use and the most that was turned away.
func (s scenario) worst(p setting, rule func() bucket) (use, bad float64) {
	use = math.Inf(1)
	for _, a := range p.apis {
		for _, hint := range []bool{true, false} {
			for seed := range p.seeds {
				sim := simulation{
					seed: seed, ceiling: s.ceiling * p.quota, processes: p.processes,
					workers: p.processes * max(8, int(3*p.quota*(p.jitter+p.latency).Seconds())/p.processes),
					jitter:  p.jitter, latency: p.latency, hint: hint,
					calls: int(s.calls * p.quota), lasts: s.lasts,
					bucket: rule(), api: a,
					quota: func(since time.Duration) float64 { return math.Floor(p.quota * s.quota(since)) },
				}
				sim.run()
				use, bad = min(use, sim.used()), max(bad, sim.turned())
			}
		}
	}
	return use, bad
}

func TestTheChosenRule(t *testing.T) {
	const ms = time.Millisecond
	type apis = []func(quota func(at int64) float64) api
	tests := []struct {
		name    string
		setting setting
		// A setting that allows less has bounds of its own: of use and turned away, by
		// scenario.
		bounds [][2]float64
	}{
		{"100/s", setting{100, 20 * ms, 50 * ms, 2, 4, apis{countsClockSeconds, holdsTokens}}, nil},
		{"100/s, any second, 10 ms", setting{100, 10 * ms, 50 * ms, 2, 4, apis{countsAnySecond}}, nil},
		// Calls that arrive up to 20 ms late fit into any second at 100/1.02 a second.
		{"100/s, any second", setting{100, 20 * ms, 50 * ms, 2, 4, apis{countsAnySecond}},
			[][2]float64{{0.97, 0.002}, {0.94, 0.02}, {0.95, 0.02}, {0.95, 0.02}, {0.95, 0.02}}},
		{"1000/s", setting{1000, 20 * ms, 50 * ms, 2, 1, apis{countsClockSeconds, holdsTokens, countsAnySecond}}, nil},
		// A third of this is three calls a second: one of them in ten seconds is 3 %.
		{"10/s", setting{10, 20 * ms, 50 * ms, 2, 4, apis{countsClockSeconds, holdsTokens}},
			[][2]float64{{0.965, 0.002}, {0.94, 0.035}, {0.93, 0.08}, {0.92, 0.09}, {0.95, 0.03}}},
		{"100/s, eight processes", setting{100, 20 * ms, 50 * ms, 8, 1, apis{countsClockSeconds, holdsTokens}},
			[][2]float64{{1 / 1.02, 0.001}, {0.95, 0.02}, {0.95, 0.025}, {0.95, 0.025}, {0.95, 0.02}}},
		{"100/s, answers after 200 ms", setting{100, 20 * ms, 200 * ms, 2, 2, apis{countsClockSeconds, holdsTokens}},
			[][2]float64{{0.975, 0.001}, {0.95, 0.02}, {0.95, 0.025}, {0.95, 0.025}, {0.95, 0.02}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i, s := range scenarios {
				use, bad := s.worst(tt.setting, func() bucket { return &model{tuning: chosen} })
				if tt.bounds != nil {
					s.use, s.bad = tt.bounds[i][0], tt.bounds[i][1]
				}
				t.Logf("%s: %-31s used %5.1f %%, turned away %4.2f %%", tt.name, s.name, 100*use, 100*bad)
				if use < s.use || bad > s.bad {
					t.Errorf("%s: used %.2f %%, want %.2f %%; turned away %.2f %%, want at most %.2f %%", s.name, 100*use, 100*s.use, 100*bad, 100*s.bad)
				}
			}
		})
	}
}

// Each other rule must miss what the chosen one keeps, or there was nothing to
// choose.
func TestOtherRulesMissWhatTheChosenOneKeeps(t *testing.T) {
	with := func(change func(*tuning)) func() bucket {
		u := chosen
		change(&u)
		return func() bucket { return &model{tuning: u} }
	}
	tests := []struct {
		name string
		rule func() bucket
	}{
		{"fixed", func() bucket { return &otherRule{lower: func(r, _ float64) float64 { return r }} }},
		{"half, then 1 % a second", func() bucket {
			return &otherRule{lower: func(r, _ float64) float64 { return r / 2 }, raise: func(since float64) float64 { return since / 100 }}
		}},
		{"nine tenths, then 1 % a second", func() bucket {
			return &otherRule{lower: func(r, _ float64) float64 { return 0.9 * r }, raise: func(since float64) float64 { return since / 100 }}
		}},
		{"goodput, 10 s, then 0.1 % a second", func() bucket {
			return &otherRule{
				lower: func(r, good float64) float64 { return min(r, max(0.99*good, 0.9*r)) },
				raise: func(since float64) float64 { return max(since-10, 0) / 1000 },
			}
		}},
		{"seven tenths, CUBIC back in 4 s", func() bucket {
			return &otherRule{lower: func(r, _ float64) float64 { return 0.7 * r }, cubic: true}
		}},
		{"chosen, no gate after a few in a row", with(func(u *tuning) { u.gate = false })},
		{"chosen, no patience", with(func(u *tuning) { u.patience = math.Inf(1) })},
		{"chosen, twice the climb", with(func(u *tuning) { u.climb *= 2 })},
		{"chosen, margin of 5 %", with(func(u *tuning) { u.margin = 0.95 })},
	}
	where := setting{100, 20 * time.Millisecond, 50 * time.Millisecond, 2, 4,
		[]func(quota func(at int64) float64) api{countsClockSeconds, holdsTokens}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var missed bool
			var line strings.Builder
			for _, s := range scenarios {
				use, bad := s.worst(where, tt.rule)
				missed = missed || use < s.use || bad > s.bad
				fmt.Fprintf(&line, " | %.1f, %.2f", 100*use, 100*bad)
			}
			t.Logf("%s%s", tt.name, line.String())
			if !missed {
				t.Errorf("it keeps all bounds, and so may be better than the rule that was chosen")
			}
		})
	}
}

func TestAnAPIThatTakesNothingIsLeftAloneAndThenUsedAgain(t *testing.T) {
	s := scenario{ceiling: 0.99, quota: cut(0, 1), calls: 50}
	where := setting{100, 20 * time.Millisecond, 50 * time.Millisecond, 2, 2,
		[]func(quota func(at int64) float64) api{countsClockSeconds, holdsTokens, countsAnySecond}}
	use, bad := s.worst(where, func() bucket { return &model{tuning: chosen} })
	t.Logf("used %.1f %% of what there was before and after, turned away %.2f %%", 100*use, 100*bad)
	// Of 5000: 40 until the rate is down, and then one a second for half a minute.
	if use < 0.9 || bad > 0.02 {
		t.Errorf("used %.2f %%, want 90 %%; turned away %.2f %%, want at most 2 %%", 100*use, 100*bad)
	}
}
