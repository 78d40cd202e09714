package worker

import (
	"testing"
	"time"

	"github.com/camsq/camsq/internal/gate"
	"github.com/camsq/camsq/tasks"
)

// A poll tells what Redis knew when it was asked. One that began before this process itself
// opened or closed the breaker does not undo that, though both have the same time.
func TestAPollThatBeganBeforeAChangeDoesNotUndoIt(t *testing.T) {
	now, code := time.Now(), "NoPermission"
	for name, tt := range map[string]struct {
		after bool // the poll began after the change
		want  string
	}{
		"before": {false, code},
		"after":  {true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lane{Lane: Lane{Account: "acme"}, gate: gate.New(5, 5, t.Context().Done())}
			changes := l.changeCount()
			l.change(func() { l.state.Trip = &tasks.Trip{Code: code}; l.changes++ })
			if tt.after {
				changes = l.changeCount()
			}
			l.update(now, changes, tasks.Lane{Now: now}, tasks.Depth{})
			got := ""
			if l.state.Trip != nil {
				got = l.state.Trip.Code
			}
			if got != tt.want {
				t.Errorf("after the poll the breaker is open for %q, want %q", got, tt.want)
			}
		})
	}
}
