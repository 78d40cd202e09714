package worker

import (
	"context"
	"fmt"
	"strings"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// How the API stores a name is not documented: in lower case, trimmed, cut off, escaped,
// with a suffix. So what it returns for a job's name under another name is not absent: it
// is a near match, unless another job explains it.

const (
	// mostNear is how many instances of other names a look keeps, and a record notes.
	mostNear = 500
	// mostCandidates is how many a record names for a person to choose from, and
	// mostQuoted how many of their names stand in its message, of quotedName characters.
	mostCandidates = 50
	mostQuoted     = 10
	quotedName     = 80
)

// matches is what one look at the API's instances saw.
type matches struct {
	// exact have exactly the job's name; over says that there are more than a search keeps.
	exact []cams.Instance
	over  bool
	// alike are near matches whose names differ in form only (see [tasks.FoldName]), and
	// others those of any other name; many says that there are more than are kept.
	alike, others []cams.Instance
	many          bool
}

// near are all near matches, the likelier ones first.
func (s matches) near() []cams.Instance {
	return append(s.alike[:len(s.alike):len(s.alike)], s.others...)
}

// named is the instance that the answer to the job's call named, if the look shows it
// under the job's name in another form: an API that keeps names its way says so twice,
// and the answer and the list agree which instance the call made.
func (s matches) named(r tasks.Record) *cams.Instance {
	for _, i := range s.alike {
		if r.Named != "" && strings.EqualFold(i.InstanceID, r.Named) {
			return &i
		}
	}
	return nil
}

// survey lists what the API has for the job's name. The near matches among it are no other
// job's; if the job has a baseline, they came after it, and their names are no other job's
// either.
func (w *Worker) survey(ctx context.Context, l *lane, r tasks.Record, first bool) (matches, error) {
	var s matches
	found, err := w.find(ctx, l, r, func(q *cams.Search) error {
		s.over = q.Over()
		return w.judge(ctx, r, &s, q.Others(), first)
	})
	s.exact = found
	return s, err
}

// judge takes a page's instances of other names into the matches.
func (w *Worker) judge(ctx context.Context, r tasks.Record, s *matches, page []cams.Instance, first bool) error {
	own := r.Request.NameKey()
	var alike, others []cams.Instance
	for _, i := range page {
		switch {
		case !first && r.InBaseline(i.InstanceID):
		case tasks.NameKey(r.Request.ChannelType, i.InstanceName) == own:
			alike = append(alike, i)
		case s.many || !first && r.NearbyMany: // absence cannot be told by them any more
		default:
			others = append(others, i)
		}
	}
	alike, err := w.unclaimedOr(ctx, r, alike, func(i cams.Instance) bool {
		return first && tasks.SameName(i.InstanceName, r.Request.InstanceName)
	})
	if err != nil {
		return err
	}
	if others, err = w.unclaimed(ctx, r, others); err != nil {
		return err
	}
	if !first {
		if others, err = w.unexplained(ctx, r, others); err != nil {
			return err
		}
	}
	s.alike, s.many = keep(s.alike, alike, s.many)
	s.others, s.many = keep(s.others, others, s.many)
	return nil
}

// keep appends up to the bound.
func keep(kept, more []cams.Instance, many bool) ([]cams.Instance, bool) {
	if room := mostNear - len(kept); len(more) > room {
		return append(kept, more[:room]...), true
	}
	return append(kept, more...), many
}

// unexplained drops the instances whose name is that of another job that has not ended:
// that job made them, and has not recorded it yet. One that ends between the two
// questions has recorded it by then, so who has which is asked once more.
func (w *Worker) unexplained(ctx context.Context, r tasks.Record, found []cams.Instance) ([]cams.Instance, error) {
	if len(found) == 0 {
		return nil, nil
	}
	keys := make([]string, len(found))
	for n, i := range found {
		keys[n] = tasks.NameKey(r.Request.ChannelType, i.InstanceName)
	}
	taken, err := w.cfg.Store.Taken(ctx, r, keys)
	if err != nil {
		return nil, err
	}
	var rest []cams.Instance
	for n, i := range found {
		if !taken[keys[n]] {
			rest = append(rest, i)
		}
	}
	return w.unclaimed(ctx, r, rest)
}

// hold parks a job: only a person can tell which of the instances, if any, is its own.
// What is not named as a candidate is noted, so that a person's word counts for all.
//
// Dies before the step: the next turn sees the same and comes here again.
func (w *Worker) hold(ctx context.Context, l *lane, r tasks.Record, by tasks.Step, found []cams.Instance) error {
	r.Candidates = r.Candidates[:0:0]
	for _, i := range found[:min(len(found), mostCandidates)] {
		r.Candidates = append(r.Candidates, i.InstanceID)
	}
	for _, i := range found[len(r.Candidates):] {
		r.Nearby = append(r.Nearby, i.InstanceID)
	}
	return again(w.end(ctx, l, r, by))
}

// several makes a record say between which instances of its name a person must choose.
func several(r *tasks.Record, found []cams.Instance, over bool) {
	r.Code = tasks.CodeSeveral
	r.Message = "several instances may be this job's: " + list(found, mostCandidates, func(i cams.Instance) string { return i.InstanceID })
	if over {
		r.Message = fmt.Sprintf("the API lists more than %d instances of that channel type and name, too many to tell them apart", cams.MaxFound)
	}
}

// nearMatch makes a record say which instances may be the job's though their names are
// not its own; with none, that there are too many of other names to tell.
func nearMatch(r *tasks.Record, near []cams.Instance, when string) {
	r.Code = tasks.CodeNearMatch
	if len(near) == 0 {
		r.Message = fmt.Sprintf("no instance has exactly this name, but the API returns more than %d others for it that no job has: "+
			"if it keeps the name in another form, the job's own cannot be told from them", mostNear)
		return
	}
	r.Message = r.Request.Redact(fmt.Sprintf("no instance has exactly this name, but the API returns for it instances that %s and that no job has: %s; "+
		"if it keeps the name in another form, one may be this job's", when, list(near, mostQuoted, func(i cams.Instance) string {
		return i.InstanceID + " " + tasks.Reveal(i.InstanceName, quotedName)
	})))
}

// list names up to so many instances.
func list(found []cams.Instance, most int, name func(cams.Instance) string) string {
	var names []string
	for _, i := range found[:min(len(found), most)] {
		names = append(names, name(i))
	}
	text := strings.Join(names, ", ")
	if more := len(found) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
