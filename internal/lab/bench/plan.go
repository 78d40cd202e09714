package main

import "time"

// plan is how much is measured.
type plan struct {
	// a: for each quota so many jobs, and so many for the peer.
	quotas     []quotaPlan
	processes  []int
	models     []string
	peerModels []string

	// b
	cutQuota int
	cutPhase time.Duration

	// c
	backlog, few, fairRounds int

	// d
	costJobs, costRounds int
	depths               []int

	// e
	idleLanes        int
	settle, idleTime time.Duration

	// f
	latencyJobs, latencyLanes int

	// g
	bulkRows, bulkRounds, bulkLarge int
}

type quotaPlan struct{ quota, jobs, peerJobs int }

func fullPlan() plan {
	return plan{
		quotas:     []quotaPlan{{10, 150, 50}, {100, 5_000, 500}, {1_000, 10_000, 5_000}},
		processes:  []int{1, 3, 10},
		models:     []string{"window", "bucket"},
		peerModels: []string{"window"},
		cutQuota:   90, cutPhase: 30 * time.Second,
		backlog: 20_000, few: 100, fairRounds: 5,
		costJobs: 10_000, costRounds: 5, depths: []int{1_000, 100_000},
		idleLanes: 200, settle: 10 * time.Second, idleTime: 30 * time.Second,
		latencyJobs: 200, latencyLanes: 200,
		bulkRows: 200_000, bulkRounds: 5, bulkLarge: 1_000_000,
	}
}

// quickPlan measures everything once, to see that it can be measured.
func quickPlan() plan {
	return plan{
		quotas:     []quotaPlan{{100, 500, 200}},
		processes:  []int{3},
		models:     []string{"window", "bucket"},
		peerModels: []string{"window"},
		cutQuota:   90, cutPhase: 5 * time.Second,
		backlog: 2_000, few: 100, fairRounds: 1,
		costJobs: 5_000, costRounds: 1, depths: []int{1_000},
		idleLanes: 200, settle: 3 * time.Second, idleTime: 5 * time.Second,
		latencyJobs: 20, latencyLanes: 200,
		bulkRows: 50_000, bulkRounds: 1, bulkLarge: 200_000,
	}
}
