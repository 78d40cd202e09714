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

// What a proof's workers run with. The times are short so that many things happen;
// what matters is how they stand to each other.
const (
	proveCallTimeout = 3 * time.Second
	proveReconcile   = 200 * time.Millisecond
	proveListLag     = time.Second
	// provePatience is the settle window. It must be longer than what a lost call can
	// still need until it is listed: a held wire, the cloud's latency, the list's lag.
	provePatience = 6 * time.Second
	// proveLatency is long enough for a good part of the kills to hit a call under way.
	proveLatency  = 400 * time.Millisecond
	proveMaxTries = 50

	// killPause is the mean time between two kills.
	killPause = 3 * time.Second
	// A frozen worker misses its lease (30 s), and that others judge its calls.
	freezeMin, freezeMax = 40 * time.Second, 60 * time.Second
	// proveDeadline is when others may judge a call: its timeout, and what the worker
	// adds for settling.
	proveDeadline = proveCallTimeout + 5*time.Second
	// frozenPatience is the settle window of a run that freezes. A worker that is
	// frozen in the instant between its last look at the clock and its write sends
	// when it thaws, and no queue can prevent that. By then no other worker may have called
	// in its stead: freezeMax < proveDeadline + frozenPatience.
	frozenPatience = 55 * time.Second
)

type mishapKind string

const (
	MishapKill     mishapKind = "kill"
	mishapFreeze   mishapKind = "freeze"
	MishapRedis    mishapKind = "redis_restart"
	mishapCutRedis mishapKind = "redis_cut"
	mishapCutCloud mishapKind = "cams_cut"
	mishapRefused  mishapKind = "account_refused"
	mishapPages    mishapKind = "pages"
	mishapAway     mishapKind = "cams_away"
)

// mishap is one thing that goes wrong on purpose.
type mishap struct {
	at     time.Duration
	kind   mishapKind
	worker int           // which one, if that one may be touched; else the next
	length time.Duration // how long it lasts, or until the restart
	link   testbed.LinkState
	bytes  int // of a link; or which refusal
}

// makePlan draws all mishaps from the seed. The same options give the same plan.
func makePlan(o Options, ownRedis bool) []mishap {
	r := draw(o.Seed, "plan", 0)
	total := o.chaos()
	between := func(low, high time.Duration) time.Duration { return low + rand1(r, high-low) }
	var plan []mishap
	add := func(n int, make func(mishap) mishap) {
		for i := range n {
			// One in each of n equal parts of the time.
			part := total / time.Duration(n)
			m := mishap{at: time.Second + part*time.Duration(i) + rand1(r, part), worker: r.IntN(o.Workers)}
			plan = append(plan, make(m))
		}
	}
	add(o.Kills, func(m mishap) mishap {
		m.kind, m.length = MishapKill, between(0, 2*time.Second)
		return m
	})
	add(o.Stops, func(m mishap) mishap {
		m.kind, m.length = mishapFreeze, between(freezeMin, freezeMax)
		return m
	})
	if ownRedis {
		add((o.Kills+7)/8, func(m mishap) mishap {
			m.kind, m.length = MishapRedis, between(0, 2*time.Second)
			return m
		})
	}
	add((o.Kills+2)/3, func(m mishap) mishap {
		m.kind, m.length, m.link = mishapCutRedis, between(time.Second, 10*time.Second), testbed.LinkCut
		if r.IntN(2) == 0 {
			m.link = testbed.LinkHeld
		}
		return m
	})
	cloud := []testbed.LinkState{testbed.LinkCutAnswer, testbed.LinkCutAnswer, testbed.LinkCutRequest, testbed.LinkCut, testbed.LinkHeld}
	add((o.Kills+1)/2, func(m mishap) mishap {
		m.kind, m.length, m.link = mishapCutCloud, between(500*time.Millisecond, proveCallTimeout), cloud[r.IntN(len(cloud))]
		m.bytes = r.IntN(1200)
		return m
	})
	for kind, has := range map[mishapKind]bool{mishapRefused: o.odd(oddCodes), mishapPages: o.odd(oddPages)} {
		if !has {
			continue
		}
		r = draw(o.Seed, "plan "+string(kind), 0) // the rest of the plan stays as it is
		add((o.Kills+9)/10, func(m mishap) mishap {
			m.kind, m.length, m.bytes = kind, between(500*time.Millisecond, 3*time.Second), r.IntN(1000)
			return m
		})
	}
	if o.Away > 0 {
		plan = append(plan, mishap{at: time.Second + total/3, kind: mishapAway, length: o.Away})
	}
	slices.SortStableFunc(plan, func(a, b mishap) int { return cmp.Compare(a.at, b.at) })
	return plan
}

func rand1(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// draw is a source of decisions that depend on nothing but the seed, the name of
// what they are about, and how often that was asked before.
func draw(seed uint64, name string, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", name, n)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// share says whether name is among so large a part of all names.
func share(seed uint64, name string, part float64) bool {
	return draw(seed, name, 0).Float64() < part
}

// createFault draws what becomes of the n-th create of a name, or nil.
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
	case p < 3: // turned away at the door, which stops the whole account for a second
		return &camstest.Fault{Reply: camstest.ReplyThrottled}
	case p < 4:
		return &camstest.Fault{Reply: camstest.ReplyForbidden}
	case p < 7: // final
		return &camstest.Fault{Reply: camstest.ReplyRejected}
	case p < 9:
		return &camstest.Fault{Reply: camstest.ReplyXML}
	}
	doubtful := []camstest.Reply{
		camstest.ReplyReset, camstest.ReplyReset, camstest.ReplyHang, camstest.Reply500, camstest.Reply502Empty,
		camstest.Reply503, camstest.Reply503HTML, camstest.ReplyGarbage, camstest.ReplyEmpty, camstest.ReplyTruncated,
		camstest.ReplyOversized, camstest.ReplyRedirect, camstest.ReplyBusy, camstest.ReplyNoInstanceID, camstest.ReplyContradiction,
	}
	reply := doubtful[r.IntN(len(doubtful))]
	if reply == camstest.ReplyContradiction && !o.odd(oddContradictions) {
		made = true // else the job ends held, for the instance that it names and that is none
	}
	return &camstest.Fault{Reply: reply, Created: made}
}

// listFault draws what becomes of the n-th list of a name, or nil.
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
