package ledger

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/tasks"
)

var (
	//go:embed trip.lua
	tripLua    string
	tripScript = redis.NewScript(tripLua)

	//go:embed probe.lua
	probeLua    string
	probeScript = redis.NewScript(probeLua)

	//go:embed untrip.lua
	untripLua    string
	untripScript = redis.NewScript(untripLua)

	//go:embed resume.lua
	resumeLua    string
	resumeScript = redis.NewScript(resumeLua)
)

// Lanes reads how the lanes of the accounts stand, in their order and in one
// round trip.
func (l *Ledger) Lanes(ctx context.Context, accounts []string) ([]tasks.Lane, error) {
	var now *redis.TimeCmd
	fields := make([]*redis.MapStringStringCmd, len(accounts))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		now = p.Time(ctx)
		for i, account := range accounts {
			fields[i] = p.HGetAll(ctx, laneOf(account).control())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: looking at %d lanes: %w", len(accounts), err)
	}
	out := make([]tasks.Lane, len(accounts))
	for i, account := range accounts {
		out[i] = decodeLane(account, now.Val(), fields[i].Val())
	}
	return out, nil
}

// decodeLane is lenient: what it cannot read holds nobody back.
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
			t.Prober, _, _ = strings.Cut(f["prober"], "#") // the job; what follows names its turn
		}
		lane.Trip = t
	}
	return lane
}

// Trip notes that the API refused the account in the turn of a job, or was away, with
// the trip's Away, Action, Code and Message, and that the next probe may come after next. A
// lane that has tripped already is told this only by its prober: calls that were
// under way when it tripped say nothing new.
func (l *Ledger) Trip(ctx context.Context, ref tasks.Ref, t tasks.Trip, next time.Duration) error {
	err := tripScript.Run(ctx, l.rdb, []string{laneOf(ref.Account).control()},
		ref.ID, t.Action, t.Code, t.Message, next.Milliseconds(), tasks.WakeChannel, tasks.LaneMessage(ref.Account), flag(t.Away)).Err()
	if err != nil {
		return fmt.Errorf("ledger: tripping the lane of account %s: %w", ref.Account, err)
	}
	return nil
}

// Probe asks whether the turn of a job may call though the lane has tripped. A job other
// than the trip's Witness need not wait for the time of the next probe. If
// it has not, or the job is, or becomes, the one that probes, ok is true; the job
// is the prober for d. Else nobody need ask again before wait is over.
func (l *Ledger) Probe(ctx context.Context, ref tasks.Ref, d time.Duration) (ok bool, wait time.Duration, err error) {
	ms, err := probeScript.Run(ctx, l.rdb, []string{laneOf(ref.Account).control()}, ref.ID, d.Milliseconds()).Int64()
	if err != nil {
		return false, 0, fmt.Errorf("ledger: probing the lane of account %s: %w", ref.Account, err)
	}
	return ms == 0, time.Duration(ms) * time.Millisecond, nil
}

// Untrip ends the probe of a job: the API let the account in, and the lane is
// whole again. Of a job that is not the prober it changes nothing.
func (l *Ledger) Untrip(ctx context.Context, ref tasks.Ref) error {
	return l.endProbe(ctx, ref, -1)
}

// Unprobe ends the probe of a job that came to nothing; the next one may come
// after next. Of a job that is not the prober it changes nothing.
func (l *Ledger) Unprobe(ctx context.Context, ref tasks.Ref, next time.Duration) error {
	return l.endProbe(ctx, ref, next.Milliseconds())
}

func (l *Ledger) endProbe(ctx context.Context, ref tasks.Ref, next int64) error {
	err := untripScript.Run(ctx, l.rdb, []string{laneOf(ref.Account).control()},
		ref.ID, next, tasks.WakeChannel, tasks.LaneMessage(ref.Account)).Err()
	if err != nil {
		return fmt.Errorf("ledger: ending the probe of account %s: %w", ref.Account, err)
	}
	return nil
}

// PauseLane stops the account's new calls, in every process, until somebody
// resumes it. A lane that is paused already keeps the time, and gets the new reason.
func (l *Ledger) PauseLane(ctx context.Context, account, why string) error {
	now, err := l.now(ctx)
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
	_ = l.rdb.Publish(ctx, tasks.WakeChannel, tasks.LaneMessage(account)).Err()
	return nil
}

// InDoubt returns those of the accounts that have jobs that are calling or
// uncertain, in one round trip.
func (l *Ledger) InDoubt(ctx context.Context, accounts []string) ([]string, error) {
	counts := make([][]*redis.IntCmd, len(accounts))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, account := range accounts {
			for _, s := range doubtful {
				counts[i] = append(counts[i], p.ZCard(ctx, laneOf(account).state(s)))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: looking for jobs in doubt in %d accounts: %w", len(accounts), err)
	}
	var out []string
	for i, account := range accounts {
		n := int64(0)
		for _, c := range counts[i] {
			n += c.Val()
		}
		if n > 0 {
			out = append(out, account)
		}
	}
	return out, nil
}
