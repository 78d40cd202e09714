package prove

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/lab/testbed"
)

// Settings of the workers. The times are short so that much happens; their proportions
// are those of a real worker.
const (
	proveCallTimeout = 3 * time.Second
	proveReconcile   = 200 * time.Millisecond
	proveListLag     = time.Second
	// proveSettle is the settle window. It must be longer than a lost call can take until
	// its instance is listed: a held connection, the API's latency, the list's lag.
	proveSettle = 6 * time.Second
	// proveLatency is long enough for many kills to hit a call in progress.
	proveLatency  = 400 * time.Millisecond
	proveMaxTries = 50

	// killPause is the mean time between two kills.
	killPause = 3 * time.Second
	// A worker is frozen for longer than its lease (30 s), so that others take its jobs.
	freezeMin, freezeMax = 40 * time.Second, 60 * time.Second
	// proveDeadline is the age at which another worker may resolve a call: its timeout,
	// and what the worker adds for settling.
	proveDeadline = proveCallTimeout + 5*time.Second
	// frozenSettle is the settle window of a run that freezes. A worker that is
	// frozen between its last check of the clock and its write sends when it thaws, and no
	// queue can prevent that. Until then no other worker may repeat the call:
	// freezeMax < proveDeadline + frozenSettle.
	frozenSettle = 55 * time.Second
)

type faultKind string

const (
	faultKill     faultKind = "kill"
	faultFreeze   faultKind = "freeze"
	faultRedis    faultKind = "redis_restart"
	faultCutRedis faultKind = "redis_cut"
	faultCutAPI   faultKind = "cams_cut"
	faultRefused  faultKind = "account_refused"
	faultPages    faultKind = "pages"
	faultAway     faultKind = "cams_away"
)

// fault is one injected fault.
type fault struct {
	at     time.Duration
	kind   faultKind
	worker int           // the preferred worker; the next one if it is busy
	length time.Duration // how long it lasts, or until the restart
	link   testbed.LinkState
	bytes  int // of a link; or which refusal
}

// makePlan draws all faults from the seed. The same options give the same plan.
func makePlan(o Options, ownRedis bool) []fault {
	r := draw(o.Seed, "plan", 0)
	total := o.chaos()
	between := func(low, high time.Duration) time.Duration { return low + rand1(r, high-low) }
	var plan []fault
	add := func(n int, make func(fault) fault) {
		for i := range n {
			// One in each of n equal parts of the time.
			part := total / time.Duration(n)
			m := fault{at: time.Second + part*time.Duration(i) + rand1(r, part), worker: r.IntN(o.Workers)}
			plan = append(plan, make(m))
		}
	}
	add(o.Kills, func(m fault) fault {
		m.kind, m.length = faultKill, between(0, 2*time.Second)
		return m
	})
	add(o.Stops, func(m fault) fault {
		m.kind, m.length = faultFreeze, between(freezeMin, freezeMax)
		return m
	})
	if ownRedis {
		add((o.Kills+7)/8, func(m fault) fault {
			m.kind, m.length = faultRedis, between(0, 2*time.Second)
			return m
		})
	}
	add((o.Kills+2)/3, func(m fault) fault {
		m.kind, m.length, m.link = faultCutRedis, between(time.Second, 10*time.Second), testbed.LinkCut
		if r.IntN(2) == 0 {
			m.link = testbed.LinkHeld
		}
		return m
	})
	links := []testbed.LinkState{testbed.LinkCutAnswer, testbed.LinkCutAnswer, testbed.LinkCutRequest, testbed.LinkCut, testbed.LinkHeld}
	add((o.Kills+1)/2, func(m fault) fault {
		m.kind, m.length, m.link = faultCutAPI, between(500*time.Millisecond, proveCallTimeout), links[r.IntN(len(links))]
		m.bytes = r.IntN(1200)
		return m
	})
	for kind, has := range map[faultKind]bool{faultRefused: o.odd(oddCodes), faultPages: o.odd(oddPages)} {
		if !has {
			continue
		}
		r = draw(o.Seed, "plan "+string(kind), 0) // the rest of the plan stays as it is
		add((o.Kills+9)/10, func(m fault) fault {
			m.kind, m.length, m.bytes = kind, between(500*time.Millisecond, 3*time.Second), r.IntN(1000)
			return m
		})
	}
	if o.Away > 0 {
		plan = append(plan, fault{at: time.Second + total/3, kind: faultAway, length: o.Away})
	}
	slices.SortStableFunc(plan, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	return plan
}

// rand1 draws a duration below d.
func rand1(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// draw returns a random source that depends only on the seed, a name, and how often that
// name was drawn before.
func draw(seed uint64, name string, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", name, n)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// share reports whether name belongs to this part of all names.
func share(seed uint64, name string, part float64) bool {
	return draw(seed, name, 0).Float64() < part
}

// createFault draws the fault of the n-th create of a name, or nil.
func createFault(o Options, name string, n int) *camstest.Fault {
	r := draw(o.Seed, name, n)
	if r.Float64() >= o.Faults {
		return nil
	}
	made := r.IntN(2) == 0
	if f := o.oddFault(draw(o.Seed, "odd "+name, n).IntN(1<<20), made); f != nil {
		return f
	}
	switch p := r.IntN(100); {
	case p < 3: // refused, which stops the whole account for a second
		return &camstest.Fault{Reply: camstest.ReplyThrottled}
	case p < 4:
		return &camstest.Fault{Reply: camstest.ReplyForbidden}
	case p < 7: // final
		return &camstest.Fault{Reply: camstest.ReplyRejected}
	case p < 9:
		return &camstest.Fault{Reply: camstest.ReplyXML}
	}
	ambiguous := []camstest.Reply{
		camstest.ReplyReset, camstest.ReplyReset, camstest.ReplyHang, camstest.Reply500, camstest.Reply502Empty,
		camstest.Reply503, camstest.Reply503HTML, camstest.ReplyGarbage, camstest.ReplyEmpty, camstest.ReplyTruncated,
		camstest.ReplyOversized, camstest.ReplyRedirect, camstest.ReplyBusy, camstest.ReplyNoInstanceID, camstest.ReplyContradiction,
	}
	reply := ambiguous[r.IntN(len(ambiguous))]
	if reply == camstest.ReplyContradiction && !o.odd(oddContradictions) {
		made = true // else the job ends held, for an instance that does not exist
	}
	return &camstest.Fault{Reply: reply, Created: made}
}

// listFault draws the fault of the n-th list of a name, or nil.
func listFault(o Options, name string, n int) *camstest.Fault {
	r := draw(o.Seed, "list "+name, n)
	if r.Float64() >= o.Faults {
		return nil
	}
	if r.IntN(40) == 0 {
		return &camstest.Fault{Reply: camstest.ReplyThrottled}
	}
	kinds := []camstest.Reply{
		camstest.ReplyReset, camstest.Reply500, camstest.Reply502Empty, camstest.Reply503HTML, camstest.ReplyGarbage,
		camstest.ReplyEmpty, camstest.ReplyTruncated, camstest.ReplyOversized, camstest.ReplyRedirect, camstest.ReplyBusy,
		camstest.ReplyHang,
	}
	return &camstest.Fault{Reply: kinds[r.IntN(len(kinds))]}
}
