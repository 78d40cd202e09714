package model

// happens adds something that no worker does.
func (n *next) happens(j uint8, words string, change func(s *state)) *transition {
	t := transition{words: words, job: j, to: *n.s}
	change(&t.to)
	n.out = append(n.out, t)
	return &n.out[len(n.out)-1]
}

// queue loses tasks, and the sweeper puts them back.
func (n *next) queue(j uint8) {
	r := &n.s.jobs[j]
	if r.task {
		n.happens(j, "the queue loses the task of job J", func(s *state) { s.jobs[j].task = false }).fault = true
	} else if !r.final() && r.state != held && n.c.Flaw != NoSweeper {
		n.happens(j, "the sweeper gives job J a task", func(s *state) { s.jobs[j].task = true })
	}
	if r.callback {
		n.happens(j, "the queue loses the callback task of job J", func(s *state) { s.jobs[j].callback = false }).fault = true
	} else if r.owed && n.c.Flaw != NoSweeper {
		n.happens(j, "the sweeper gives the callback of job J a task", func(s *state) { s.jobs[j].callback = true })
	}
}

// clock lets the call's deadline or the settle window pass. After either, a worker
// that has written its mark and not sent yet finds that it is too late.
func (n *next) clock(j uint8) {
	r := &n.s.jobs[j]
	words := "the deadline of the call of job J passes"
	switch {
	case r.over || r.state != calling && r.state != uncertain:
		return
	case r.state == uncertain:
		if n.c.Flaw != LateList && n.s.pending(j) {
			return
		}
		words = "the settle window of job J passes"
	}
	n.happens(j, words, func(s *state) {
		s.jobs[j].over = true
		for i := range s.workers {
			w := &s.workers[i]
			if w.job == j && (w.pc == send || w.pc == write && w.by == begin && w.applied) {
				w.late = true
			}
		}
	})
	if n.c.Flaw == RedisForgets && r.state == calling {
		n.happens(j, "Redis forgets the mark of job J", func(s *state) {
			s.jobs[j].state = queued
			s.jobs[j].tries--
			s.invalidate(j, -1)
		}).fault = true
	}
}

// pending says whether something is not listed yet that the settle window waits for.
func (s *state) pending(j uint8) bool {
	for i := firstOf(j); i < firstOf(j)+perJob; i++ {
		if s.instances[i] == pledged {
			return true
		}
	}
	_, promised := s.onWire(j)
	return promised > 0
}

// cloud carries out, or drops, a request that no process waits for any more.
func (n *next) cloud(j uint8) {
	instance, ok := n.s.nextInstance(j)
	end := func(count func(*job) *uint8, as listing) {
		if *count(&n.s.jobs[j]) == 0 {
			return
		}
		n.happens(j, "a request of job J without a waiter makes nothing", func(s *state) { *count(&s.jobs[j])-- })
		if ok {
			n.happens(j, "the API makes an instance for job J, and no process hears it", func(s *state) {
				*count(&s.jobs[j])--
				s.instances[instance] = as
			})
		}
	}
	end(func(r *job) *uint8 { return &r.adrift }, hidden)
	end(func(r *job) *uint8 { return &r.adriftPledged }, pledged)
}

// lister lets instances that were made appear in the API's list.
func (n *next) lister() {
	for i, l := range n.s.instances {
		if l == hidden || l == pledged {
			words := "the API lists the instance of job J"
			if i == foreign {
				words = "the API lists the stranger's instance"
			}
			n.happens(uint8(max(0, i-1))/perJob, words, func(s *state) { s.instances[i] = listed })
		}
	}
	if n.c.Flaw == Stranger && n.s.instances[foreign] == unmade {
		n.happens(0, "a stranger makes an instance of the name of job J", func(s *state) { s.instances[foreign] = hidden })
	}
}

// socket carries out a mark whose worker is dead.
func (n *next) socket(j uint8) {
	if n.s.jobs[j].mark {
		n.happens(j, "Redis carries out the mark of job J whose worker is dead", func(s *state) {
			n.move(s, worker{job: j, instance: none, baseline: s.jobs[j].markBaseline}, begin)
			s.invalidate(j, -1)
		}).fault = true
	}
}

// operator resolves a held job by what is true, and may give a failed job another
// budget or cancel a queued one.
func (n *next) operator(j uint8) {
	if !n.c.Operator {
		return
	}
	does := func(words string, by step, instance uint8) *transition {
		return n.happens(j, words, func(s *state) {
			n.move(s, worker{job: j, instance: instance, baseline: s.jobs[j].baseline}, by)
			s.invalidate(j, -1)
		})
	}
	own := firstOf(j)
	requests, _ := n.s.onWire(j)
	switch now := n.s.jobs[j].state; {
	case now == queued:
		does("an operator cancels job J", cancel, none).fault = true
	case now == failed:
		does("an operator gives job J another budget", retried, none).fault = true
	case now == held && n.s.instances[own] == listed && !n.s.claimed(own, j):
		does("an operator names the instance of job J", resolveCreated, own)
	case now == held && n.s.made(j)+requests == 0:
		does("an operator knows that job J has no instance", resolveAbsent, none)
		does("an operator gives job J up, which has no instance", resolveFailed, none)
	}
}
