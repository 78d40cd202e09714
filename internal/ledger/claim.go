package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/tasks"
)

// LockName takes the (ChannelType, InstanceName) of the record for its job, until
// the job ends. If another job that has not ended holds it, holder is that job's
// ID; else holder is the job's own ID.
func (l *Ledger) LockName(ctx context.Context, r tasks.Record) (holder string, err error) {
	key := []string{laneOf(r.Account).name(r.Request.NameKey())}
	gone := ""
	for {
		holder, err = claimScript.Run(ctx, l.rdb, key, r.ID, gone).Text()
		if err != nil {
			return "", fmt.Errorf("ledger: claiming the name of job %s: %w", r.Ref(), err)
		}
		if holder == r.ID {
			return r.ID, nil
		}
		// The script that ends a job gives its claim back. One whose job has ended
		// is left by a late turn that read the job before that; one whose job has
		// vanished, by a Redis that lost writes.
		other, err := l.Get(ctx, tasks.Ref{Account: r.Account, ID: holder})
		switch {
		case errors.Is(err, tasks.ErrNotFound), err == nil && other.State.Final():
			gone = holder
		case err != nil && !errors.Is(err, tasks.ErrUnreadable):
			return "", err
		default:
			return holder, nil
		}
	}
}

// Claimed reports which of the instances other jobs of the account have.
func (l *Ledger) Claimed(ctx context.Context, r tasks.Record, instanceIDs []string) (map[string]bool, error) {
	lane, claimed := laneOf(r.Account), map[string]bool{}
	cmds := make([]*redis.StringCmd, len(instanceIDs))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range instanceIDs {
			cmds[i] = p.Get(ctx, lane.instance(id))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("ledger: looking up who has %d instances of account %s: %w", len(instanceIDs), r.Account, err)
	}
	for i, id := range instanceIDs {
		switch holder, err := cmds[i].Result(); {
		case err == nil:
			claimed[id] = holder != r.ID
		case !errors.Is(err, redis.Nil):
			return nil, fmt.Errorf("ledger: looking up who has an instance of account %s: %w", r.Account, err)
		}
	}
	return claimed, nil
}

// Taken reports which of the names, by their [tasks.NameKey], another job of the account
// holds that is calling or uncertain. An instance of such a name, in whatever form, may
// be that job's own, though it is not claimed yet. A job in any other state has made none
// that it has not claimed.
func (l *Ledger) Taken(ctx context.Context, r tasks.Record, nameKeys []string) (map[string]bool, error) {
	lane, holders := laneOf(r.Account), map[string]string{}
	cmds := make([]*redis.StringCmd, len(nameKeys))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range nameKeys {
			cmds[i] = p.Get(ctx, lane.name(key))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("ledger: looking up who holds %d names of account %s: %w", len(nameKeys), r.Account, err)
	}
	var ids []string
	for i, key := range nameKeys {
		switch holder, err := cmds[i].Result(); {
		case err == nil && holder != r.ID:
			holders[key] = holder
			ids = append(ids, holder)
		case err != nil && !errors.Is(err, redis.Nil):
			return nil, fmt.Errorf("ledger: looking up who holds a name of account %s: %w", r.Account, err)
		}
	}
	// A lock may be left of a job that has ended, or is gone: see [Ledger.LockName].
	found, err := l.GetMany(ctx, r.Account, ids)
	if err != nil {
		return nil, err
	}
	alive := map[string]bool{}
	for i, f := range found {
		alive[ids[i]] = slices.Contains(unresolvedStates, f.Record.State) && !errors.Is(f.Err, tasks.ErrNotFound)
	}
	taken := map[string]bool{}
	for key, holder := range holders {
		taken[key] = alive[holder]
	}
	return taken, nil
}

// InstanceOwner returns the ID of the account's job that has the instance, or "".
func (l *Ledger) InstanceOwner(ctx context.Context, account, instanceID string) (string, error) {
	id, err := l.rdb.Get(ctx, laneOf(account).instance(instanceID)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("ledger: looking up who has instance %s of account %s: %w", instanceID, account, err)
	}
	return id, nil
}
