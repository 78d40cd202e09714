package worker

import (
	"testing"
	"time"

	"github.com/camsq/camsq/tasks"
)

func TestLocalBackoff(t *testing.T) {
	start := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	a, b := tasks.ProbeID{Turn: "a"}, tasks.ProbeID{Turn: "b"}
	refused := func(l *localBackoff) { l.action = ActionCreate }
	published := func(l *localBackoff) { refused(l); l.onPublished(at(0)) }
	othersOK := func(l *localBackoff) { published(l); l.onClosed(at(1)) }
	backingOff := func(l *localBackoff) { othersOK(l); l.extend(at(2), time.Second, time.Second) }
	const within = 10 * time.Second

	tests := map[string]struct {
		events  []func(*localBackoff)
		now     float64
		delay   time.Duration // behind the breaker's next probe
		alone   bool          // a refusal now is this process's own
		a, b    bool          // turns that may call, in this order
		endedBy string        // an action that ends it
	}{
		"new":                        {now: 0, a: true, b: true},
		"refused":                    {events: []func(*localBackoff){refused}, delay: probeDelay, a: true, b: true, endedBy: ActionCreate},
		"refused and published":      {events: []func(*localBackoff){published}, now: 1, delay: probeDelay, a: true, b: true, endedBy: ActionCreate},
		"closed before it published": {events: []func(*localBackoff){published, func(l *localBackoff) { l.onClosed(at(-1)) }}, delay: probeDelay, a: true, b: true, endedBy: ActionCreate},
		"others are accepted":        {events: []func(*localBackoff){othersOK}, now: 2, delay: probeDelayAlone, alone: true, a: true, b: true, endedBy: ActionCreate},
		"others were accepted long ago": {events: []func(*localBackoff){othersOK}, now: 12,
			delay: probeDelayAlone, a: true, b: true, endedBy: ActionCreate},
		"backing off": {events: []func(*localBackoff){backingOff}, now: 2, delay: probeDelayAlone, alone: true, endedBy: ActionCreate},
		"one turn probes": {events: []func(*localBackoff){backingOff}, now: 5,
			delay: probeDelayAlone, alone: true, a: true, b: false, endedBy: ActionCreate},
		"the turn has ended": {events: []func(*localBackoff){backingOff, func(l *localBackoff) { l.allow(a, at(4)); l.release(a); l.allow(b, at(4)) }}, now: 5,
			delay: probeDelayAlone, alone: true, a: false, b: true, endedBy: ActionCreate},
		"another turn's end changes nothing": {events: []func(*localBackoff){backingOff, func(l *localBackoff) { l.allow(a, at(4)); l.release(b) }}, now: 5,
			delay: probeDelayAlone, alone: true, a: true, b: false, endedBy: ActionCreate},
		"accepted before it published": {events: []func(*localBackoff){func(l *localBackoff) { l.onPublished(at(0)); l.onClosed(at(1)) }}, now: 2, a: true, b: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var l localBackoff
			for _, event := range tt.events {
				event(&l)
			}
			now := at(tt.now)
			if got := l.probeAt(now).Sub(now); got != tt.delay {
				t.Errorf("it probes %v late, want %v", got, tt.delay)
			}
			if got := l.refusedAlone(now, within); got != tt.alone {
				t.Errorf("refusedAlone: %t, want %t", got, tt.alone)
			}
			if got := l.allow(a, now); got != tt.a {
				t.Errorf("turn a may call: %t, want %t", got, tt.a)
			}
			if got := l.allow(b, now); got != tt.b {
				t.Errorf("turn b may call: %t, want %t", got, tt.b)
			}
			if got := l.endedBy(ActionCreate); got != (tt.endedBy != "") {
				t.Errorf("a create ends it: %t", got)
			}
			if l.endedBy(ActionList) {
				t.Error("a list ends the refusal of a create")
			}
		})
	}
}
