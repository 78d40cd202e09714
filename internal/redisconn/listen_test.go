package redisconn_test

import (
	"context"
	"testing"
	"time"

	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/internal/redistest"
)

// Who listens hears what was said while it listened, and is told when it may have
// missed something: at the beginning, and after the wire was cut.
func TestListenTellsWhatWasSaidAndWhenSomethingMayBeMissed(t *testing.T) {
	s := redistest.Start(t)
	c := s.Client()
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		redisconn.Listen(ctx, c, "camsq:wake", func(m string) { heard <- m })
		close(done)
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("heard nothing, want %q", want)
		}
	}
	expect("")
	other := s.Client()
	if err := other.Publish(ctx, "camsq:wake", "provision:acme").Err(); err != nil {
		t.Fatal(err)
	}
	expect("provision:acme")
	if err := other.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	expect("")
	cancel()
	<-done
}
