package callback_test

import (
	"testing"
	"time"

	"github.com/camsq/camsq/callback"
)

func TestNextDelay(t *testing.T) {
	never := func() float64 { return 0 }
	half := func() float64 { return 0.5 }
	plain := callback.Schedule{Rand: never}
	cases := []struct {
		name       string
		schedule   callback.Schedule
		tries      int
		retryAfter time.Duration
		want       time.Duration
		ok         bool
	}{
		{"the first try is at once", plain, 0, 0, 0, true},
		{"after 1 try", plain, 1, 0, 5 * time.Second, true},
		{"after 2 tries", plain, 2, 0, 5 * time.Minute, true},
		{"after 3 tries", plain, 3, 0, 30 * time.Minute, true},
		{"after 4 tries", plain, 4, 0, 2 * time.Hour, true},
		{"after 5 tries", plain, 5, 0, 5 * time.Hour, true},
		{"after 6 tries", plain, 6, 0, 10 * time.Hour, true},
		{"after 7 tries", plain, 7, 0, 14 * time.Hour, true},
		{"after 8 tries", plain, 8, 0, 20 * time.Hour, true},
		{"after 9 tries", plain, 9, 0, 24 * time.Hour, true},
		{"after 10 tries it is dead", plain, 10, 0, 0, false},
		{"dead stays dead", plain, 11, time.Minute, 0, false},
		{"a receiver that asks for longer", plain, 1, time.Minute, time.Minute, true},
		{"a receiver that asks for less", plain, 2, time.Second, 5 * time.Minute, true},
		{"a receiver that asks for a year", plain, 1, 365 * 24 * time.Hour, 24 * time.Hour, true},
		{"a pause before the first try", plain, 0, time.Minute, time.Minute, true},
		{"jitter only makes it longer", callback.Schedule{Rand: half}, 2, 0, 5*time.Minute + 15*time.Second, true},
		{"jitter on what the receiver asked for", callback.Schedule{Rand: half}, 1, 100 * time.Second, 105 * time.Second, true},
		{"a schedule of one's own", callback.Schedule{Delays: []time.Duration{0, time.Second}, Rand: never}, 1, 0, time.Second, true},
		{"a schedule of one's own, spent", callback.Schedule{Delays: []time.Duration{0, time.Second}, Rand: never}, 2, 0, 0, false},
		{"a schedule without tries", callback.Schedule{Delays: []time.Duration{}}, 0, 0, 0, false},
		{"nonsense", callback.Schedule{Delays: []time.Duration{-time.Second}}, -1, -time.Second, 0, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, ok := c.schedule.NextDelay(c.tries, c.retryAfter)
			if got != c.want || ok != c.ok {
				t.Errorf("NextDelay(%d, %s) = %s, %v, want %s, %v", c.tries, c.retryAfter, got, ok, c.want, c.ok)
			}
		})
	}
}

func TestTheZeroScheduleSpreadsWithinTenPercent(t *testing.T) {
	var s callback.Schedule
	if s.MaxTries() != 10 {
		t.Errorf("MaxTries = %d, want 10", s.MaxTries())
	}
	seen := map[time.Duration]bool{}
	for range 200 {
		d, _ := s.NextDelay(9, 0)
		if d < 24*time.Hour || d >= 24*time.Hour*11/10 {
			t.Fatalf("delay %s, want 24 h to 26.4 h", d)
		}
		seen[d] = true
	}
	if len(seen) < 2 {
		t.Error("every delay is the same: webhooks that failed together come back together")
	}
}
