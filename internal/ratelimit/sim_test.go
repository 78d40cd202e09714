package ratelimit

import (
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// simulation is some processes whose workers call an API, in virtual time, against
// one bucket that a model stands in for: each worker waits for a slot, calls, and
// begins anew; if the API turned the call away it says so first. With the same seed
// it goes the same way.
type simulation struct {
	seed      uint64
	ceiling   float64
	processes int
	workers   int           // of all processes
	jitter    time.Duration // up to this from a slot to the call's arrival
	latency   time.Duration // from there to the answer
	hint      bool          // the API says exactly when it will take the next call
	calls     int           // ends when so many went well
	lasts     time.Duration // or after this

	bucket bucket
	api    func(quota func(at int64) float64) api
	quota  func(since time.Duration) float64 // calls a second

	now    int64 // µs
	order  int64
	begin  int64
	events events
	rnd    *rand.Rand

	good, bad int
	took      time.Duration // until the last call that went well
}

// bucket is what Redis does for the processes; rules that were not chosen have
// others.
type bucket interface {
	reserve(now int64, limit Limit, want int, horizon time.Duration) reservation
	throttled(now int64, limit Limit, retryAfter time.Duration) slowdown
}

const (
	simHorizon = 200_000
	oneWay     = 300 // to Redis, µs
)

func (s *simulation) run() {
	s.rnd = rand.New(rand.NewPCG(s.seed, 7))
	s.begin = 1e9 + s.rnd.Int64N(1e6) // somewhere in a second
	s.now = s.begin
	api := s.api(func(at int64) float64 { return s.quota(micros(at - s.begin)) })
	left := s.calls
	for range s.processes {
		p := &process{simulation: s}
		for range s.workers / s.processes {
			var again func()
			answer := func(ok bool, retryAfter int64) func() {
				return func() {
					if ok {
						s.good++
						s.took = micros(s.now - s.begin)
					} else {
						s.bad++
						left++
						p.throttled(retryAfter)
					}
					again()
				}
			}
			again = func() {
				p.wait(func() {
					if left--; left < 0 {
						left++
						return
					}
					s.after(s.rnd.Int64N(s.jitter.Microseconds()+1), func() {
						ok, retryAfter := api.call(s.now)
						if !s.hint {
							retryAfter = 0
						}
						s.after(s.latency.Microseconds(), answer(ok, retryAfter))
					})
				})
			}
			s.after(s.rnd.Int64N(1000), again)
		}
	}
	for len(s.events) > 0 && s.good < s.calls {
		e := heap.Pop(&s.events).(event)
		if s.now = e.at; s.lasts > 0 && micros(s.now-s.begin) > s.lasts {
			s.took = s.lasts
			return
		}
		e.do()
	}
}

// allowed is how many calls the quota allowed in the time that it took.
func (s *simulation) allowed() (n float64) {
	for t := time.Duration(0); t < s.took; t += time.Millisecond {
		n += s.quota(t) / 1000
	}
	return n
}

func (s *simulation) used() float64   { return float64(s.good) / s.allowed() }
func (s *simulation) turned() float64 { return float64(s.bad) / float64(s.good+s.bad) }

type event struct {
	at, order int64
	do        func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(e[i].at, e[j].at), cmp.Compare(e[i].order, e[j].order)) < 0
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (s *simulation) after(d int64, do func()) {
	s.order++
	heap.Push(&s.events, event{s.now + max(d, 0), s.order, do})
}

// process does what [Bucket] does, without goroutines.
type process struct {
	*simulation
	queue           []func()
	slots           []int64
	asking          bool
	gate, notBefore int64
	alarm           int
}

func (p *process) wait(granted func()) {
	p.queue = append(p.queue, granted)
	p.next()
}

func (p *process) next() {
	for len(p.queue) > 0 && !p.asking {
		for len(p.slots) > 0 && p.now-p.slots[0] > simHorizon {
			p.slots = p.slots[1:]
		}
		until := max(p.notBefore, p.gate-simHorizon)
		if len(p.slots) > 0 {
			until = p.slots[0]
		}
		switch {
		case until > p.now:
			p.alarm++
			mine := p.alarm
			p.after(until-p.now, func() {
				if mine == p.alarm {
					p.next()
				}
			})
			return
		case len(p.slots) == 0:
			p.ask()
			return
		}
		granted := p.queue[0]
		p.slots, p.queue = p.slots[1:], p.queue[1:]
		granted()
	}
}

func (p *process) ask() {
	p.asking = true
	asked := p.now
	p.after(oneWay, func() {
		r := p.bucket.reserve(p.now, Limit{Rate: p.ceiling}, len(p.queue), micros(simHorizon))
		p.after(oneWay, func() {
			p.asking = false
			p.shut(asked + r.blocked - r.now)
			if r.booked == 0 {
				p.notBefore = p.now + r.again.Microseconds()
			}
			for i := range r.booked {
				at := p.now + max(r.wait+time.Duration(i)*r.interval, 0).Microseconds()
				if at >= p.gate {
					p.slots = append(p.slots, at)
				}
			}
			p.next()
		})
	})
}

func (p *process) throttled(retryAfter int64) {
	asked := p.now
	if retryAfter > 0 {
		p.shut(p.now + retryAfter)
	}
	p.after(oneWay, func() {
		s := p.bucket.throttled(p.now, Limit{Rate: p.ceiling}, micros(retryAfter))
		p.after(oneWay, func() { p.shut(asked + s.blocked - s.now) })
	})
}

func (p *process) shut(t int64) {
	if t <= p.gate || t <= p.now {
		return
	}
	p.gate = t
	p.slots = slices.DeleteFunc(p.slots, func(at int64) bool { return at < t })
	p.next()
}

// api takes a call, or turns it away and says after how many µs it would take one.
// Its quota may change.
type api interface {
	call(at int64) (ok bool, retryAfter int64)
}

// clockSecond counts anew each second of the clock.
type clockSecond struct {
	quota  func(at int64) float64
	second int64
	n      float64
}

func (a *clockSecond) call(at int64) (ok bool, retryAfter int64) {
	if second := at / 1e6; second != a.second {
		a.second, a.n = second, 0
	}
	if a.n+1 > a.quota(at) {
		return false, 1e6 - at%1e6
	}
	a.n++
	return true, 0
}

// anySecond counts the last second.
type anySecond struct {
	quota func(at int64) float64
	took  []int64
}

func (a *anySecond) call(at int64) (ok bool, retryAfter int64) {
	for len(a.took) > 0 && a.took[0] <= at-1e6 {
		a.took = a.took[1:]
	}
	quota := int(a.quota(at))
	switch {
	case len(a.took) < quota:
		a.took = append(a.took, at)
		return true, 0
	case quota == 0:
		return false, 1e6
	}
	return false, a.took[len(a.took)-quota] + 1e6 - at
}

// tokens are a bucket that holds a call and a tenth of a second of the quota.
type tokens struct {
	quota func(at int64) float64
	have  float64
	at    int64
}

func (a *tokens) call(at int64) (ok bool, retryAfter int64) {
	quota := a.quota(at)
	a.have = min(a.have+quota*float64(at-a.at)/1e6, 1+quota/10)
	a.at = at
	if a.have < 1 {
		return false, int64(min(math.Ceil((1-a.have)/quota*1e6), 1e6))
	}
	a.have--
	return true, 0
}
