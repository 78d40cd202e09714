package worker

import (
	"context"
	"strings"
	"time"

	"github.com/camsq/camsq/tasks"
)

const (
	// MaxPollAge is the greatest age of a lane's state that a turn relies on. It is also the
	// time within which every worker obeys a pause, a limit or an open breaker that another
	// process has written, whichever node of Redis is down.
	MaxPollAge = 5 * time.Second
	// notPolledDelay is how long a job waits if the state of its lane cannot be read.
	notPolledDelay = 2 * time.Second
)

// View is the state of one account's lane and queues, or the error of reading it.
type View struct {
	Lane  tasks.Lane
	Depth tasks.Depth
	Err   error
}

// Views joins the states of lanes and of queues, account by account. A nil slice of errors
// means that none failed.
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

// fresh makes sure that the state of the lane is recent. If the polls of all lanes do not
// reach it, the turn polls it itself: a state from before a node of Redis went down does not
// show a pause since. A worker without a watcher does not poll.
func (w *Worker) fresh(ctx context.Context, l *lane) error {
	if w.cfg.Watcher == nil || l.fresh() {
		return nil
	}
	l.polling.Lock() // the turns of a lane share one poll
	defer l.polling.Unlock()
	if l.fresh() {
		return nil
	}
	asked, changes := time.Now(), l.changeCount()
	v := w.cfg.Watcher.Poll(ctx, []string{l.Account})[0]
	if v.Err != nil {
		return &SnoozeError{notPolledDelay, "cannot read from Redis whether the account is paused"}
	}
	l.update(asked, changes, v.Lane, v.Depth)
	return nil
}

// fresh reports whether the lane was polled a short time ago. The wall clock counts too,
// since the monotonic clock may stop while a machine is suspended.
func (l *lane) fresh() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.polledAt.IsZero() && max(time.Since(l.polledAt), time.Now().Round(0).Sub(l.polledAt.Round(0))) < MaxPollAge
}

// sight logs, once each time, which accounts the polls do not reach.
type sight struct {
	since  time.Time
	unseen map[string]bool
}

// update takes in a poll of all accounts.
func (s *sight) update(w *Worker, views []View) {
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
		w.cfg.Log.Warn("cannot read the state of accounts from Redis; their jobs wait", "accounts", strings.Join(lost, " "), "error", why)
	case len(s.unseen) > 0 && len(unseen) == 0:
		w.cfg.Log.Info("the state of every account can be read from Redis again", "after", time.Since(s.since).Round(time.Millisecond))
	}
	s.unseen = unseen
}
