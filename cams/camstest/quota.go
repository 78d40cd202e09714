package camstest

import "time"

// QuotaModel is how calls are counted against a quota of so many a second. The vendor
// does not say which one it uses.
type QuotaModel string

// The models. In each of them an account that was quiet has some calls at once.
const (
	QuotaWindow  QuotaModel = "window"  // in each second of the clock: up to two seconds' worth around its turn (the default)
	QuotaBucket  QuotaModel = "bucket"  // a bucket that fills steadily, and holds Config.Burst calls
	QuotaSliding QuotaModel = "sliding" // in any second: the last second's calls count
)

// meters makes what counts the calls of one account and operation.
var meters = map[QuotaModel]func(burst int) meter{
	QuotaWindow:  func(int) meter { return &window{} },
	QuotaBucket:  func(burst int) meter { return &bucket{burst: burst} },
	QuotaSliding: func(int) meter { return &sliding{} },
}

// Known says whether there is such a model.
func (m QuotaModel) Known() bool { return meters[m] != nil }

// meter counts calls. The limit, calls a second, may be another one each time.
type meter interface {
	// reserve counts a call, or returns how long it is until one can be counted.
	reserve(now time.Time, limit int) (wait time.Duration)
}

type window struct {
	second int64
	used   int
}

func (w *window) reserve(now time.Time, limit int) time.Duration {
	if w.second != now.Unix() {
		*w = window{second: now.Unix()}
	}
	if w.used >= limit {
		return time.Unix(w.second+1, 0).Sub(now)
	}
	w.used++
	return 0
}

// bucket is kept as the time from which the next call is due; each call takes an
// interval, and at most a burst of them may be saved up.
type bucket struct {
	burst int
	due   time.Time
}

func (b *bucket) reserve(now time.Time, limit int) time.Duration {
	burst := b.burst
	if burst == 0 {
		burst = max(1, limit/10)
	}
	interval := time.Second / time.Duration(limit)
	if full := now.Add(-time.Duration(burst-1) * interval); b.due.Before(full) {
		b.due = full
	}
	if b.due.After(now) {
		return b.due.Sub(now)
	}
	b.due = b.due.Add(interval)
	return 0
}

// sliding holds the times of the last second's calls, the oldest first.
type sliding struct{ calls []time.Time }

func (s *sliding) reserve(now time.Time, limit int) time.Duration {
	for len(s.calls) > 0 && now.Sub(s.calls[0]) >= time.Second {
		s.calls = s.calls[1:]
	}
	if over := len(s.calls) - limit; over >= 0 {
		return s.calls[over].Add(time.Second).Sub(now)
	}
	s.calls = append(s.calls, now)
	return 0
}

// overQuota counts the call, or returns how long the account must wait.
func (s *Server) overQuota(account, op string) time.Duration {
	limit := s.config.ListQuota
	if op == "CreateInstance" {
		limit = s.config.Quota
	}
	if limit <= 0 {
		return 0
	}
	m := s.meters[account+" "+op]
	if m == nil {
		m = meters[s.config.QuotaModel](s.config.Burst)
		s.meters[account+" "+op] = m
	}
	return m.reserve(s.config.Clock(), limit)
}
