package app

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
)

func TestARedisThatDoesNotBecomeReadyIsNotToldAsSilent(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	m.SetError("LOADING Redis is loading the dataset in memory")
	a, err := Open(config.Config{RedisURL: "redis://" + m.Addr(), DataKeys: enqueue.NewDataKey(), Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.patience = time.Second
	err = a.Ready(t.Context(), io.Discard)
	if e, ok := err.(*exit.Error); !ok || e.Code != exit.CodeUnreachable || !strings.Contains(err.Error(), "answers, and is not ready: LOADING") {
		t.Errorf("%v, want exit code 3 and Redis's own words", err)
	}
}
