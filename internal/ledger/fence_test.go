package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// socket is a hook that takes the first script for itself: its sender gives up, and it
// is carried out when the test says so.
type socket struct{ script redis.Cmder }

func (*socket) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*socket) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *socket) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if s.script == nil && cmd.Name() == "evalsha" {
			s.script = cmd
		}
		if s.script == cmd {
			<-ctx.Done()
			cmd.SetErr(ctx.Err())
			return ctx.Err()
		}
		return next(ctx, cmd)
	}
}

// A write that may still be carried out comes back with the revision that it writes, so
// that its turn can undo it, and no other write. A write from the revision that it was
// made from forestalls it.
func TestAWriteThatIsNotCertainCanBeUndoneOrForestalled(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		link, _ := cutable(t, c, -1)
		held := new(socket)
		link.AddHook(held)
		l, others := open(t, link, 0), open(t, c, 0)
		insert(t, c, job("warm"), job("a"), job("b"), job("c"))
		step(t, others, get(t, others, "warm"), tasks.StepCancel) // so that Redis knows the script

		lose := func(id string) (read, made tasks.Record) {
			t.Helper()
			read, held.script = get(t, others, id), nil
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			made, err := l.Transition(ctx, read, tasks.StepBegin, time.Hour)
			if !errors.Is(err, context.DeadlineExceeded) || made.Version == "" || made.Version == read.Version || made.State != tasks.StateCalling {
				t.Fatalf("Transition: %v, and it would write %s at %q", err, made.State, made.Version)
			}
			return read, made
		}
		carryOut := func() string {
			t.Helper()
			reply, err := c.Do(t.Context(), held.script.Args()...).Slice()
			if err != nil {
				t.Fatal(err)
			}
			return reply[0].(string)
		}

		_, made := lose("a")
		if said := carryOut(); said != "ok" {
			t.Errorf("the write in the socket: %s", said)
		}
		if r := get(t, others, "a"); r.Version != made.Version || r.State != tasks.StateCalling {
			t.Errorf("the record is %s at %q, want calling at %q", r.State, r.Version, made.Version)
		}
		step(t, l, made, tasks.StepUnsent)

		read, made := lose("b")
		if _, err := l.Transition(t.Context(), made, tasks.StepUnsent, 0); !errors.Is(err, tasks.ErrConflict) {
			t.Errorf("undoing what was not written: %v, want ErrConflict", err)
		}
		if _, err := l.UpdateProgress(t.Context(), read, 0); err != nil {
			t.Errorf("forestalling it: %v", err)
		}
		if said := carryOut(); said != "conflict" {
			t.Errorf("the write in the socket, which was forestalled: %s", said)
		}

		read, made = lose("c")
		another := step(t, others, read, tasks.StepBegin)
		for name, err := range map[string]error{
			"undoing":      second(l.Transition(t.Context(), made, tasks.StepUnsent, 0)),
			"forestalling": second(l.UpdateProgress(t.Context(), read, 0)),
		} {
			if !errors.Is(err, tasks.ErrConflict) {
				t.Errorf("%s a write that another came before: %v, want ErrConflict", name, err)
			}
		}
		if r := get(t, others, "c"); r.Version != another.Version {
			t.Errorf("another's mark is gone: the record is %s at %q, want %q", r.State, r.Version, another.Version)
		}
	})
}

// TestARefusedWriteHasNoRevision: there is nothing to undo.
func TestARefusedWriteHasNoRevision(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, job("a"))
		r := get(t, l, "a")
		step(t, l, r, tasks.StepBegin)
		if made, err := l.Transition(t.Context(), r, tasks.StepBegin, 0); !errors.Is(err, tasks.ErrConflict) || made.Version != "" {
			t.Errorf("Transition: %v, with the revision %q; want ErrConflict and none", err, made.Version)
		}
	})
}

func second(_ tasks.Record, err error) error { return err }
