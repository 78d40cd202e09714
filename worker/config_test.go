package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/worker"
)

// A configuration under which the promise would not hold is refused, and every
// fault is named.
func TestAConfigurationThatBreaksThePromiseIsRefused(t *testing.T) {
	good := func() worker.Config {
		return worker.Config{
			Store: newFakeStore(), Queue: new(fakeQueue), Breaker: new(fakeBreaker),
			Lanes: []worker.Lane{{Account: "acme", API: new(fakeAPI), Create: new(fakeLimiter), List: new(fakeLimiter)}},
		}
	}
	if _, err := worker.New(good()); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*worker.Config)
		want   string
	}{
		"no ledger":                      {func(c *worker.Config) { c.Store = nil }, "Store"},
		"no lane":                        {func(c *worker.Config) { c.Lanes = nil }, "Lanes"},
		"a lane twice":                   {func(c *worker.Config) { c.Lanes = append(c.Lanes, c.Lanes[0]) }, "duplicate"},
		"a lane without a limiter":       {func(c *worker.Config) { c.Lanes[0].List = nil }, "List"},
		"an account's name with a slash": {func(c *worker.Config) { c.Lanes[0].Account = "a/b" }, "a/b"},
		"a call that outlasts its turn":  {func(c *worker.Config) { c.CallTimeout = time.Hour }, "CallTimeout is 1h0m0s"},
		"a backoff upside down":          {func(c *worker.Config) { c.RetryMin = time.Hour }, "RetryMax"},
		"a window without a look":        {func(c *worker.Config) { c.SettleWindow = time.Second }, "SettleWindow"},
		"no such policy":                 {func(c *worker.Config) { c.OnExisting = "replace" }, "replace"},
		"no such policy for the missing": {func(c *worker.Config) { c.OnNotFound = "retry" }, "retry"},
		"a sender without a schedule":    {func(c *worker.Config) { c.Sender = newFakeReceiver() }, "Schedule"},
		"a negative number of tries":     {func(c *worker.Config) { c.MaxTries = -1 }, "negative"},
	} {
		c := good()
		tt.change(&c)
		if _, err := worker.New(c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want it to name %q", name, err, tt.want)
		}
	}
	w, err := worker.New(good())
	if err != nil {
		t.Fatal(err)
	}
	if w.ShutdownTimeout() <= w.Config().CallTimeout {
		t.Errorf("a stop takes %v at most, and a call %v", w.ShutdownTimeout(), w.Config().CallTimeout)
	}
}
