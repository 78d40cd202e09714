package cli

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/enqueue"
	enqueuecmd "github.com/camsq/camsq/internal/cli/enqueue"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/tasks"
)

// manyRows writes a file of n rows.
func manyRows(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("ChannelType,InstanceName\n")
	for i := range n {
		fmt.Fprintf(&b, "VIBER,tenant_%06d\n", i)
	}
	path := filepath.Join(t.TempDir(), "many.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnImportThatWasKilledIsFinishedByTheSameCommand(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, camstest.Config{})
	c := w.redis.Client()
	const rows = 50_000
	file := manyRows(t, rows)
	pending := func() int64 { return c.LLen(t.Context(), "asynq:{provision:default}:pending").Val() }
	for range 3 {
		before := pending()
		run := camsq(t, w.env, "enqueue", file)
		for pending() < before+5_000 && pending() < rows {
			time.Sleep(time.Millisecond)
		}
		_ = run.cmd.Process.Kill()
		_ = run.cmd.Wait()
		eventually(t, "Redis has taken what the dead process had sent", func() bool {
			list, err := c.Do(t.Context(), "CLIENT", "LIST").Text()
			return err == nil && !strings.Contains(list, "name=camsq")
		})
	}
	there := pending()
	if there == rows {
		t.Fatal("it was done before it was killed: this cannot prove anything")
	}
	run := camsq(t, w.env, "enqueue", file)
	if code := run.exit(time.Minute); code != exit.CodeOK {
		t.Errorf("exit code %d", code)
	}
	said := strings.ReplaceAll(run.output(), ",", "")
	for _, want := range []string{fmt.Sprint(rows - there), fmt.Sprint(there)} {
		if !strings.Contains(said, " "+want+" ") {
			t.Errorf("it does not say how many were there already, and how many it has queued (%s):\n%s", want, run.output())
		}
	}
	if got := pending(); got != rows {
		t.Errorf("%d tasks are pending, want %d", got, rows)
	}
	if got, err := c.HGet(t.Context(), "camsq:{provision:default}:batch:many", "queued").Int(); got != rows {
		t.Errorf("the batch counts %d queued, %v; want %d", got, err, rows)
	}
}

func TestAnImportSaysThatItWaitsForRoom(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, camstest.Config{})
	c := w.redis.Client()
	if err := c.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	run := camsq(t, w.env, "enqueue", manyRows(t, 10))
	eventually(t, "it says that it waits", func() bool { return strings.Contains(run.output(), "waiting: Redis uses") })
	c.ConfigSet(t.Context(), "maxmemory", "0")
	if code := run.exit(time.Minute); code != exit.CodeOK {
		t.Errorf("exit code %d", code)
	}
	if n := c.LLen(t.Context(), "asynq:{provision:default}:pending").Val(); n != 10 {
		t.Errorf("%d tasks are pending", n)
	}
	if got := strings.Count(run.output(), "waiting"); got != 1 {
		t.Errorf("it says it %d times", got)
	}
}

// An import waits for room, goes on, waits again: each is told once, and its flicker is not.
func TestAnImportSaysThatItGoesOnAndWaitsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		notice := &enqueuecmd.BackpressureNotice{Writer: &out}
		create := notice.Wrap(func(_ context.Context, _ iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error) {
			rows := func(n int) {
				for range n {
					each(enqueue.Result{})
					time.Sleep(time.Second)
				}
			}
			waits := func(n int) {
				for range n {
					notice.Waiting(7<<20, 10<<20)
					time.Sleep(time.Second)
				}
			}
			rows(10)
			for range 3 {
				waits(2)
				rows(2)
			}
			rows(10)
			waits(62)
			rows(10)
			return enqueue.Summary{}, nil
		})
		settled := 0
		if _, err := create(t.Context(), nil, func(enqueue.Result) { settled++ }); err != nil {
			t.Fatal(err)
		}
		const waiting = "waiting: Redis uses 7 of its 10 MB; the import continues below 60 %, so that workers can take jobs out\n"
		const on = "continuing: Redis has memory again\n"
		if want := waiting + on + waiting + waiting + on; out.String() != want || settled != 36 {
			t.Errorf("%d rows, and it says\n%swant\n%s", settled, &out, want)
		}
	})
}
