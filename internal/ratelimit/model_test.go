package ratelimit

import (
	"maps"
	"math"
	"time"
)

// model is a bucket in Go: what reserve.lua, throttled.lua and release.lua
// should do to it, in microseconds. It uses no operation that Lua
// rounds otherwise.
type model struct {
	tuning
	fields
}

// fields are those of the hash.
type fields struct {
	known                               bool // last is there
	last, blocked, lowered, since, seen int64
	found, level, ceiling, granted, row float64
	recent                              map[int64]int64 // by cell
}

// tuning is what the rule for the rate could have otherwise. The scripts have what
// chosen has.
type tuning struct {
	margin   float64 // so much of what goes well
	climb    float64 // at least so long from the level to the ceiling, in µs
	patience float64 // a part of the time that the account has stood at its level
	lone     float64 // after so many good ones, or 6 s of them, a bad one says nothing
	gate     bool    // a few in a row hold everybody up for a moment
}

var chosen = tuning{margin: 0.99, climb: 4e6, patience: 7, lone: 200, gate: true}

const (
	cellSpan              = 100_000
	cellsBack, cellsAhead = 10, 3
)

// load returns the fields as they are now: others, if the clock went back.
func (m *model) load(now int64) fields {
	f := m.fields
	f.recent = maps.Clone(f.recent)
	if f.recent == nil {
		f.recent = make(map[int64]int64)
	}
	if back := f.seen - now; f.seen > 0 && back > 0 {
		for _, t := range []*int64{&f.last, &f.blocked, &f.lowered, &f.since} {
			if *t != 0 {
				*t -= back
			}
		}
		clear(f.recent)
	}
	return f
}

func (m *model) save(f fields, now int64) {
	cell := now / cellSpan
	maps.DeleteFunc(f.recent, func(c, _ int64) bool { return c < cell-cellsBack || c > cell+cellsAhead })
	f.seen = now
	m.fields = f
}

func (m *model) climbs(f fields, ceiling float64) float64 {
	held := min(max(float64(f.lowered-f.since)/m.patience, m.climb), 60e6)
	return held * min(max(0.5*ceiling/(ceiling-f.level), 1), 3)
}

func (m *model) rate(f fields, at int64, ceiling float64) float64 {
	if f.level == 0 || f.level >= ceiling {
		return ceiling
	}
	x := float64(at-f.lowered) / m.climbs(f, ceiling)
	if x >= 1 {
		return ceiling
	}
	return f.level + float64((ceiling-f.level)*x*x*x) // no fused multiply and add
}

// count notes n slots as given out, or as given back if by is -1.
func (f *fields) count(now, first, interval int64, n int, by int64) {
	f.granted = max(f.granted+float64(by*int64(n)), 0)
	for i := range int64(n) {
		cell := (first + i*interval) / cellSpan
		if cell >= now/cellSpan-cellsBack && cell <= now/cellSpan+cellsAhead {
			f.recent[cell] += by
		}
	}
}

func (m *model) reserve(now int64, limit Limit, want int, horizon time.Duration) reservation {
	f, ahead := m.load(now), horizon.Microseconds()
	inForce := m.rate(f, now, limit.Rate)
	interval := int64(math.Ceil(1e6 / inForce))
	last := now
	if f.known {
		last = f.last
	}
	start := max(last+interval, now-int64(limit.burst()-1)*interval, f.blocked)
	r := reservation{
		wait: micros(start - now), interval: micros(interval),
		now: now, blocked: f.blocked, lowered: f.lowered, rate: inForce, ceiling: f.ceiling,
	}
	for r.booked < want && start+int64(r.booked)*interval <= now+ahead {
		last = start + int64(r.booked)*interval
		r.booked++
	}
	if r.booked == 0 {
		soon := int64(math.Ceil(1e6 / m.rate(f, start, limit.Rate)))
		again := max(last+soon, f.blocked) - ahead - now // until the first slot may come within the horizon
		for n := int64(1); n < int64(want) && n*soon <= ahead/2; n++ {
			again += soon
		}
		r.again = micros(max(again, int64(math.Ceil(float64(start-ahead-now)/4))))
	}
	f.count(now, start, interval, r.booked, 1)
	if r.booked > 0 || !f.known && want > 0 {
		f.known, f.last, f.ceiling = true, last, limit.Rate
		m.save(f, now)
	}
	r.last = last
	return r
}

func (m *model) throttled(now int64, limit Limit, retryAfter time.Duration) slowdown {
	f, ceiling, cell := m.load(now), limit.Rate, now/cellSpan
	inForce := m.rate(f, now, ceiling)

	f.recent[cell-1]--
	good := 0.0
	for c := cell - cellsBack; c < cell; c++ {
		good += float64(f.recent[c])
	}
	before := f.lowered != 0
	if f.granted >= min(m.lone, max(20, 6*inForce)) {
		good = max(good, inForce)
	} else if f.granted > 1 && before {
		good = max(good, (f.granted-1)*1e6/float64(max(now-f.lowered, f.last-f.lowered, 1)))
	}

	quiet := now - f.lowered
	level := min(inForce, m.margin*good)
	if !before || quiet > 200_000 {
		level = m.margin * min(inForce, good)
	}
	level = min(max(level, inForce/2, ceiling/100), ceiling)
	if !before || float64(quiet) > 2*m.climbs(f, ceiling) || level < 0.5*f.found || level > 1.5*f.found {
		f.since, f.found = now, level
	}
	f.row = max(f.row-f.granted/2, 0) + 1
	f.level, f.lowered, f.granted = level, now, 0

	gate := retryAfter.Microseconds()
	if gate == 0 && f.row > 2 && m.gate {
		gate = int64(min(math.Floor(f.row*1.5e6/inForce), 250_000))
	}
	if gate > 0 {
		f.blocked = max(f.blocked, now+gate)
		for c := cell + 1; c < (now+gate)/cellSpan && c <= cell+cellsAhead; c++ {
			f.recent[c] = 0
		}
	}
	m.save(f, now)
	return slowdown{now: now, blocked: f.blocked, rate: m.rate(f, now, ceiling)}
}

func (m *model) pause(now int64, d time.Duration) (blocked int64) {
	f := m.load(now)
	f.blocked = max(f.blocked, now+d.Microseconds())
	m.save(f, now)
	return f.blocked
}

func (m *model) release(now int64, last int64, n int, interval time.Duration) (done bool) {
	f := m.load(now)
	if !f.known || f.last != last {
		return false
	}
	f.last -= int64(n) * interval.Microseconds()
	f.count(now, f.last+interval.Microseconds(), interval.Microseconds(), n, -1)
	m.save(f, now)
	return true
}
