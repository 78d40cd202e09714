package app

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/worker"
)

func TestConcurrencyFitsIntoTheLimitOfOpenFiles(t *testing.T) {
	for _, tt := range []struct {
		limit  uint64
		want   int // concurrency of each of two lanes; 0 is an error
		warned bool
	}{
		{0, 300, false},
		{1 << 40, 300, false},
		{1024, 300, false},
		{400, 125, true},
		{152, 1, true},
		{151, 0, false},
		{64, 0, false},
	} {
		lanes := []worker.Lane{{Account: "a", Concurrency: 300}, {Account: "b", Concurrency: 300}}
		out := new(strings.Builder)
		err := fitFiles(lanes, tt.limit, 20, slog.New(slog.NewTextHandler(out, nil)))
		if tt.want == 0 {
			if e, ok := err.(*exit.Error); !ok || e.Code != exit.CodeUsage || !strings.Contains(err.Error(), "LimitNOFILE") {
				t.Errorf("limit %d: %v, want exit code 2 and what to do", tt.limit, err)
			}
			continue
		}
		if err != nil || lanes[0].Concurrency != tt.want || lanes[1].Concurrency != tt.want || (out.String() != "") != tt.warned {
			t.Errorf("limit %d: %v, %d and %d, want %d; said %q", tt.limit, err, lanes[0].Concurrency, lanes[1].Concurrency, tt.want, out)
		}
	}
}
