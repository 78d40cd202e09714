package model

// transition is one thing that may happen next.
type transition struct {
	// words say what happens. "W", "J" and "S" in it stand for worker, job and step.
	words  string
	worker int
	job    uint8
	by     step
	// fault says that this is a failure, and not progress.
	fault bool
	to    state
}

// next collects what may happen in a state.
type next struct {
	c    *Config
	s    *state
	took *stepSet
	out  []transition
}

// stepSet says which steps were taken.
type stepSet [len(moves)]bool

// all lists everything that may happen in a state. It appends to out.
func (c *Config) all(s *state, took *stepSet, out []transition) []transition {
	n := next{c, s, took, out}
	for i := range s.workers {
		n.turn(i)
	}
	for j := range uint8(c.Jobs) {
		n.queue(j)
		n.clock(j)
		n.cloud(j)
		n.socket(j)
		n.operator(j)
	}
	n.lister()
	return n.out
}

// does adds a step of worker i, after which it goes on at pc.
func (n *next) does(i int, words string, change func(s *state, w *worker)) *transition {
	t := transition{words: words, worker: i, job: n.s.workers[i].job, by: n.s.workers[i].by, to: *n.s}
	w := &t.to.workers[i]
	change(&t.to, w)
	if w.pc == idle {
		*w = worker{}
	}
	n.out = append(n.out, t)
	return &n.out[len(n.out)-1]
}

// turn is what worker i may do next.
func (n *next) turn(i int) {
	w := n.s.workers[i]
	if w.pc != idle {
		n.does(i, "worker W dies", func(s *state, w *worker) { s.release(w) }).fault = true
	}
	switch w.pc {
	case idle:
		for j := range uint8(n.c.Jobs) {
			n.startTurn(i, j)
			n.deliver(i, j)
		}
	case claim:
		n.claim(i)
	case list:
		n.list(i)
	case write:
		n.write(i)
	case send:
		n.send(i)
	case unmark:
		n.unmark(i)
	case wait:
		n.answer(i)
	case reread:
		n.reread(i)
	case lookup, lookupFirst, lookupEarly:
		n.lookup(i)
	case report:
		n.does(i, "worker W queues the callback of job J", func(s *state, w *worker) {
			s.jobs[w.job].callback = true
			w.pc = ack
		})
	case ack:
		n.does(i, "worker W tells the queue that job J is done with", func(s *state, w *worker) {
			s.jobs[w.job].task = false
			w.pc = idle
		})
	case post, noteDelivery, ackDelivery:
		n.delivery(i)
	}
}

// release leaves a dying worker's request, and a mark in a socket, to themselves.
func (s *state) release(w *worker) {
	if w.adrift && w.current {
		s.jobs[w.job].mark, s.jobs[w.job].markBaseline = true, w.baseline
	}
	if w.pc == wait {
		if w.pledged {
			s.jobs[w.job].adriftPledged++
		} else {
			s.jobs[w.job].adrift++
		}
	}
	w.pc = idle
}

// startTurn begins a turn: the worker reads the record.
func (n *next) startTurn(i int, j uint8) {
	r := &n.s.jobs[j]
	if !r.task {
		return
	}
	start := func(words string, pc pc, by step) {
		n.does(i, words, func(s *state, w *worker) {
			*w = worker{pc: pc, job: j, by: by, instance: none, current: true, over: pc == lookup && r.over}
		}).job = j
	}
	switch r.state {
	case queued:
		if r.tries > 0 {
			start("worker W takes job J: it is queued, and its budget is spent", write, spent)
		}
		if int(r.tries) < n.c.Tries {
			start("worker W takes job J: it is queued", claim, begin)
		}
	case calling:
		by := ambiguous
		if n.c.Flaw == MarkOnTimer {
			by = unsent
		}
		if r.over || n.c.Flaw == JudgeAtOnce {
			start("worker W takes job J: it is calling, and its caller counts as dead", write, by)
		}
		if !r.over {
			start("worker W takes job J: a call may be on the wire", lookupEarly, ambiguous)
		}
	case uncertain:
		start("worker W takes job J: it is uncertain", lookup, ambiguous)
	case held, created, failed, cancelled:
		pc := ack
		if r.owed {
			pc = report
		}
		start("worker W takes job J: it has its outcome", pc, begin)
	}
}

// claim takes the name. A claim of a job that has ended counts for nothing.
func (n *next) claim(i int) {
	j := n.s.workers[i].job
	name := n.c.name(j)
	if h := n.s.holder[name]; h != 0 && h != j+1 && !n.s.jobs[h-1].final() && n.c.Flaw != NoNameLock {
		n.does(i, "worker W cannot claim the name of job J: the other job has it", func(_ *state, w *worker) { w.pc = idle })
		return
	}
	n.does(i, "worker W claims the name of job J", func(s *state, w *worker) {
		s.holder[name] = j + 1
		w.pc = list
		if r := &s.jobs[j]; r.hasBaseline || n.c.Flaw == NoBaseline {
			w.baseline = r.baseline
			w.call(n.c)
			if r.lookupFirst() {
				w.pc = lookupFirst
			}
		}
	})
}

// call makes the mark the next thing to do.
func (w *worker) call(c *Config) {
	w.pc, w.by = write, begin
	if c.Flaw == MarkAfterCall {
		w.pc = send
	}
}

// list takes the baseline, and acts on what stands there already.
func (n *next) list(i int) {
	n.does(i, "worker W lists what stands there before the first call of job J", func(s *state, w *worker) {
		w.baseline = n.c.visible(s, w.job)
		free := n.c.free(s, w.job, w.baseline)
		instance, one := free.only()
		w.pc = write
		switch {
		case w.baseline == 0 || n.c.Existing == ExistingCreate:
			w.call(n.c)
		case n.c.Existing == ExistingFail || free == 0:
			w.by = exists
		case one:
			w.by, w.instance = adopt, instance
		default:
			w.by = choose
		}
	})
}

// write writes the step in hand by compare-and-swap.
func (n *next) write(i int) {
	w := n.s.workers[i]
	if w.by == begin {
		n.does(i, "worker W hears nothing of its mark for job J and gives it up", func(_ *state, w *worker) {
			w.pc, w.adrift = unmark, !w.applied && w.current
		}).fault = true
	}
	to := moves[w.by].to
	current := w.current || n.c.Flaw == BlindSettle && w.by.endsCall()
	switch {
	case w.applied && w.current:
		n.does(i, "worker W asks again: S was written before", func(s *state, w *worker) { s.written(w) })
	case w.applied || !current:
		n.does(i, "worker W is refused S for job J: another write came first", func(_ *state, w *worker) {
			w.pc, w.applied = idle, false
			if w.won {
				w.pc = reread
			}
		})
	case to == created && n.c.Flaw != NoInstanceClaims && n.s.claimed(w.instance, w.job):
		n.does(i, "worker W is refused S for job J: another job has the instance", func(s *state, w *worker) {
			s.disputed = s.disputed || w.won
			w.pc = idle
		})
	default:
		n.does(i, "worker W writes S for job J", func(s *state, w *worker) {
			n.apply(s, i)
			s.written(w)
		})
		n.does(i, "worker W writes S for job J, and the reply is lost", func(s *state, w *worker) {
			n.apply(s, i)
			w.applied = true
		}).fault = true
	}
}

// unmark is how worker i takes back a mark of which it does not know whether it was
// written: by its own revision, or by another write from the one that it was made from.
func (n *next) unmark(i int) {
	w := n.s.workers[i]
	if w.adrift && w.current {
		n.does(i, "Redis carries out the mark of job J that worker W has given up", func(s *state, w *worker) {
			n.move(s, *w, begin)
			s.invalidate(w.job, i)
			w.adrift, w.applied = false, true
		}).fault = true
	}
	now := n.s.jobs[w.job].state
	switch {
	case w.applied && w.current, n.c.Flaw == UnmarkAny && now == calling:
		n.does(i, "worker W takes its mark of job J back: it made no call", func(s *state, w *worker) {
			n.move(s, *w, unsent)
			s.jobs[w.job].tries--
			s.invalidate(w.job, i)
			w.pc = idle
		})
	case w.current:
		n.does(i, "worker W notes that job J is queued, so that its mark will be refused", func(s *state, w *worker) {
			r := &s.jobs[w.job]
			r.hasBaseline, r.baseline = true, w.baseline
			s.invalidate(w.job, i)
			w.pc = idle
		})
	default:
		n.does(i, "worker W cannot take its mark of job J back: another write came first", func(_ *state, w *worker) { w.pc = idle })
	}
}

// apply is what the ledger's script does with worker i's write.
func (n *next) apply(s *state, i int) {
	w := s.workers[i]
	if n.c.Flaw == MarkAfterCall && s.jobs[w.job].state == queued && w.by.endsCall() {
		n.move(s, w, begin)
	}
	n.move(s, w, w.by)
	s.invalidate(w.job, i)
}

// move takes a step of a record, with all that hangs on it.
func (n *next) move(s *state, w worker, by step) {
	r, to := &s.jobs[w.job], moves[by].to
	s.strange = s.strange || !isEdge(r.state, by, to)
	n.took[by] = true
	r.state, r.over = to, false
	switch {
	case by == begin:
		r.tries++
		r.hasBaseline, r.baseline = true, w.baseline
	case by == choose:
		r.hasBaseline, r.baseline = true, w.baseline
	case by == resolveAbsent:
		hasBaseline, baseline := r.hasBaseline, r.baseline // the operator has judged all that exist
		r.renew()
		r.hasBaseline, r.baseline = hasBaseline, baseline
	case by == retried:
		r.renew()
	case by == throttled && r.tries > 0:
		r.tries--
	case by == ambiguous:
		r.doubted = true
		s.pledge(w.job)
	}
	if to == created {
		r.instance = w.instance
	}
	if r.final() && s.holder[n.c.name(w.job)] == w.job+1 {
		s.holder[n.c.name(w.job)] = 0
	}
	if n.c.Callbacks && jobStates[to].EventType() != "" {
		r.owed = true
	}
}

// pledge is the assumption about the settle window that opens here: it does not
// end before everything is listed that was under way when it began.
func (s *state) pledge(j uint8) {
	r := &s.jobs[j]
	r.adrift, r.adriftPledged = 0, r.adrift+r.adriftPledged
	for i := range s.workers {
		if s.workers[i].pc == wait && s.workers[i].job == j {
			s.workers[i].pledged = true
		}
	}
	for i := firstOf(j); i < firstOf(j)+perJob; i++ {
		if s.instances[i] == hidden {
			s.instances[i] = pledged
		}
	}
}

// written is what a worker goes on with after its write.
func (s *state) written(w *worker) {
	w.applied = false
	switch moves[w.by].to {
	case calling:
		w.pc, w.baseline = send, 0 // now in the record
	case queued, uncertain:
		w.pc = idle // the queue brings the job back
	case held, created, failed, cancelled:
		*w = worker{pc: ack, job: w.job, instance: none}
		if s.jobs[w.job].owed {
			w.pc = report
		}
	}
}

// send is the step that cannot be taken back.
func (n *next) send(i int) {
	n.does(i, "worker W cannot send the request of job J, or finds that it is too late to", func(_ *state, w *worker) {
		w.pc, w.by, w.late = write, unsent, false
	})
	if !n.s.workers[i].late || n.c.Flaw == FrozenSend {
		n.does(i, "worker W sends the request of job J", func(_ *state, w *worker) { w.pc, w.late = wait, false })
	}
}

// answer is how worker i's call may end.
func (n *next) answer(i int) {
	j := n.s.workers[i].job
	hears := func(words string, by step) {
		n.does(i, words, func(_ *state, w *worker) { w.pc, w.by = write, by })
	}
	hears("the API rejects the request of job J; worker W hears it", rejected)
	hears("the API throttles the request of job J; worker W hears it", throttled)
	by := ambiguous
	if n.c.Flaw == RetryOnTimeout {
		by = unsent
	}
	n.does(i, "worker W gets no answer for job J; the request may still be on the wire", func(s *state, w *worker) {
		s.release(w)
		w.pc, w.by = write, by
	}).fault = true
	if instance, ok := n.s.nextInstance(j); ok {
		n.does(i, "the API makes an instance for job J; worker W gets the answer", func(s *state, w *worker) {
			s.instances[instance] = hidden
			if w.pledged {
				s.instances[instance] = pledged
			}
			w.pc, w.by, w.instance, w.won = write, succeeded, instance, true
		})
	}
}

// nextInstance is the next instance that a job would make.
func (s *state) nextInstance(j uint8) (instance uint8, ok bool) {
	n := s.made(j)
	return firstOf(j) + uint8(n), n < perJob
}

// reread is for an instance in hand whose job has moved on.
func (n *next) reread(i int) {
	n.does(i, "worker W reads job J again, with an instance in hand", func(s *state, w *worker) {
		r := &s.jobs[w.job]
		w.current, w.pc = true, write
		switch {
		case r.instance == w.instance && r.owed:
			w.pc = report
		case r.instance == w.instance:
			w.pc = ack
		case r.state == uncertain:
			w.by = found
		case r.state == queued:
			w.by = adopt
		case r.state == held:
			w.by = resolveCreated
		default:
			w.pc = idle
		}
	})
}

// lookup lists the instances of the name, for a call whose answer is not known.
func (n *next) lookup(i int) {
	n.does(i, "worker W lists the instances of the name of job J", func(s *state, w *worker) {
		fresh := n.c.visible(s, w.job)
		if n.c.Flaw != NoBaseline {
			fresh &^= s.jobs[w.job].baseline
		}
		fresh = n.c.free(s, w.job, fresh)
		instance, one := fresh.only()
		first, early := w.pc == lookupFirst, w.pc == lookupEarly
		w.pc = write
		switch {
		case one:
			w.by, w.instance = found, instance
		case early:
			w.pc = idle // only an instance that is there proves anything
		case fresh != 0:
			w.by = several
		case first:
			w.call(n.c)
		case !w.over:
			w.pc = idle // proves nothing
		case n.c.Hold:
			w.by = unfound
		default:
			w.by = absent
		}
	})
}

// deliver begins a delivery: the worker reads the record.
func (n *next) deliver(i int, j uint8) {
	r := &n.s.jobs[j]
	if !r.callback {
		return
	}
	n.does(i, "worker W takes the callback of job J", func(_ *state, w *worker) {
		*w = worker{pc: post, job: j, instance: none, current: true, state: r.state}
		if !r.owed {
			w.pc = ackDelivery
		}
	}).job = j
}

// delivery is what a worker does with a callback in hand.
func (n *next) delivery(i int) {
	w := n.s.workers[i]
	switch {
	case w.pc == post:
		n.does(i, "the receiver takes the callback of job J from worker W", func(s *state, w *worker) {
			s.jobs[w.job].reported |= 1 << w.state
			w.pc = noteDelivery
		})
		n.does(i, "the receiver takes the callback of job J, and worker W does not hear it", func(s *state, w *worker) {
			s.jobs[w.job].reported |= 1 << w.state
			w.pc = idle
		}).fault = true
	case w.pc == noteDelivery && w.current:
		n.does(i, "worker W notes that the receiver of job J was told", func(s *state, w *worker) {
			s.jobs[w.job].owed = false
			s.invalidate(w.job, i)
			w.pc = ackDelivery
		})
	case w.pc == noteDelivery:
		n.does(i, "worker W is refused the note for job J: another write came first", func(_ *state, w *worker) { w.pc = idle })
	default:
		n.does(i, "worker W tells the queue that the callback of job J is done with", func(s *state, w *worker) {
			s.jobs[w.job].callback = false
			w.pc = idle
		})
	}
}
