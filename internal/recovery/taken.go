package recovery

import (
	"maps"
	"slices"
	"sync"
)

// taken holds the tasks that this process has taken and not finished, by queue.
type taken struct {
	mu sync.Mutex
	// counts is by queue and task ID: a task that was given back may be taken here again.
	counts map[string]map[string]int
}

func (t *taken) add(queue, task string) (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]map[string]int{}
	}
	if t.counts[queue] == nil {
		t.counts[queue] = map[string]int{}
	}
	t.counts[queue][task]++
	return func() { t.drop(queue, task) }
}

func (t *taken) drop(queue, task string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[queue][task]--; t.counts[queue][task] == 0 {
		delete(t.counts[queue], task)
	}
}

func (t *taken) tasks(queue string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.counts[queue]))
}
