package inspect

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// Away says whether the lane has tripped since the API is away, not since it refuses.
func (f LaneState) Away() bool { return f.Trip != nil && f.Trip.Away }

// AwayNote says how the API is away, as what the account meets: "cannot reach the API
// (cams.ap-southeast-1.aliyuncs.com): connection refused, for 98 s".
func (f LaneState) AwayNote() string {
	status, page := strings.CutPrefix(f.Trip.Code, "HTTP.")
	what := "gets only faults from the API"
	switch {
	case f.Trip.Code == tasks.CodeUnsent:
		what = "cannot reach the API"
	case f.Trip.Code == tasks.CodeNoAnswer:
		what = "gets no answer from the API"
	case page && !strings.HasPrefix(status, "5"): // of a web server, a proxy, a firewall
		what = "gets answers that are not the API's"
	}
	if f.Host != "" {
		what += " (" + f.Host + ")"
	}
	return fmt.Sprintf("%s: %s, for %s", what, humanize.Clip(f.reason(), 160), humanize.Duration(f.Now.Sub(f.Trip.Since)))
}

// reason is why the API is away: what the system said of the connection, or the code and
// text of the API's faults.
func (f LaneState) reason() string {
	said := connection.ReplaceAllString(humanize.Sanitize(f.Trip.Message), "")
	switch {
	case f.answers():
		return strings.TrimSuffix(humanize.Sanitize(f.Trip.Code)+": "+said, ": ")
	case said == "":
		return humanize.Sanitize(f.Trip.Code)
	case strings.Contains(said, "context deadline exceeded"):
		return "timeout"
	}
	return said
}

// answers says whether an API that is away at least answers.
func (f LaneState) answers() bool {
	return f.Trip.Code != tasks.CodeUnsent && f.Trip.Code != tasks.CodeNoAnswer
}

// connection is what stands before the cause in an error of Go's of a connection: the
// address is the API's, which is named already. One of a proxy's begins otherwise.
var connection = regexp.MustCompile(`^(dial|read|write) (tcp|udp)[46]?( [^ ]+)?: ((connect|read|write): )?`)

// LookupsBlocked says whether the looks for lost answers wait too: an account that may not
// create may still list, and an API that fails to create may still answer a list.
func (f LaneState) LookupsBlocked() bool {
	return f.Trip != nil && (f.Trip.Action == worker.ActionList || f.Away() && !f.answers())
}

// nextProbe says when the API is tried again.
func (f LaneState) nextProbe() string {
	if f.Trip.Prober != "" {
		return "job " + f.Trip.Prober + " is trying it now"
	}
	wait := f.Trip.ProbeAt.Sub(f.Now)
	switch {
	case wait <= 0:
		return "the next job tries it again"
	case f.Trip.Away:
		return "next probe in " + humanize.Duration(wait)
	}
	return "one job tries it again in " + humanize.Duration(wait)
}

// BlockedBy is in a few words what stops an account's calls, or "".
func (f LaneState) BlockedBy() string {
	switch {
	case f.Pause != nil:
		return "paused"
	case f.Away():
		if f.answers() {
			return "the API is away (" + humanize.Sanitize(f.Trip.Code) + ")"
		}
		return "the API is away (" + humanize.Clip(f.reason(), 40) + ")"
	case f.Trip != nil:
		return "refused (" + humanize.Sanitize(f.Trip.Code) + ")"
	}
	return ""
}

// BlockReason is what stops an account's calls, in the words by which news of it are told
// apart: those of an API that is away have causes that change with each probe.
func (f LaneState) BlockReason() string {
	if f.Pause == nil && f.Away() {
		return "away"
	}
	return f.BlockedBy()
}

// unknown says why it is not known how long jobs need.
func (f LaneState) unknown() string {
	switch {
	case f.Pause != nil:
		return "the account is paused"
	case f.Away():
		return "the API is away"
	case f.Trip != nil:
		return "the API refuses the account"
	}
	return "the account's pace is not known"
}

// lookupNote says when the answer of an uncertain job is looked for.
func (f LaneState) lookupNote(wait time.Duration) string {
	const lost, nothing = "The answer to its call was lost. A worker looks the instance up", "nothing is sent before that is settled."
	switch {
	case f.Away() && f.LookupsBlocked():
		return fmt.Sprintf("%s when the API is back; %s Account %s %s; %s.", lost, nothing, f.Account, f.AwayNote(), f.nextProbe())
	case f.LookupsBlocked():
		return fmt.Sprintf("%s when the API lets account %s list instances again; %s It has refused that for %s (%s); %s.",
			lost, f.Account, nothing, humanize.Duration(f.Now.Sub(f.Trip.Since)), humanize.Sanitize(f.Trip.Code), f.nextProbe())
	}
	return fmt.Sprintf("%s, next in %s; %s", lost, humanize.Duration(wait), nothing)
}

// refuseStatus is how the API refuses an account, awayStatus how it is away. Their
// JSON is public.
type refuseStatus struct {
	Since     time.Time `json:"since"`
	Action    string    `json:"action"`
	Code      string    `json:"code"`
	Message   string    `json:"message"`
	Refusals  int       `json:"refusals"`
	NextProbe time.Time `json:"next_probe"`
}

type awayStatus struct {
	Since     time.Time `json:"since"`
	Host      string    `json:"host"`
	Action    string    `json:"action"`
	Code      string    `json:"code"`
	Message   string    `json:"message"`
	Failures  int       `json:"failures"`
	NextProbe time.Time `json:"next_probe"`
}
