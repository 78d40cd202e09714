package worker

import (
	"maps"
	"slices"
	"sync"
)

// inHand is the tasks that this process has taken and not yet given back, by queue.
type inHand struct {
	mu    sync.Mutex
	taken map[string]map[string]int // queue, task ID: how many turns it has
}

// take notes a task, and returns what ends that.
func (h *inHand) take(queue, task string) (done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken == nil {
		h.taken = map[string]map[string]int{}
	}
	if h.taken[queue] == nil {
		h.taken[queue] = map[string]int{}
	}
	h.taken[queue][task]++ // a task that was given back may be taken here again
	return func() { h.drop(queue, task) }
}

func (h *inHand) drop(queue, task string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken[queue][task]--; h.taken[queue][task] == 0 {
		delete(h.taken[queue], task)
	}
}

func (h *inHand) tasks(queue string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.taken[queue]))
}
