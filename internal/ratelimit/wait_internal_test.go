package ratelimit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/internal/redistest"
)

func TestSlotsThatAStoppedProcessComesBackToAreNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		b := New(c, Config{}).Bucket("k", Limit{Rate: 10})
		// As after SIGSTOP: booked, and their time went by.
		for d := time.Second; d >= 300*time.Millisecond; d -= 100 * time.Millisecond {
			b.slots = append(b.slots, time.Now().Add(-d))
		}
		for range 3 {
			waited, err := b.Wait(t.Context())
			if err != nil || waited != 100*time.Millisecond {
				t.Errorf("waited %v, %v; want an interval of 100 ms", waited, err)
			}
		}
	})
}
