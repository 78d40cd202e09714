package worker

import (
	"context"
	"fmt"
	"strings"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// How the API stores a name is not documented: it may change the case, trim, cut, escape or
// extend it. So an instance that the API returns for a job's name under another name does not
// count as absent. It is a near match, unless it belongs to another job.

const (
	// mostNear is how many instances of other names a lookup and a record keep.
	mostNear = 500
	// mostCandidates is how many candidates a record has for an operator to choose from, and
	// mostQuoted how many of their names its message quotes, with quotedName characters each.
	mostCandidates = 50
	mostQuoted     = 10
	quotedName     = 80
)

// matches is the result of one lookup.
type matches struct {
	// exact have exactly the job's name; over reports that there are more than a search keeps.
	exact []cams.Instance
	over  bool
	// alike are near matches whose names differ in form only (see [tasks.FoldName]), and
	// others those of any other name; many reports that there are more than are kept.
	alike, others []cams.Instance
	many          bool
}

// near returns all near matches, the likelier ones first.
func (s matches) near() []cams.Instance {
	return append(s.alike[:len(s.alike):len(s.alike)], s.others...)
}

// namedInAnswer returns the instance that the answer to the job's call named, if the lookup shows it
// under the job's name in another form. Then answer and list agree which instance the call
// has created, and how the API stores the name.
func (s matches) namedInAnswer(r tasks.Record) *cams.Instance {
	for _, i := range s.alike {
		if r.Named != "" && strings.EqualFold(i.InstanceID, r.Named) {
			return &i
		}
	}
	return nil
}

// lookUp lists the API's instances for the job's name. Its near matches belong to no other
// job. If the job has a baseline, they are newer than it, and no other job has their names.
func (w *Worker) lookUp(ctx context.Context, l *lane, r tasks.Record, first bool) (matches, error) {
	var s matches
	found, err := w.find(ctx, l, r, func(q *cams.Search) error {
		s.over = q.Over()
		return w.addPage(ctx, r, &s, q.Others(), first)
	})
	s.exact = found
	return s, err
}

// addPage adds a page's instances of other names to the matches.
func (w *Worker) addPage(ctx context.Context, r tasks.Record, s *matches, page []cams.Instance, first bool) error {
	key := r.Request.NameKey()
	var alike, others []cams.Instance
	for _, i := range page {
		switch {
		case !first && r.InBaseline(i.InstanceID):
		case tasks.NameKey(r.Request.ChannelType, i.InstanceName) == key:
			alike = append(alike, i)
		case s.many || !first && r.NearbyMany: // there are too many to prove absence
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

// keep appends up to mostNear instances, and reports whether there were more.
func keep(kept, more []cams.Instance, many bool) ([]cams.Instance, bool) {
	if room := mostNear - len(kept); len(more) > room {
		return append(kept, more[:room]...), true
	}
	return append(kept, more...), many
}

// unexplained drops the instances whose name is that of another unfinished job: that job has
// created them and not recorded them yet. A job that ends between the two queries has
// recorded its instance by then, so the second query is needed.
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

// holdJob holds a job: only an operator can decide which of the instances, if any, is its
// own. The record also keeps those that are no candidates, so that the decision covers all.
//
// Dies before the step: the next turn sees the same and comes here again.
func (w *Worker) holdJob(ctx context.Context, l *lane, r tasks.Record, by tasks.Step, found []cams.Instance) error {
	r.Candidates = r.Candidates[:0:0]
	for _, i := range found[:min(len(found), mostCandidates)] {
		r.Candidates = append(r.Candidates, i.InstanceID)
	}
	for _, i := range found[len(r.Candidates):] {
		r.Nearby = append(r.Nearby, i.InstanceID)
	}
	return onConflict(w.end(ctx, l, r, by))
}

// several writes code and message of a job that has several instances of its name.
func several(r *tasks.Record, found []cams.Instance, over bool) {
	r.Code = tasks.CodeSeveral
	r.Message = "several instances may be this job's: " + list(found, mostCandidates, func(i cams.Instance) string { return i.InstanceID })
	if over {
		r.Message = fmt.Sprintf("the API lists more than %d instances of that channel type and name, too many to distinguish", cams.MaxFound)
	}
}

// nearMatch writes code and message of a job that has near matches or, with none, too many
// instances of other names to distinguish them.
func nearMatch(r *tasks.Record, near []cams.Instance, when string) {
	r.Code = tasks.CodeNearMatch
	if len(near) == 0 {
		r.Message = fmt.Sprintf("no instance has exactly this name, but the API returns more than %d others for it that no job has: "+
			"if it keeps the name in another form, the job's own cannot be distinguished from them", mostNear)
		return
	}
	r.Message = r.Request.Redact(fmt.Sprintf("no instance has exactly this name, but the API returns for it instances that %s and that no job has: %s; "+
		"if it keeps the name in another form, one may be this job's", when, list(near, mostQuoted, func(i cams.Instance) string {
		return i.InstanceID + " " + tasks.Reveal(i.InstanceName, quotedName)
	})))
}

// list names up to most instances.
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
