package worker

import (
	"context"
	"strings"
	"time"

	"github.com/camsq/camsq/tasks"
)

const (
	// Unseen is how old a look at a lane may be that a turn still goes by. It is also
	// how soon every worker obeys a pause, a limit or a trip of another process,
	// whatever part of Redis is away.
	Unseen = 5 * time.Second
	// unseenPause is how long a job waits whose lane cannot be seen.
	unseenPause = 2 * time.Second
)

// View is how the lane of one account and its queues stand, or why that is not known.
type View struct {
	Lane  tasks.Lane
	Depth tasks.Depth
	Err   error
}

// Views joins what was seen of lanes and of queues, account by account. The errors
// are nil where nothing failed.
func Views(lanes []tasks.Lane, laneErrs []error, depths []tasks.Depth, depthErrs []error) []View {
	all := make([]View, len(lanes))
	for i := range all {
		all[i] = View{Lane: lanes[i], Depth: depths[i]}
		if laneErrs != nil {
			all[i].Err = laneErrs[i]
		}
		if depthErrs != nil && all[i].Err == nil {
			all[i].Err = depthErrs[i]
		}
	}
	return all
}

// fresh makes sure that the turn knows how its lane stands. When the looks at all
// lanes do not reach it, the turn looks itself: what was seen before a part of Redis
// went away says nothing of a pause since. A worker that does not run has no looks.
func (w *Worker) fresh(ctx context.Context, l *lane) error {
	if w.cfg.Watcher == nil || l.fresh() {
		return nil
	}
	l.looking.Lock() // the turns of a lane share one look
	defer l.looking.Unlock()
	if l.fresh() {
		return nil
	}
	asked := time.Now()
	v := w.cfg.Watcher.Poll(ctx, []string{l.Account})[0]
	if v.Err != nil {
		return &SnoozeError{unseenPause, "whether the account may call is not known, since Redis does not tell"}
	}
	l.see(asked, v.Lane, v.Depth)
	return nil
}

// fresh says whether the lane was seen a short time ago. The wall clock is asked too,
// since the other one may stop while a machine is suspended.
func (l *lane) fresh() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.looked.IsZero() && max(time.Since(l.looked), time.Now().Round(0).Sub(l.looked.Round(0))) < Unseen
}

// sight tells, once each time, which accounts the looks do not reach.
type sight struct {
	since  time.Time
	unseen map[string]bool
}

// note takes in a look at all accounts.
func (s *sight) note(w *Worker, views []View) {
	var lost []string
	var why error
	unseen := map[string]bool{}
	for i, account := range w.accounts {
		if views[i].Err == nil {
			continue
		}
		unseen[account] = true
		if !s.unseen[account] {
			lost, why = append(lost, account), views[i].Err
		}
	}
	switch {
	case len(lost) > 0:
		if len(s.unseen) == 0 {
			s.since = time.Now()
		}
		w.cfg.Log.Warn("Redis does not tell how accounts stand; their jobs wait", "accounts", strings.Join(lost, " "), "error", why)
	case len(s.unseen) > 0 && len(unseen) == 0:
		w.cfg.Log.Info("Redis tells again how every account stands", "after", time.Since(s.since).Round(time.Millisecond))
	}
	s.unseen = unseen
}
