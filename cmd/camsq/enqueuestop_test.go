package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/cams/camstest"
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
	w := newWorld(t, camstest.Config{})
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
	if code := run.exit(time.Minute); code != exitOK {
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
	w := newWorld(t, camstest.Config{})
	c := w.redis.Client()
	if err := c.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	run := camsq(t, w.env, "enqueue", manyRows(t, 10))
	eventually(t, "it says that it waits", func() bool { return strings.Contains(run.output(), "waiting: Redis uses") })
	c.ConfigSet(t.Context(), "maxmemory", "0")
	if code := run.exit(time.Minute); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if n := c.LLen(t.Context(), "asynq:{provision:default}:pending").Val(); n != 10 {
		t.Errorf("%d tasks are pending", n)
	}
	if got := strings.Count(run.output(), "waiting"); got != 1 {
		t.Errorf("it says it %d times", got)
	}
}
