package main

import "slices"

// table lists the mutants.
func table() []mutant {
	return slices.Concat(calling(), judging(), naming(), ending(), ledger(), batches(), wire(), callbacks(), queue(), lanes(), contradictions(), gone())
}

// calling are the guards of a call: at most one at a time, and each known.
func calling() []mutant {
	const turn = "worker/turn.go"
	return []mutant{
		{
			name: "no mark", risk: "a job whose process dies in its call is called again",
			file: turn, old: "r, err = w.begin(ctx, r)\n", new: "r.State = tasks.StateCalling\n",
			pkg: "worker", test: "TestNeverCreatesTwice",
		},
		{
			name: "the mark after the call", risk: "a job whose process dies in its call is called again",
			file: turn,
			old: `	r, err = w.begin(ctx, r)
	if err != nil {
		return again(err)
	}

	// Dies from here to the end of settling: the job is calling. After the deadline
	// a turn makes it uncertain, and the API is asked what there is.
	instance, err := w.create(ctx, l, r, start)
`,
			new: `	instance, callErr := w.create(ctx, l, r, start)
	r, err = w.begin(ctx, r)
	if err != nil {
		return again(err)
	}
	err = callErr
`,
			pkg: "worker", test: "TestNeverCreatesTwice",
		},
		{
			name: "a call though the mark is not certain", risk: "two turns call for one job",
			file: turn,
			old:  "	r, err = w.begin(ctx, r)\n	if err != nil {",
			new:  "	marked, err := w.begin(ctx, r)\n	if err == nil {\n		r = marked\n	} else if errors.Is(err, tasks.ErrNotFound) {",
			pkg:  "worker", test: "TestWithoutACertainMarkThereIsNoCall",
		},
		{
			name: "no deadline check on calling", risk: "a redelivered job is judged while its call is on the wire",
			file: turn,
			old:  "	if r.Wait() > 0 {\n		return w.early(ctx, l, r)\n	}\n",
			pkg:  "worker", test: "TestACallOnTheWireIsNotJudged",
		},
		{
			name: "an instance of several is taken early", risk: "a receiver is told of another's instance",
			file: turn, old: "if err != nil || len(fresh) != 1 || s.over {", new: "if err != nil || len(fresh) == 0 {",
			pkg: "worker", test: "TestOnlyOneInstanceIsTakenWhileACallIsOnTheWire",
		},
		{
			name: "nothing is looked for before the deadline", risk: "an outcome that is there waits for half a minute after each death of a worker",
			file: turn, old: "		return w.early(ctx, l, r)\n", new: "		return &Later{r.Wait(), \"a call may still be on the wire\"}\n",
			pkg: "worker", test: "TestWhatAWorkerThatIsGoneHasMadeIsFoundBeforeItsDeadline",
		},
		{
			name: "a process that was frozen sends", risk: "a call begins after others have judged that there is none",
			file: turn,
			old:  "> w.CallTimeout/2 {", new: "> 1000*time.Hour {",
			pkg: "worker", test: "TestAWorkerThatWasFrozenBetweenMarkAndCallDoesNotSend",
		},
		{
			name: "the call's time counts from the call", risk: "a call outlives the deadline of its mark",
			file: turn,
			old:  "context.WithDeadline(ctx, start.Add(w.CallTimeout))", new: "context.WithTimeout(ctx, w.CallTimeout)",
			pkg: "worker", test: "TestTheCallEndsBeforeOthersMayJudge",
		},
		{
			name: "the queue cancels calls", risk: "each lost lease makes a call whose end is unknown",
			file: turn,
			old:  "	ctx = context.WithoutCancel(ctx) // from here on the queue may not interrupt\n",
			pkg:  "worker", test: "TestTheQueueCannotInterruptACall",
		},
		{
			name: "a stopping worker begins calls", risk: "calls are cut off by every deployment",
			file: turn,
			old:  "	if err == nil {\n		err = wait.Err()\n	}\n",
			pkg:  "worker", test: "TestADrainingWorkerBeginsNoCall",
		},
		{
			name: "no claim of the name", risk: "two jobs of one name take each other's instance for their own",
			file: turn, old: "if holder != r.ID {", new: "if holder == \"\" {",
			pkg: "worker", test: "TestJobsOfOneNameDoNotOverlap",
		},
		{
			name: "no jitter", risk: "all that failed together comes back together",
			file: "worker/backoff.go",
			old:  "backoff.WithMultiplier(2),", new: "backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0),",
			pkg: "worker", test: "TestJobsThatFailTogetherComeBackApart",
		},
		{
			name: "a limiter without the burst rule", risk: "an idle account earns an hour's calls and trips the quota",
			file: "internal/ratelimit/reserve.lua",
			old:  "math.max(last + interval, now - (burst - 1) * interval, blocked)", new: "math.max(last + interval, blocked)",
			pkg: "internal/ratelimit", test: "TestScriptsDoWhatTheModelDoes",
		},
	}
}

// judging are the guards of what an answer, or none, is taken for.
func judging() []mutant {
	const turn, recover, classify = "worker/turn.go", "worker/recover.go", "internal/classify/classify.go"
	return []mutant{
		{
			name: "a retry on timeout", risk: "a call whose answer was lost is made again",
			file: turn,
			old:  "	case tasks.OutcomeAmbiguous:\n		return w.doubt(ctx, r)\n",
			new:  "	case tasks.OutcomeAmbiguous:\n		v.Outcome, due = tasks.OutcomeUnsent, backoffDelay(r.Tries, w.RetryMin, w.RetryMax)\n",
			pkg:  "worker", test: "TestNeverCreatesTwice",
		},
		{
			name: "no answer is taken for not sent", risk: "a call whose answer was lost is made again",
			file: classify, old: "	case !e.Sent:\n", new: "	case !e.Sent, e.Status == 0:\n",
			pkg: "internal/classify", test: "TestClassify",
		},
		{
			name: "a refusal with 5xx is believed", risk: "a job fails whose instance was made",
			file: classify,
			old:  "case !refusing(e.Status), begun(e.Status):", new: "case !refusing(e.Status) && e.Status < 500:",
			pkg: "internal/classify", test: "TestOnlyARefusalByTheGatewayOrAKnownOneByTheProductLeadsAnywhereButToALook",
		},
		{
			name: "a 5xx is taken for a refusal", risk: "a job fails whose instance was made",
			file: classify,
			old:  "		return Verdict{Kind: KindBusy}\n", new: "		return Verdict{Kind: KindRequest, Outcome: tasks.OutcomeRejected}\n",
			pkg: "internal/classify", test: "TestClassify",
		},
		{
			name: "an unknown code with 200 is a refusal", risk: "a job fails whose instance was made",
			file: classify,
			old:  "	case kind == KindRequest:\n", new: "	case kind == KindRequest, kind == KindUnknown && e.Status == http.StatusOK:\n",
			pkg: "internal/classify", test: "TestClassify",
		},
		{
			name: "an unknown code ends a job", risk: "an import is lost by a code that says that the account is refused",
			file: classify, old: "	case kind == KindRequest:\n", new: "	case kind == KindRequest, kind == KindUnknown && e.Status == 400:\n",
			pkg: "internal/classify", test: "TestCodesThatAreUnknownNeverEndAJob",
		},
		{
			name: "a page of a web server is a refusal of the job", risk: "a wrong endpoint fails every job of an import",
			file: classify, old: "return Verdict{Kind: KindForeign, Outcome: tasks.OutcomeBlocked}", new: "return Verdict{Kind: KindForeign, Outcome: tasks.OutcomeRejected}",
			pkg: "internal/classify", test: "TestKindsOfWhatIsNoAnswer",
		},
		{
			name: "a conflict is believed", risk: "a job fails whose instance was made",
			file: classify, old: "	case http.StatusRequestTimeout, http.StatusConflict, 499:\n", new: "	case http.StatusRequestTimeout, 499:\n",
			pkg: "internal/classify", test: "TestClassify",
		},
		{
			name: "a pause that the server asks for means nothing", risk: "flow control fails jobs",
			file: classify, old: "	case e.RetryAfter > 0 || e.Status == http.StatusTooManyRequests:\n", new: "	case e.Status == http.StatusTooManyRequests:\n",
			pkg: "internal/classify", test: "TestClassify",
		},
		{
			name: "prefixes win over words", risk: "an account without balance fails its jobs",
			file: "internal/classify/words.go", old: `"|invalidparam", "|missingparam"`, new: `"^invalid", "|invalidparam", "|missingparam"`,
			pkg: "internal/classify", test: "TestCodesThatNoTableNames",
		},
		{
			name: "one job's refusals keep the lane shut", risk: "one row of a file stops the account for all the others",
			file: "worker/blame.go", old: "	if !l.letInAfter(before) && (r.Refusals < 2 || l.isTripped()) {\n", new: "	if !l.letInAfter(before) || true {\n",
			pkg: "worker", test: "TestAJobThatIsRefusedForItselfHoldsUpNoOther",
		},
		{
			name: "a job is blamed for what the account is refused", risk: "an import fails while the account has no balance",
			file: "worker/blame.go", old: "	if !l.letInAfter(before) && (r.Refusals < 2 || l.isTripped()) {\n", new: "	if before.IsZero() {\n",
			pkg: "worker", test: "TestNoJobEndsWhileTheAccountIsRefused",
		},
		{
			name: "the witness waits as the others do", risk: "one job that is refused for itself keeps fresh ones waiting for minutes",
			file: "worker/breaker.go", old: "wait <= -late || probing || !again && l.otherThanWitness(r.ID):", new: "wait <= -late || probing:",
			pkg: "worker", test: "TestAJobThatIsRefusedForItselfHoldsUpNoOther",
		},
		{
			name: "a job that was refused before probes as soon as others", risk: "a few urgent jobs that are refused for themselves keep the account shut for hours",
			file: "worker/breaker.go", old: "	if again {\n		late = againLate\n", new: "	if again = false; again {\n		late = againLate\n",
			pkg: "worker", test: "TestUrgentJobsThatAreRefusedForThemselvesTakeNoProbeFromOthers",
		},
		{
			name: "a job in doubt whose looks are refused waits without end", risk: "a job has no outcome, and no person is asked for one",
			file: "worker/recover.go", old: "if !uncalled && w.unseen(l, r, v, own, e) {", new: "if false && w.unseen(l, r, v, own, e) {",
			pkg: "worker", test: "TestAJobInDoubtWhoseLooksAreRefusedIsHeld",
		},
		{
			name: "a look that has waited takes a task", risk: "asynq forgets that a task is finished, and a living worker counts as gone",
			file: "internal/asynqx/gate.go", old: "if asks && time.Since(asked) > oldPoll {", new: "if asks && time.Since(asked) > 1000*oldPoll {",
			pkg: "worker", test: "TestATaskThatComesAfterALongWaitIsFinishedAtOnce",
		},
		{
			name: "flow control of one job slows the account", risk: "one job that is turned away each time holds all others back",
			file: "worker/blame.go", old: "	return r.Delays >= manyThrottled && l.letInAfter(before)\n", new: "	return false && l.letInAfter(before)\n",
			pkg: "worker", test: "TestAJobThatIsThrottledForItselfSlowsNoOtherDown",
		},
		{
			name: "an unknown code has no budget", risk: "a job that the API will never take is called for ever",
			file: "worker/turn.go", old: "case r.Tries >= w.MaxTries, r.Unknown >= maxUnknown:", new: "case r.Tries >= w.MaxTries:",
			pkg: "worker", test: "TestAnUnknownCodeHasASmallBudget",
		},
		{
			name: "the same unknown code for all is each job's own", risk: "an import fails by a code that says that the account is refused",
			file: "worker/health.go", old: "	return len(r.jobs) >= manyJobs\n", new: "	return false\n",
			pkg: "worker", test: "TestNoJobEndsWhileTheAccountIsRefused",
		},
		{
			name: "an API that is away is asked by every job", risk: "it goes unseen, and is asked without end",
			file: "worker/health.go", old: "	return r.away >= awayAfter ||", new: "	return r.away >= 1000*awayAfter ||",
			pkg: "worker", test: "TestAnAPIThatIsAwayIsSaidOnce",
		},
		{
			name: "a refusal that names an instance is believed", risk: "a job fails whose instance was made",
			file: classify, old: `case e.InstanceID != "", saysYes(e):`, new: `case saysYes(e):`,
			pkg: "internal/classify", test: "TestAnAnswerThatContradictsItselfIsAmbiguous",
		},
		{
			name: "every code of flow control is believed", risk: "a call that the product had accepted is made again",
			file: "internal/classify/words.go",
			old:  `{KindFlow, true, "terraform"`, new: `{KindFlow, false, "terraform"`,
			pkg: "internal/classify", test: "TestClassify",
		},
		{
			name: "no baseline", risk: "an instance that stood there before is taken for the job's own",
			file: recover,
			old:  "	r.Baseline = &ids\n", new: "	r.Baseline = &[]string{}\n",
			pkg: "worker", test: "TestWhatExistedBeforeIsNeverTakenForTheJobsOwn",
		},
		{
			name: "an empty baseline is forgotten", risk: "an instance that came late is taken for one that stood there before",
			file: recover,
			old:  "	ids := make([]string, 0, len(s.exact)+len(s.alike))\n", new: "	var ids []string\n",
			pkg: "worker", test: "TestAnEmptyBaselineIsNoMissingOne",
		},
		{
			name: "the baseline is not looked at", risk: "an instance that stood there before is taken for the job's own",
			file: recover, old: "if !r.InBaseline(i.InstanceID) {", new: "if i.InstanceID != \"\" {",
			pkg: "worker", test: "TestWhatExistedBeforeIsNeverTakenForTheJobsOwn",
		},
		{
			name: "another job's instance is taken", risk: "two jobs tell their receivers of one instance",
			file: recover, old: "if !claimed[f.InstanceID] || counts(f) {", new: "if claimed != nil {",
			pkg: "worker", test: "TestALostAnswerIsLookedUp",
		},
		{
			name: "the first of several is taken", risk: "a receiver is told of somebody else's instance",
			file: recover, old: "	case len(fresh) == 1:\n", new: "	case len(fresh) >= 1:\n",
			pkg: "worker", test: "TestALostAnswerIsLookedUp",
		},
		{
			name: "absent after one look", risk: "an instance that is listed late is created again",
			file: recover,
			old:  "; left > 0 {\n		return w.lookAgain(ctx, r, left)\n	}\n	looks, took",
			new:  "; left > w.SettleWindow {\n		return w.lookAgain(ctx, r, left)\n	}\n	looks, took",
			pkg:  "worker", test: "TestAnInstanceThatNeverAppears",
		},
		{
			name: "a look that failed is taken for absence", risk: "while the list is down, what was created is created again",
			file: recover,
			old:  "		w.looked(l, \"failed\")\n		return w.cannotList(wait, l, r, err)\n", new: "		w.looked(l, \"failed\")\n",
			pkg: "worker", test: "TestNoAnswerToALookIsNoEvidence",
		},
		{
			name: "a job that a person puts back is not looked up", risk: "an instance that came late is created again",
			file: turn, old: "	case r.LookFirst():\n", new: "	case r.LookFirst() && r.Baseline == nil:\n",
			pkg: "worker", test: "TestARetriedJobNeverMakesASecondInstance",
		},
		{
			name: "a part of the name is enough", risk: "another tenant's instance is taken for the job's own",
			file: "cams/list.go", old: "case i.InstanceName != s.InstanceName:", new: "case !strings.HasPrefix(i.InstanceName, s.InstanceName):",
			pkg: "cams", test: "TestFindInstancesIsExactInNameAndAnyCaseInChannel",
		},
		{
			name: "half a list is a list", risk: "an instance on a page that was lost is created again",
			file: "cams/list.go", old: "	case len(fresh) == 0 && have < l.total:\n", new: "	case len(fresh) == 0 && have < 0:\n",
			pkg: "cams", test: "TestAListThatIsNotWholeIsAnError",
		},
	}
}

// ending are the guards of the outcome: one, recorded, and told.
func ending() []mutant {
	return []mutant{
		{
			name: "a late success is dropped", risk: "an instance is paid for that no record knows",
			file: "worker/turn.go", old: "for errors.Is(err, tasks.ErrConflict) {", new: "for errors.Is(err, tasks.ErrConflict) && made == nil {",
			pkg: "worker", test: "TestASuccessIsRecordedWhereverTheJobStands",
		},
		{
			name: "no callback is owed", risk: "a receiver is not told if the queue loses the task",
			file: "internal/finalize/finalize.go", old: `if to.EventType() != "" && hasReceiver {`, new: `if to.EventType() == "" && hasReceiver {`,
			pkg: "worker", test: "TestACallbackIsOwedExactlyWhereThereIsSomebodyToTell",
		},
		{
			name: "a failed try delivers", risk: "a receiver that was down is never told",
			file: "worker/deliver.go", old: "	case tasks.DeliveryRetry:\n		var more bool\n", new: "	case tasks.DeliveryRetry:\n		to.State = tasks.CallbackDelivered\n		var more bool\n",
			pkg: "worker", test: "TestACallbackIsTriedUntilItsReceiverHasIt",
		},
		{
			name: "the vendor's message is kept as it is", risk: "mail and address stand in Redis, logs and webhooks",
			file: "internal/classify/answer.go", old: "	r.Message = r.Request.Redact(r.Message)\n",
			pkg: "worker", test: "TestNothingPersonalIsKeptOfAnAnswer",
		},
	}
}

// ledger are the guards of the record.
func ledger() []mutant {
	const step = "internal/ledger/step.lua"
	return []mutant{
		{
			name: "settling without compare-and-swap", risk: "two turns write over each other",
			file: step, old: "if not readable(v) or rev ~= read or state ~= from then", new: "if not readable(v) then",
			pkg: "internal/ledger", test: "TestOneOfManyWritersFromOneRevisionWins",
		},
		{
			name: "a repeated write is not recognised", risk: "a write that happened is reported as refused",
			file: step, old: "if rev == write then", new: "if rev == '' then",
			pkg: "internal/ledger", test: "TestAWriteWhoseConnectionBreaksIsAppliedOnce",
		},
		{
			name: "a newer version's record is written over", risk: "a rollback destroys records",
			file: step, old: "if not readable(v) or rev", new: "if rev",
			pkg: "internal/ledger", test: "TestARecordThatCannotBeReadIsNamedAndHarmsNoOther",
		},
		{
			name: "any version is read", risk: "a request of another shape is called with what happens to be there",
			file: "internal/ledger/codec.go", old: "	if err := checkVersion(f[0]); err != nil {\n		return err\n	}\n",
			pkg: "internal/ledger", test: "TestGoldenRecordsAreReadForEver",
		},
		{
			name: "unknown fields are passed over", risk: "a write drops what a newer version guards the promise with",
			file: "internal/ledger/codec.go", old: "	d.DisallowUnknownFields()\n",
			pkg: "internal/ledger", test: "TestARecordThatCannotBeReadIsNamedAndHarmsNoOther",
		},
		{
			name: "an opened request is taken as it is", risk: "the API is called with an empty request",
			file: "internal/ledger/codec.go", old: "	if err := req.check(); err != nil {\n		return tasks.Record{}, unreadable(ref, err)\n	}\n",
			pkg: "internal/ledger", test: "TestARequestThatIsNoneIsUnreadable",
		},
		{
			name: "an empty request is called", risk: "an instance is made that no producer has asked for",
			file: "worker/turn.go", old: "if r.Request.ChannelType == \"\" || r.Request.InstanceName == \"\" {", new: "if false {",
			pkg: "worker", test: "TestARequestWithoutANameIsNeverCalled",
		},
		{
			name: "a process runs beside records that are not for it", risk: "jobs wait 5 minutes at a time, for as long as it runs",
			file: "internal/ledger/format.go", old: "	case f.highest > newest:\n", new: "	case false:\n",
			pkg: "internal/ledger", test: "TestAProcessIsLetInToRecordsThatAreForIt",
		},
		{
			name: "records from before formats are taken for none", risk: "jobs that cannot be read wait for good, beside new ones",
			file: "internal/ledger/format.lua", old: "if none and ARGV[3] == '0' then", new: "if none then",
			pkg: "internal/ledger", test: "TestAProcessIsLetInToRecordsThatAreForIt",
		},
		{
			name: "a producer raises the format", risk: "workers meet records that they cannot read",
			file: "internal/ledger/format.lua", old: "elseif not none and ARGV[4] == '1' and", new: "elseif not none and",
			pkg: "internal/ledger", test: "TestAWorkerAloneRaisesTheFormat",
		},
		{
			name: "what cannot be read is another request", risk: "its sender takes another job ID, and there is a second call",
			file: "enqueue/lookup.go", old: "	case existing.Err != nil:\n", new: "	case false:\n",
			pkg: "enqueue", test: "TestWhatCannotBeReadIsNoOtherRequest",
		},
		{
			name: "the same bytes under another version are the same request", risk: "a job that no worker can read is told as being on its way",
			file: "internal/queue/insert.go", old: " && e.State != \"\"\n", new: "\n",
			pkg: "enqueue", test: "TestWhatCannotBeReadIsNoOtherRequest",
		},
		{
			name: "no claim of instances", risk: "two jobs have one instance",
			file: step, old: "if holder and holder ~= id then", new: "if not holder and holder ~= nil then",
			pkg: "internal/ledger", test: "TestAnInstanceBelongsToOneJob",
		},
		{
			name: "whoever ends gives the name back", risk: "jobs of one name overlap",
			file: step, old: "if redis.call('GET', KEYS[6]) == id then", new: "if id then",
			pkg: "internal/ledger", test: "TestEndingAJobLeavesAnothersName",
		},
		{
			name: "a name is claimed from whoever holds it", risk: "jobs of one name overlap",
			file: "internal/ledger/claim.lua", old: "if not holder or holder == ARGV[2] then", new: "if not holder or holder ~= ARGV[1] then",
			pkg: "internal/ledger", test: "TestANameIsHeldByOneJobUntilItEnds",
		},
		{
			name: "an owed callback is not listed", risk: "the sweeper cannot find what was not told",
			file: step, old: "[KEYS[7]] = 'owed', ", new: "",
			pkg: "internal/ledger", test: "TestTheCallbackListsFollowTheRecord",
		},
		{
			name: "requests are not sealed", risk: "mail and address stand in Redis in clear",
			file: "internal/seal/seal.go",
			old:  "	return k, nil\n}\n",
			new: `	k.aead, err = cipher.NewGCM(bare{})
	return k, err
}

type bare struct{}

func (bare) BlockSize() int        { return aes.BlockSize }
func (bare) Encrypt(dst, _ []byte) { copy(dst, make([]byte, aes.BlockSize)) }
func (bare) Decrypt(dst, _ []byte) { copy(dst, make([]byte, aes.BlockSize)) }
`,
			pkg: "internal/ledger", test: "TestRedisNeverSeesARequestInClear",
		},
		{
			name: "a seal fits everywhere", risk: "one job's request can be put in another's place",
			file: "internal/seal/seal.go",
			old:  "	return k, nil\n}\n",
			new: `	k.aead = anywhere{k.aead}
	return k, nil
}

type anywhere struct{ cipher.AEAD }

func (a anywhere) Seal(dst, nonce, plain, _ []byte) []byte { return a.AEAD.Seal(dst, nonce, plain, nil) }
func (a anywhere) Open(dst, nonce, sealed, _ []byte) ([]byte, error) {
	return a.AEAD.Open(dst, nonce, sealed, nil)
}
`,
			pkg: "internal/seal", test: "TestWhatIsSealedOpensOnlyInItsPlaceAndWithItsKey",
		},
		{
			name: "another request under a known ID is the same", risk: "a producer's second job is dropped in silence",
			file: "internal/ledger/insert.lua", old: "sealed == request", new: "true",
			pkg: "enqueue", test: "TestAnotherRequestUnderTheSameIDIsRefused",
		},
	}
}

// batches are the guards of a batch's end: told when it has come, and once.
func batches() []mutant {
	const batch = "internal/ledger/batch.lua"
	return []mutant{
		{
			name: "a batch that nobody has closed is completed", risk: "a receiver goes on with half a file",
			file: batch, old: "if n == 0 or tonumber(f[1]) ~= n or ", new: "if n == 0 or ",
			pkg: "internal/ledger", test: "TestABatchIsNotCompletedBefore",
		},
		{
			name: "a batch is completed as often as anybody looks", risk: "a receiver is told of one end many times, each with an ID of its own",
			file: batch, old: " or tonumber(f[2]) == n then", new: " then",
			pkg: "internal/ledger", test: "TestABatchIsCompletedByItsEndWhicheverComesLast",
		},
		{
			name: "a completion is not owed", risk: "a receiver is not told if the process dies before it queues that",
			file: batch, old: "  redis.call('ZADD', b.owed, now, name .. '#' .. number)\n",
			pkg: "internal/ledger", test: "TestOwedBatchesComeWithTheirAge",
		},
		{
			name: "what was told before of the name counts as told", risk: "a file of the same name is not told",
			file: batch, old: "  redis.call('HDEL', b.completions, number .. ':callback')\n",
			pkg: "internal/ledger", test: "TestABatchOfANameThatWasToldBeforeIsToldToo",
		},
		{
			name: "a job that is put back leaves its batch completed", risk: "how the batch ended in the end is never told",
			file: "internal/ledger/step.lua", old: "  reopen(KEYS[5]) -- it may have been the batch's last\n",
			pkg: "internal/ledger", test: "TestABatchThatGoesOnIsCompletedAgain",
		},
		{
			name: "the sweeper forgets completed batches", risk: "a receiver is not told if the queue loses the task",
			file: "worker/sweep.go", old: "s.Books.OwedBatches(ctx, account, grace))", new: "s.Books.OwedBatches(ctx, account, 1000*grace))",
			pkg: "worker", test: "TestABatchIsToldOnce",
		},
	}
}

// naming are the guards against names that look the same, or that the API keeps its way.
func naming() []mutant {
	const recover = "worker/recover.go"
	return []mutant{
		{
			name: "a near match is absent", risk: "an instance that the API keeps under another name is created again",
			file: recover, old: "if near := s.near(); len(near) > 0 || r.NearbyMany {", new: "if near := s.near(); near == nil && r.NearbyMany {",
			pkg: "worker", test: "TestANearMatchIsHeldAndNeverAbsent",
		},
		{
			name: "among too many others an instance is absent", risk: "an instance that the API keeps under another name is created again",
			file: recover, old: "if near := s.near(); len(near) > 0 || r.NearbyMany {", new: "if near := s.near(); len(near) > 0 {",
			pkg: "worker", test: "TestAmongTooManyOthersNothingIsAbsent",
		},
		{
			name: "a job that a person puts back calls beside a near match", risk: "an instance that came late under another name is created again",
			file: recover, old: "if len(s.alike) == 0 && !many && (len(s.others) == 0 || s.many) {", new: "if many || !many {",
			pkg: "worker", test: "TestANearMatchThatComesLateIsHeldToo",
		},
		{
			name: "names that may be stored alike overlap", risk: "of two jobs one takes the other's instance for its own",
			file: "tasks/job.go", old: "digest(strings.ToUpper(channelType), FoldName(name))", new: "digest(strings.ToUpper(channelType), name)",
			pkg: "worker", test: "TestTwoJobsWhoseNamesDifferInCaseOnly",
		},
		{
			name: "the baseline leaves out other names", risk: "whatever stood there before holds each job whose answer is lost",
			file: recover, old: "	r.Nearby, r.NearbyMany = idsOf(s.others), s.many\n",
			pkg: "worker", test: "TestWhatOtherJobsExplainIsNoNearMatch",
		},
		{
			name: "a name that exists in another form is free", risk: "a second instance of a name is made that the API may not tell from the first",
			file: recover, old: "	case len(alike) > 0:\n", new: "	case len(alike) < 0:\n",
			pkg: "worker", test: "TestANameThatExistsNearlyBeforeTheFirstCall",
		},
		{
			name: "a lock that was left explains an instance", risk: "a near match is taken for another job's, and created again",
			file: "internal/ledger/claim.go", old: "		taken[key] = alive[holder]\n", new: "		taken[key] = holder != \"\"\n",
			pkg: "internal/ledger", test: "TestANameIsTakenWhileItsJobMayHaveMadeAnInstance",
		},
		{
			name: "a person's word covers the candidates alone", risk: "a job with many near matches is held again and again",
			file: "worker/near.go", old: "		r.Nearby = append(r.Nearby, i.InstanceID)\n", new: "		_ = i\n",
			pkg: "worker", test: "TestAPersonsWordCountsForEveryCandidate",
		},
		{
			name: "what cannot be seen stays in a name", risk: "names that look the same are several instances",
			file: "tasks/text.go", old: "	return checkHidden(value)\n", new: "	return \"\"\n",
			pkg: "tasks", test: "TestNoHiddenCharacterIsForgotten",
		},
		{
			name: "names are not composed", risk: "names that look the same are several instances",
			file: "tasks/text.go", old: "return trimText(norm.NFC.String(value))", new: "return trimText(norm.NFC.String(value[:0]) + value)",
			pkg: "tasks", test: "TestNamesThatLookTheSameAreOneJob",
		},
		{
			name: "NULL is a name", risk: "an export's empty cells become instances",
			file: "tasks/nothing.go", old: "	case isNothing(value):\n", new: "	case isNothing(value) && value == \"\":\n",
			pkg: "tasks", test: "TestWordsForNothingAreNoNames",
		},
	}
}

// wire are the guards of the API's wire.
func wire() []mutant {
	const client = "cams/client.go"
	return []mutant{
		{
			name: "net/http repeats a create", risk: "a connection that ends without an answer makes a second instance",
			file: client, old: `	r.Header.Set("Accept", "application/json")` + "\n", new: `	r.Header.Set("Accept", "application/json")` + "\n" + `	r.Header.Set("Idempotency-Key", "1")` + "\n",
			pkg: "cams", test: "TestALostAnswerOnAReusedConnectionIsNotRepeated",
		},
		{
			name: "a redirect of the API is followed", risk: "a create is sent twice",
			file: client, old: "response, err := c.transport.RoundTrip(r)", new: "response, err := (&http.Client{Transport: c.transport}).Do(r)",
			pkg: "cams", test: "TestEveryReplyIsStatedAsItIs",
		},
		{
			name: "sent is forgotten", risk: "a call whose answer was lost counts as never sent",
			file: client, old: "sent.Store(true)", new: "sent.Store(false)",
			pkg: "cams", test: "TestALostAnswerOnAReusedConnectionIsNotRepeated",
		},
	}
}

// callbacks are the guards of webhooks.
func callbacks() []mutant {
	const sender = "callback/sender.go"
	return []mutant{
		{
			name: "no SSRF hook", risk: "a tenant's callback URL reaches the private network",
			file: sender, old: "&net.Dialer{Control: g.control, ", new: "&net.Dialer{",
			pkg: "callback", test: "TestNoNameLeadsToAPrivateAddress",
		},
		{
			name: "a cloud's metadata address is private like others", risk: "a tenant's callback URL reaches the host's credentials",
			file: "callback/guard.go", old: "if prefix.Contains(plain) {", new: "if prefix.Contains(plain) && !g.allowPrivate {",
			pkg: "callback", test: "TestCheckURL",
		},
		{
			name: "a callback follows redirects", risk: "a receiver sends webhooks on to wherever it likes",
			file: sender, old: "s.transport.RoundTrip(request)", new: "(&http.Client{Transport: s.transport}).Do(request)",
			pkg: "callback", test: "TestARedirectIsNotFollowed",
		},
		{
			name: "a callback uses the proxy", risk: "the proxy connects to private addresses for a tenant",
			file: sender, old: "Proxy:                  nil,", new: "Proxy: http.ProxyFromEnvironment,",
			pkg: "callback", test: "TestAProxyFromTheEnvironmentIsNotUsed",
		},
		{
			name: "a signature without the timestamp", risk: "a captured webhook can be replayed for ever",
			file: "callback/sign.go", old: "	content = append(content, timestamp...)\n", new: "",
			pkg: "callback", test: "TestSignGivesThePublishedAnswers",
		},
		{
			name: "an old webhook verifies", risk: "a captured webhook can be replayed for ever",
			file: "callback/verify.go", old: "if at.Before(now.Add(-Tolerance)) || ", new: "if ",
			pkg: "callback", test: "TestVerify",
		},
	}
}

// queue are the guards against what asynq does otherwise.
func queue() []mutant {
	return []mutant{
		{
			name: "asynq's bookkeeping is cancelled", risk: "tasks that succeeded run again",
			file: "internal/asynqx/bookkeeping.go",
			old:  "context.WithDeadline(context.WithoutCancel(ctx), deadline)", new: "context.WithDeadline(ctx, deadline)",
			pkg: "internal/asynqx", test: "TestKeepBookkeepingFreesOnlyAsynqsBooksFromCancellation",
		},
		{
			name: "no pause on errors", risk: "each worker takes a core while Redis is away",
			file: "internal/asynqx/pause.go", old: "	if d == 0 {\n", new: "	if d >= 0 {\n",
			pkg: "internal/asynqx", test: "TestPauseOnErrorPausesForWhatWouldRepeat",
		},
		{
			name: "the worker's queue has no bookkeeping hook", risk: "tasks that succeeded run again",
			file: "internal/asynqx/servers.go", old: "	rdb.AddHook(KeepBookkeeping{})\n",
			pkg: "internal/cli", test: "TestATaskThatEndedIsDoneThoughItsFirstDoneFailed",
		},
		{
			name: "the worker's queue has no pause hook", risk: "each worker takes a core while Redis is away",
			file: "internal/asynqx/servers.go", old: "	rdb.AddHook(&PauseOnError{})\n",
			pkg: "internal/cli", test: "TestAWorkersQueueRestsWhileRedisRefuses",
		},
		{
			name: "a failed look at a queue shuts its gate", risk: "one CLUSTERDOWN stops every account",
			file: "internal/asynqx/gate.go", old: "if err != nil && !errors.Is(err, redis.Nil) {", new: "if errors.Is(err, redis.TxFailedErr) {",
			pkg: "internal/asynqx", test: "TestAGateStaysOpenAfterALookThatFailed",
		},
		{
			name: "a cluster's client as it comes", risk: "a dead master's accounts stand for a minute",
			file: "internal/redisconn/open.go", old: "return openCluster(u.Cluster()), nil", new: "return redis.NewClusterClient(u.Cluster()), nil",
			pkg: "internal/redisconn", test: "TestAClientOfAClusterFollowsAFailover",
		},
		{
			name: "an old look holds", risk: "a paused account is called while a part of Redis is away",
			file: "worker/breaker.go", old: "	if err := w.fresh(ctx, l); err != nil {\n		return err\n	}\n",
			pkg: "worker", test: "TestAPauseIsObeyedByAWorkerThatTheLooksDoNotReach",
		},
		{
			name: "every turn tries to queue its callback", risk: "a callback queue that is away stops all accounts",
			file: "worker/tell.go", old: "if !w.telling.mayTry() {", new: "if w.telling.mayTry(); false {",
			pkg: "worker", test: "TestCallbacksThatCannotBeQueuedHoldUpNoCalls",
		},
		{
			name: "coming back later is a failure", risk: "asynq's budget archives jobs that only wait",
			file: "worker/asynq.go", old: "_, ok := errors.AsType[*Later](err); return !ok", new: "return err != nil",
			pkg: "worker", test: "TestComingBackLaterIsNoFailure",
		},
		{
			name: "asynq stops before a call can end", risk: "calls are cut off by every deployment",
			file: "worker/asynq.go", old: "return w.CallTimeout + settleTime", new: "return w.CallTimeout / 2",
			pkg: "worker", test: "TestAStopWaitsForTheLongestCall",
		},
		{
			name: "twins in a step are not looked for", risk: "a row that comes twice is counted and queued twice",
			file: "enqueue/createall.go", old: "s.twins || w.refs[ref]", new: "false",
			pkg: "enqueue", test: "TestEveryJobGetsItsResultInOrder",
		},
		{
			name: "a step that is tried again has another name", risk: "what it wrote itself is told as another's",
			file: "enqueue/step.go", old: "			open, inserts = append(open, b)", new: "			b.Try = ledger.NewTry()\n			open, inserts = append(open, b)",
			pkg: "enqueue", test: "TestALostConnectionIsWaitedOutAndNothingIsWrittenTwice",
		},
		{
			name: "records come before the index", risk: "a step that Redis refuses in its middle leaves jobs that nobody finds",
			file: "internal/ledger/insert.lua", old: "  redis.call('ZADD', keys[1], unpack(members))\n",
			pkg: "enqueue", test: "TestARefusalIsNotTriedAgain",
		},
		{
			name: "an import fills Redis", risk: "at maxmemory no worker can take a job any more",
			file: "internal/queue/create.lua", old: "if used > share * max then", new: "if false then",
			pkg: "enqueue", test: "TestAnImportBlocksAboveTheHighWatermarkAndGoesOn",
		},
		{
			name: "a Redis without memory ends an import", risk: "what could have waited is left to people",
			file: "enqueue/createall.go", old: "errors.AsType[*queue.OutOfMemoryError](err); ok {", new: "errors.AsType[*queue.OutOfMemoryError](err); ok && full.Err == nil {",
			pkg: "enqueue", test: "TestAnImportBlocksOnlyOnARefusalWhileItMayNotReadRedissMemory",
		},
		{
			name: "a requeue looks into one queue alone", risk: "a job that an older camsq has put back has two tasks",
			file: "internal/queue/requeue.lua", old: "  if queues == 2 then\n", new: "  if queues == 3 then\n",
			pkg: "enqueue", test: "TestATaskThatIsOnItsWayInTheOtherQueueGetsNoTwin",
		},
		{
			name: "a producer that may not wake workers is refused", risk: "jobs that could have been queued are not",
			file: "internal/queue/wake.lua", old: "redis.pcall('PUBLISH'", new: "redis.call('PUBLISH'",
			pkg: "enqueue", test: "TestWhoeverMayNotSpeakEnqueuesAllTheSame",
		},
		{
			name: "the sweeper forgets lost tasks", risk: "a job whose task was lost never ends",
			file: "worker/sweep.go", old: "if whole || jobs > live {", new: "if whole && jobs < live {",
			pkg: "worker", test: "TestASweepLooksAtEveryJobOnlyIfTheNumbersDiffer",
		},
		{
			name: "the sweeper forgets owed callbacks", risk: "a receiver is not told if the queue loses the task",
			file: "worker/sweep.go", old: "s.Books.Owed(ctx, account, grace))", new: "s.Books.Owed(ctx, account, 1000*grace))",
			pkg: "worker", test: "TestACallbackThatTheQueueLosesIsPutBack",
		},
	}
}

// lanes are the guards of an account's pace, and of accounts that are held back.
func lanes() []mutant {
	return []mutant{
		{
			name: "every job probes", risk: "an account that the API refuses is asked by all its jobs, which may lock it",
			file: "internal/ledger/probe.lua", old: "if f[3] and f[3] ~= ARGV[1] and busy > now then", new: "if busy < 0 then",
			pkg: "internal/ledger", test: "TestALaneThatHasTrippedIsProbedByOneJobAtATime",
		},
		{
			name: "calls that were under way count as probes", risk: "one refusal of many calls at once shuts an account for minutes",
			file: "internal/ledger/trip.lua", old: "if f[1] and f[2] ~= ARGV[1] then", new: "if f[1] == '' then",
			pkg: "internal/ledger", test: "TestALaneThatHasTrippedIsProbedByOneJobAtATime",
		},
		{
			name: "a lane that tripped calls on", risk: "an account that the API refuses is asked by all its jobs, which may lock it",
			file: "worker/breaker.go", old: "	case looking && trip.Action != ActionList && !unreachable(*trip):\n", new: "	case trip.Probes > 0:\n",
			pkg: "worker", test: "TestABlockedAccountIsProbedLessAndLessOften",
		},
		{
			name: "a worker's own fault is the account's", risk: "one host with a wrong clock stops the account for all the others",
			file: "worker/breaker.go", old: "	alone := first && time.Since(mine.alone) < aloneFor*w.RetryMax\n", new: "	alone := false\n",
			pkg: "worker", test: "TestAWorkerWithAFaultOfItsOwnHoldsNoOther",
		},
		{
			name: "a worker that is refused alone calls with all its turns", risk: "it spends the quota of the others on refusals",
			file: "worker/own.go", old: ", o.trying != (tasks.ProbeID{}) && o.trying != turn:", new: ":",
			pkg: "worker", test: "TestAWorkerThatIsRefusedAloneMakesOneCallAtATime",
		},
		{
			name: "a worker with a fault of its own probes as the others do", risk: "an account that was mended stays shut for minutes more",
			file: "worker/own.go", old: "return at.Add(shyAlone)", new: "return at.Add(shy)",
			pkg: "worker", test: "TestAWorkerWithAFaultOfItsOwnLeavesTheProbesToTheOthers",
		},
		{
			name: "refused alone once, refused alone for good", risk: "an account that is refused for all never trips, and nobody is told",
			file: "worker/breaker.go", old: "alone := first && time.Since(mine.alone) < aloneFor*w.RetryMax", new: "alone := first && !mine.alone.IsZero()",
			pkg: "worker", test: "TestTheLastWorkerTripsTheLaneAgain",
		},
		{
			name: "a worker takes its own probe for another's", risk: "an account that is refused for all never trips, and nobody is told",
			file: "worker/breaker.go", old: "l.seen.Trip, l.own, l.heard = nil, own{}, time.Now()", new: "l.seen.Trip, l.heard = nil, time.Now()",
			pkg: "worker", test: "TestAKeyThatMayOnlyListTripsTheLane",
		},
		{
			name: "a process takes all that it can", risk: "an urgent job waits behind hundreds, and jobs are given back again and again",
			file: "worker/gate.go", old: "busy >= g.room:", new: "busy >= g.most:",
			pkg: "worker", test: "TestAProcessTakesNoMoreThanItCanSoonCall",
		},
		{
			name: "a wake is not heard", risk: "the job of an idle lane waits for the next look",
			file: "worker/asynq.go", old: "		l.gate.Came(message)\n", new: "",
			pkg: "worker", test: "TestAnIdleLaneIsWokenByItsFirstJob",
		},
		{
			name: "a throttled job goes back to asynq", risk: "the last job of an import waits for asynq, and the others lose their place",
			file: "worker/asynq.go", old: "if !ok || later.After > patience {", new: "if !ok || later.After > 0 || later.After == 0 {",
			pkg: "worker", test: "TestAThrottledJobTakesTheNextSlot",
		},
	}
}
