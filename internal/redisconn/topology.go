package redisconn

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// relearnEvery is how old a client's view of a cluster may be while all goes well.
	relearnEvery = 5 * time.Second
	// relearnPause is the least time between two views that errors ask for.
	relearnPause = 500 * time.Millisecond
	// clusterDial bounds the dialing of a cluster's node. A node that is gone for good,
	// with its address, must not hold up who asks the others where its slots are now.
	clusterDial = 2 * time.Second
)

// openCluster returns a client that learns of a failover by itself. go-redis v9.23
// learns who is master from MOVED and READONLY, which a dead node does not send, and
// else each minute: until then all that goes to a dead master's slots fails.
func openCluster(o *redis.ClusterOptions) *redis.ClusterClient {
	o.ClusterStateReloadInterval = relearnEvery
	if o.DialTimeout == 0 {
		o.DialTimeout = clusterDial
	}
	if o.DialerRetries == 0 {
		o.DialerRetries = 1 // the command is tried again, perhaps at another node
	}
	c := redis.NewClusterClient(o)
	// At the nodes, since there each try's error shows: the command's own comes only
	// after its last try and what other hooks wait for.
	relearn := &relearning{ask: func() { c.ReloadState(context.Background()) }}
	c.OnNewNode(func(node *redis.Client) { node.AddHook(relearn) })
	return c
}

// relearning is a hook of a cluster's nodes that has the client ask anew who is
// master of what.
type relearning struct {
	ask func() // does not block

	mu   sync.Mutex
	last time.Time
}

func (r *relearning) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *relearning) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() != "cluster" { // which is the asking itself
			r.onError(ctx, err)
		}
		return err
	}
}

func (r *relearning) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		r.onError(ctx, err)
		for _, cmd := range cmds {
			r.onError(ctx, cmd.Err())
		}
		return err
	}
}

func (r *relearning) onError(ctx context.Context, err error) {
	if !movesMaster(err) || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.last) < relearnPause {
		return
	}
	r.last = time.Now()
	r.ask()
}

// movesMaster says whether an error may mean that another node is, or will soon be,
// master: no reply came, or a reply of a cluster that is about to change.
func movesMaster(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if _, reply := errors.AsType[redis.Error](err); !reply {
		return true
	}
	return redis.IsClusterDownError(err) || redis.IsReadOnlyError(err) || redis.IsMasterDownError(err)
}

// AskTime bounds what [Apart] asks of one server.
const AskTime = 2 * time.Second

// Apart asks for something under each of the keys: one pipeline for each server that
// has some of them, all at once. ask puts the commands for the keys of these numbers
// into a pipeline; each command then has its own error. A server that does not answer
// within [AskTime] costs only the keys that it has.
//
// In one pipeline of a cluster's client a node that is frozen would hold up, and in
// the end fail, what the others have answered.
func Apart(ctx context.Context, c redis.UniversalClient, keys []string, ask func(p redis.Pipeliner, some []int)) {
	var all sync.WaitGroup
	for _, some := range byServer(ctx, c, keys) {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, AskTime)
			defer cancel()
			_, _ = c.Pipelined(ctx, func(p redis.Pipeliner) error { // each command has its error
				ask(p, some)
				return nil
			})
		})
	}
	all.Wait()
}

// byServer groups the numbers of the keys by the server that has them, as far as this
// client knows.
func byServer(ctx context.Context, c redis.UniversalClient, keys []string) [][]int {
	cluster, ok := c.(*redis.ClusterClient)
	groups, at := [][]int{}, map[string]int{}
	for i, key := range keys {
		addr := ""
		if ok {
			node, err := cluster.MasterForKey(ctx, key)
			if err != nil {
				return everything(len(keys)) // no node has said yet who has what
			}
			addr = node.Options().Addr
		}
		n, known := at[addr]
		if !known {
			n = len(groups)
			at[addr] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

func everything(n int) [][]int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return [][]int{all}
}
