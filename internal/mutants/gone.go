package main

// gone are the guards around workers that are gone, and around marks that are not
// certain.
func gone() []mutant {
	const abandoned, giveBack, mark = "worker/abandoned.go", "internal/queue/giveback.lua", "worker/mark.go"
	return []mutant{
		{
			name: "nobody looks for workers that are gone", risk: "the jobs that a dead worker had taken wait for two minutes",
			file: "worker/asynq.go", old: "		gone.look(ctx)\n",
			pkg: "worker", test: "TestJobsOfAWorkerThatIsGoneGoOn",
		},
		{
			name: "nobody looks for the callbacks of workers that are gone", risk: "receivers are told two minutes late",
			file: abandoned, old: "	a.begin(ctx, tasks.QueueCallback)\n",
			pkg: "worker", test: "TestCallbacksOfAWorkerThatIsGoneAreTold",
		},
		{
			name: "a worker is gone after one heartbeat that is late", risk: "every long turn is taken a second time",
			file: abandoned, old: "deadAfter = 5500 * time.Millisecond", new: "deadAfter = 900 * time.Millisecond",
			pkg: "worker", test: "TestALongCallOfALiveWorkerIsLeftAlone",
		},
		{
			name: "a worker leaves its leases to asynq", risk: "a heartbeat that is half a second late has a live worker's tasks taken by others",
			file: abandoned, old: "len(own) > 0 {", new: "len(own) > 1<<20 {",
			pkg: "worker", test: "TestALiveWorkerMovesItsLeasesOnEachSecond",
		},
		{
			name: "time counts while Redis stands still", risk: "after each pause of Redis every worker is taken for gone",
			file: abandoned, old: "min(now.Sub(v.at), most)", new: "now.Sub(v.at)",
			pkg: "worker", test: "TestAfterRedisStoodStillNoWorkerIsTakenForGone",
		},
		{
			name: "a task whose lease has moved is given back", risk: "two processes take the task of the next worker from it",
			file: giveBack, old: "tonumber(ends) == tonumber(seen) and ",
			pkg: "enqueue", test: "TestOnlyATaskWhoseLeaseStandsWhereItStoodIsGivenBack",
		},
		{
			name: "a task without its message is given back", risk: "its lease is renewed for ever, and the sweeper never mends it",
			file: giveBack, old: "and redis.call('HEXISTS', task, 'msg') == 1\n", new: "\n",
			pkg: "enqueue", test: "TestOnlyATaskWhoseLeaseStandsWhereItStoodIsGivenBack",
		},
		{
			name: "a task that another worker has is an error", risk: "a worker that thaws fills its log and repeats what cannot work",
			file: "internal/asynqx/bookkeeping.go", old: `redis.HasErrorPrefix(err, "NOT FOUND")`, new: `redis.HasErrorPrefix(err, "NOTHING")`,
			pkg: "internal/asynqx", test: "TestKeepBookkeepingTakesATaskThatIsWithOthersForDone",
		},
		{
			name: "a mark that is not certain stays", risk: "a job whose mark had no reply waits for the settle window",
			file: mark, old: `if err != nil && marked.Rev != "" {`, new: `if err != nil && marked.Rev == "" {`,
			pkg: "worker", test: "TestAMarkInTheSocketOfARedisThatStandsStill",
		},
		{
			name: "whichever mark stands is taken back", risk: "a job is called again while another worker's call is on the wire",
			file: mark, old: "	back.State, back.Rev = marked.State, marked.Rev\n", new: "	back, _ = w.Ledger.Get(ctx, queued.Ref())\n",
			pkg: "worker", test: "TestAnothersMarkIsNotTakenBack",
		},
		{
			name: "a mark in a socket is not forestalled", risk: "it is written after all, and the job waits for the settle window",
			file: mark, old: "		_, err = w.Ledger.Note(ctx, queued, 0)\n", new: "		err = nil\n",
			pkg: "worker", test: "TestAMarkThatIsNotCertainIsTakenBack",
		},
		{
			name: "a mark that is written while it is taken back stays", risk: "the job waits for the settle window",
			file: mark, old: "	if errors.Is(err, tasks.ErrConflict) {\n		_, err = w.Ledger.Step(ctx, back, tasks.StepUnsent, 0)\n	}\n",
			pkg: "worker", test: "TestAMarkThatIsNotCertainIsTakenBack",
		},
		{
			name: "a lost mark costs a try", risk: "a Redis that stands still spends the budget of jobs that were never called",
			file: mark, old: "back := queued // costs no try", new: "back := marked // costs no try",
			pkg: "worker", test: "TestAMarkThatIsNotCertainIsTakenBack",
		},
		{
			name: "a worker that stops goes on with its mark", risk: "a worker does not stop while Redis is away",
			file: mark, old: "		case <-w.draining.Done():\n			return lost\n", new: "		case <-w.draining.Done():\n			time.Sleep(time.Hour)\n			return lost\n",
			pkg: "worker", test: "TestAStoppingWorkerLeavesItsMark",
		},
		{
			name: "an uncertain write does not say its revision", risk: "a mark that is not certain cannot be taken back",
			file: "internal/ledger/ledger.go", old: "		return made, fmt.Errorf(\"ledger: writing", new: "		return tasks.Record{}, fmt.Errorf(\"ledger: writing",
			pkg: "internal/ledger", test: "TestAWriteThatIsNotCertainCanBeUndoneOrForestalled",
		},
	}
}
