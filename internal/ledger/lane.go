package ledger

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

var (
	//go:embed trip.lua
	tripLua    string
	tripScript = redis.NewScript(tripLua)

	//go:embed probe.lua
	probeLua    string
	probeScript = redis.NewScript(probeLua)

	//go:embed closebreaker.lua
	closeBreakerLua    string
	closeBreakerScript = redis.NewScript(closeBreakerLua)

	//go:embed resume.lua
	resumeLua    string
	resumeScript = redis.NewScript(resumeLua)
)

// Lanes reads how the lanes of the accounts stand, in their order and in one round
// trip. Each account is judged by its own answers: errs is nil if all have answered;
// else it has the error of each account, nil where the lane is right.
func (l *Ledger) Lanes(ctx context.Context, accounts []string) (lanes []tasks.Lane, errs []error) {
	keys := make([]string, len(accounts))
	for i, account := range accounts {
		keys[i] = laneOf(account).control()
	}
	lanes, each := make([]tasks.Lane, len(accounts)), make([]error, len(accounts))
	fields := make([]*redis.MapStringStringCmd, len(accounts))
	clocks := make([]func() (time.Time, error), len(accounts))
	redisconn.Apart(ctx, l.rdb, keys, func(p redis.Pipeliner, some []int) {
		clock := l.askTime(ctx, p, accounts[some[0]]) // once for each server
		for _, i := range some {
			clocks[i], fields[i] = clock, p.HGetAll(ctx, keys[i])
		}
	})
	failed := false
	for i, account := range accounts {
		err := fields[i].Err()
		var now time.Time
		if err == nil {
			now, err = clocks[i]()
		}
		if err != nil && fields[i].Err() == nil {
			// The clock was asked with another account's key, which may be on its way
			// to another server.
			now, err = l.now(ctx, account)
		}
		if err != nil {
			each[i], failed = fmt.Errorf("ledger: looking at the lane of account %s: %w", account, err), true
			continue
		}
		lanes[i] = decodeLane(account, now, fields[i].Val())
	}
	if failed {
		errs = each
	}
	return lanes, errs
}

// decodeLane is lenient: what it cannot read blocks nothing.
func decodeLane(account string, now time.Time, f map[string]string) tasks.Lane {
	lane := tasks.Lane{Account: account, Now: now}
	if limit, err := strconv.ParseFloat(f["limit"], 64); err == nil && validLimit(limit) {
		lane.Limit = limit
	}
	if at := f["paused"]; at != "" {
		lane.Pause = &tasks.Pause{Since: millis(at), Why: f["paused_why"]}
	}
	if at := f["tripped"]; at != "" {
		t := &tasks.Trip{
			Since: millis(at), Away: f["away"] == "1", Action: f["action"], Code: f["code"], Message: f["message"], ProbeAt: millis(f["probe_at"]),
			Witness: f["witness"],
		}
		t.Probes, _ = strconv.Atoi(f["probes"])
		if millis(f["prober_until"]).After(now) {
			t.Prober, _, _ = strings.Cut(f["prober"], "#") // see prober
		}
		lane.Trip = t
	}
	return lane
}

// Trip notes that the API refused the account in the turn of a job, or was away, with
// the trip's Away, Action, Code, Message and Witness, and that the next probe may come after next. A
// lane that has tripped already learns this only from its prober: calls that were
// under way when it tripped say nothing new.
func (l *Ledger) Trip(ctx context.Context, id tasks.ProbeID, t tasks.Trip, next time.Duration) error {
	err := tripScript.Run(ctx, l.rdb, []string{laneOf(id.Account).control()},
		prober(id), t.Action, t.Code, t.Message, next.Milliseconds(), tasks.WakeChannel, tasks.LaneMessage(id.Account), flag(t.Away), t.Witness).Err()
	if err != nil {
		return fmt.Errorf("ledger: tripping the lane of account %s: %w", id.Account, err)
	}
	return nil
}

// Probe asks whether the turn of a job may call though the lane has tripped. A job other
// than the trip's Witness need not wait for the time of the next probe. If
// it has not, or the job is, or becomes, the one that probes, ok is true; the job
// is the prober for d. Else no probe is allowed before wait is over.
func (l *Ledger) Probe(ctx context.Context, id tasks.ProbeID, d time.Duration) (ok bool, wait time.Duration, err error) {
	ms, err := probeScript.Run(ctx, l.rdb, []string{laneOf(id.Account).control()}, prober(id), d.Milliseconds()).Int64()
	if err != nil {
		return false, 0, fmt.Errorf("ledger: probing the lane of account %s: %w", id.Account, err)
	}
	return ms == 0, time.Duration(ms) * time.Millisecond, nil
}

// CloseBreaker ends the probe of a job: the API let the account in, and the lane is
// whole again. Of a job that is not the prober it changes nothing.
func (l *Ledger) CloseBreaker(ctx context.Context, id tasks.ProbeID) error {
	return l.endProbe(ctx, id, -1)
}

// AbortProbe ends the probe of a job that came to nothing; the next one may come
// after next. Of a job that is not the prober it changes nothing.
func (l *Ledger) AbortProbe(ctx context.Context, id tasks.ProbeID, next time.Duration) error {
	return l.endProbe(ctx, id, next.Milliseconds())
}

func (l *Ledger) endProbe(ctx context.Context, id tasks.ProbeID, next int64) error {
	err := closeBreakerScript.Run(ctx, l.rdb, []string{laneOf(id.Account).control()},
		prober(id), next, tasks.WakeChannel, tasks.LaneMessage(id.Account)).Err()
	if err != nil {
		return fmt.Errorf("ledger: ending the probe of account %s: %w", id.Account, err)
	}
	return nil
}

// prober is how a lane keeps the turn that probes: "job#turn". A job's ID has no number
// sign, so the scripts find the job.
func prober(id tasks.ProbeID) string { return id.ID + "#" + id.Turn }

// PauseLane stops the account's new calls, in every process, until an operator
// resumes it. A lane that is paused already keeps the time, and gets the new reason.
func (l *Ledger) PauseLane(ctx context.Context, account, why string) error {
	now, err := l.now(ctx, account)
	if err != nil {
		return err
	}
	return l.control(ctx, account, "pausing", func(p redis.Pipeliner, key string) {
		p.HSetNX(ctx, key, "paused", now.UnixMilli())
		p.HSet(ctx, key, "paused_why", why)
	})
}

// ResumeLane ends a pause, and lets the next probe of a lane that has tripped
// come at once.
func (l *Ledger) ResumeLane(ctx context.Context, account string) error {
	err := resumeScript.Run(ctx, l.rdb, []string{laneOf(account).control()}, tasks.WakeChannel, tasks.LaneMessage(account)).Err()
	if err != nil {
		return fmt.Errorf("ledger: resuming account %s: %w", account, err)
	}
	return nil
}

// LimitLane sets the account's rate in creates a second, in the place of the
// configured one and for every process, until it is set anew. 0 goes back to the
// configured one.
func (l *Ledger) LimitLane(ctx context.Context, account string, rate float64) error {
	if rate != 0 && !validLimit(rate) {
		return fmt.Errorf("ledger: limiting account %s: %v is not from 0.0001 to 10000 a second", account, rate)
	}
	return l.control(ctx, account, "limiting", func(p redis.Pipeliner, key string) {
		if rate == 0 {
			p.HDel(ctx, key, "limit")
		} else {
			p.HSet(ctx, key, "limit", strconv.FormatFloat(rate, 'g', -1, 64))
		}
	})
}

// validLimit says whether a limiter takes the rate.
func validLimit(rate float64) bool { return rate >= 1e-4 && rate <= 10_000 }

// control changes a lane in one step, and then says so: who does not hear it
// looks soon.
func (l *Ledger) control(ctx context.Context, account, doing string, change func(redis.Pipeliner, string)) error {
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		change(p, laneOf(account).control())
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: %s account %s: %w", doing, account, err)
	}
	// Its channel may lie in a part of a cluster that is away.
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = l.rdb.Publish(ctx, tasks.WakeChannel, tasks.LaneMessage(account)).Err()
	return nil
}

// AccountsWithUnresolved returns those of the accounts that have jobs that are calling or
// uncertain, in one round trip. An error is of accounts that could not be asked; the
// others are judged all the same.
func (l *Ledger) AccountsWithUnresolved(ctx context.Context, accounts []string) ([]string, error) {
	keys := make([]string, len(accounts))
	for i, account := range accounts {
		keys[i] = laneOf(account).control()
	}
	counts := make([][]*redis.IntCmd, len(accounts))
	redisconn.Apart(ctx, l.rdb, keys, func(p redis.Pipeliner, some []int) {
		for _, i := range some {
			for _, s := range unresolvedStates {
				counts[i] = append(counts[i], p.ZCard(ctx, laneOf(accounts[i]).state(s)))
			}
		}
	})
	var out, silent []string
	var failure error
	for i, account := range accounts {
		n := int64(0)
		var err error
		for _, c := range counts[i] {
			n += c.Val()
			err = cmp.Or(err, c.Err())
		}
		if err != nil {
			silent, failure = append(silent, account), cmp.Or(failure, err)
		}
		if n > 0 {
			out = append(out, account)
		}
	}
	if failure != nil {
		return out, fmt.Errorf("ledger: listing the unresolved jobs of account %s: %w", strings.Join(silent, ", "), failure)
	}
	return out, nil
}
