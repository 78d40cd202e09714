package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/tasks"
)

// Jobs of an account that nobody has configured wait, and everybody who looks is
// told: the worker's log and the metrics.
func TestJobsOfAnAccountThatIsNotConfiguredAreReported(t *testing.T) {
	mini := miniredis.RunT(t)
	a, err := Open(config.Config{RedisURL: "redis://" + mini.Addr(), DataKeys: enqueue.NewDataKey(), Accounts: []config.Account{{Name: "default", Rate: 5}, {Name: "gone", Rate: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	job := tasks.Job{Account: "gone", Request: tasks.Request{ChannelType: "VIBER", InstanceName: "a"}}
	if _, err := a.Client.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}

	a.Config.Accounts = a.Config.Accounts[:1]
	var log bytes.Buffer
	a.warnOfStrangers(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
	if got := log.String(); !strings.Contains(got, "account=gone jobs=1") {
		t.Errorf("the worker's log says %q", got)
	}
	lanes, _, err := NewBacklog(a, nil).Backlog(t.Context())
	if err != nil || len(lanes) != 2 || lanes[1].Jobs[tasks.StateQueued] != 1 {
		t.Errorf("the metrics see %+v, %v", lanes, err)
	}
}
