package redistest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is a Redis Cluster of one test: three masters, each with a replica.
type Cluster struct {
	t       testing.TB
	Servers []*Server // the masters at first, then a replica of each
}

// clusterTime bounds the waits for a cluster to do something by itself.
const clusterTime = 2 * time.Minute

// StartCluster starts six servers, with args as in [Start], and makes a cluster of
// them that has failed over some seconds after a master's death.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	args = append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"}, args...)
	for i := range 6 {
		s := Start(t, args...)
		c.Servers = append(c.Servers, s)
		c.do(s, "cluster", "set-config-epoch", i+1)
	}
	for i, s := range c.Servers[:3] {
		first, last := i*16384/3, (i+1)*16384/3-1
		c.do(s, "cluster", "addslotsrange", first, last)
	}
	host, port, _ := strings.Cut(c.Servers[0].Addr(), ":")
	for _, s := range c.Servers[1:] {
		c.do(s, "cluster", "meet", host, port)
	}
	c.await("every server knows six", func() bool {
		return !slices.ContainsFunc(c.Servers, func(s *Server) bool { return !strings.Contains(c.info(s), "cluster_known_nodes:6") })
	})
	for i, s := range c.Servers[3:] {
		id := fmt.Sprint(c.do(c.Servers[i], "cluster", "myid"))
		c.await("a replica takes its master", func() bool {
			return s.node(func(n *redis.Client) error { return n.ClusterReplicate(context.Background(), id).Err() }) == nil
		})
	}
	c.await("the cluster is up and its replicas follow", func() bool {
		for i, s := range c.Servers {
			if !strings.Contains(c.info(s), "cluster_state:ok") {
				return false
			}
			if i >= 3 && !strings.Contains(fmt.Sprint(c.do(s, "info", "replication")), "master_link_status:up") {
				return false
			}
		}
		// Each must know of all replicas, or none of them may be elected.
		return len(c.masters(c.Servers[0])) == 3
	})
	return c
}

// URL names the first three servers.
func (c *Cluster) URL() string {
	var addrs []string
	for _, s := range c.Servers[:3] {
		addrs = append(addrs, s.Addr())
	}
	return "redis://" + strings.Join(addrs, ",")
}

// MasterOf returns the server that is the master of a key, by what a server says that
// runs, or nil while there is none that runs.
func (c *Cluster) MasterOf(key string) *Server {
	c.t.Helper()
	for _, s := range c.Servers {
		slots, err := c.slots(s)
		if err != nil {
			continue
		}
		slot, _ := strconv.Atoi(fmt.Sprint(c.do(s, "cluster", "keyslot", key)))
		for _, r := range slots {
			if slot < r.Start || slot > r.End || len(r.Nodes) == 0 {
				continue
			}
			for _, m := range c.Servers {
				if m.Addr() == r.Nodes[0].Addr && m.node(func(n *redis.Client) error { return n.Ping(context.Background()).Err() }) == nil {
					return m
				}
			}
		}
		return nil
	}
	return nil
}

// ReplicaOf returns the replica that one of the first three servers began with.
func (c *Cluster) ReplicaOf(master *Server) *Server {
	return c.Servers[3+slices.Index(c.Servers, master)]
}

// AwaitFailover returns when another server than old is the master of the key.
func (c *Cluster) AwaitFailover(key string, old *Server) {
	c.t.Helper()
	c.await("a replica is the master", func() bool {
		m := c.MasterOf(key)
		return m != nil && m != old
	})
}

func (c *Cluster) await(what string, ok func() bool) {
	c.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(clusterTime); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			c.t.Fatalf("redistest: never came true: %s", what)
		}
	}
}

func (c *Cluster) info(s *Server) string { return fmt.Sprint(c.do(s, "cluster", "info")) }

func (c *Cluster) masters(s *Server) []redis.ClusterSlot {
	slots, _ := c.slots(s)
	return slices.DeleteFunc(slots, func(r redis.ClusterSlot) bool { return len(r.Nodes) != 2 })
}

func (c *Cluster) slots(s *Server) (slots []redis.ClusterSlot, err error) {
	err = s.node(func(n *redis.Client) (err error) {
		//lint:ignore SA1019 a Redis before 7.0 knows no CLUSTER SHARDS
		slots, err = n.ClusterSlots(context.Background()).Result()
		return err
	})
	return slots, err
}

// do sends one command to one server.
func (c *Cluster) do(s *Server, args ...any) any {
	c.t.Helper()
	var answer any
	err := s.node(func(n *redis.Client) (err error) {
		answer, err = n.Do(context.Background(), args...).Result()
		return err
	})
	if err != nil {
		c.t.Fatalf("redistest: %v: %v", args, err)
	}
	return answer
}

// node uses a client of the server alone.
func (s *Server) node(use func(*redis.Client) error) error {
	n := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialerRetries: 1, Protocol: 2})
	defer n.Close()
	return use(n)
}
