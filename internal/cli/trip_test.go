package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/tasks"
)

const refusedConnection = "dial tcp 127.0.0.1:18080: connect: connection refused"

// away has the API be away for an account.
func (d *cliTest) away(account, code, message string, next time.Duration) {
	d.t.Helper()
	t := tasks.Trip{Away: true, Action: "ListInstance", Code: code, Message: message}
	if err := d.ledger.Trip(d.t.Context(), tasks.ProbeID{Ref: tasks.Ref{Account: account, ID: "a"}}, t, next); err != nil {
		d.t.Fatal(err)
	}
}

// An API that is away is told as that, by every command that tells how things stand,
// and no time is promised.
func TestEveryCommandTellsThatTheAPIIsAway(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts().working()
	d.write("f.csv", "ChannelType,InstanceName,job_id,account\nVIBER,one,j0,eu\nVIBER,two,j1,eu\nVIBER,three,j2,\n")
	d.run("enqueue", "f.csv")
	d.startCall("eu", "j1")
	d.transition("eu", "j1", tasks.StepAmbiguous, 4*time.Second, nil)
	d.away("eu", tasks.CodeUnsent, refusedConnection, time.Hour+30*time.Second)

	const away = "cannot reach the API (cams.ap-southeast-1.aliyuncs.com): connection refused, for N s; next probe in 1 h"
	code, out, errs := d.run("status")
	said(t, "overview", code, 0, scrub(out)+errs, `ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
default       1        0          0     0        0       0          0
eu            1        0          1     0        0       0          0

default: oldest queued job: N s
eu: `+away+`; camsq resume eu tries it at once
eu: oldest queued job: N s
eu: 1 job uncertain, the oldest for N s; their outcomes are being looked up

LAST BATCHES  ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
f             default       1        0          0     0        0       0          0
f             eu            1        0          1     0        0       0          0
`)

	code, out, errs = d.run("status", "f")
	said(t, "batch", code, 0, scrub(out)+errs, `BATCH  ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
f      default       1        0          0     0        0       0          0
f      eu            1        0          1     0        0       0          0

default: closed TIME (N s ago) (all rows sent)
default: 1 job to go: N s at 4.95 a second
eu: closed TIME (N s ago) (all rows sent)
eu: 2 jobs to go, time unknown: the API is away
eu: `+away+`; camsq resume eu tries it at once
`)

	for job, want := range map[string]string{
		"j0": "It waits because account eu " + away + ".",
		"j1": "The answer to its call was lost. A worker looks the instance up when the API is back; nothing is sent before that is settled. Account eu " + away + ".",
	} {
		_, out, _ := d.run("status", job)
		lines := strings.Split(strings.TrimSpace(scrub(out)), "\n")
		said(t, job, 0, 0, lines[len(lines)-1], want)
	}

	d.want(exit.CodeOK, "\neu: it cannot reach the API (cams.ap-southeast-1.aliyuncs.com): connection refused, for less than 1 s; one call tries it again now, and the others follow when the API is back\n",
		"", "resume", "eu")
	if l := d.lane("eu"); l.Trip == nil || l.Trip.ProbeAt.After(l.Now) {
		t.Errorf("the next probe comes at %+v", l.Trip)
	}
}

func TestHowAnAPIIsAwayIsToldInItsWords(t *testing.T) {
	for _, tt := range []struct{ code, message, want, short string }{
		{tasks.CodeUnsent, refusedConnection, "cannot reach the API (h): connection refused", "connection refused"},
		{tasks.CodeUnsent, "dial tcp: lookup h on 127.0.0.53:53: no such host", "cannot reach the API (h): lookup h on 127.0.0.53:53: no such host",
			"lookup h on 127.0.0.53:53: no such host"},
		{tasks.CodeUnsent, "dial tcp6 [::1]:443: connect: network is unreachable", "cannot reach the API (h): network is unreachable", "network is unreachable"},
		{tasks.CodeUnsent, "proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused",
			"cannot reach the API (h): proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused", "proxyconnect tcp: dial tcp 10.0.0.1:312…"},
		{tasks.CodeUnsent, "", "cannot reach the API (h): camsq.Unsent", "camsq.Unsent"},
		{tasks.CodeNoAnswer, "context deadline exceeded", "gets no answer from the API (h): timeout", "timeout"},
		{tasks.CodeNoAnswer, "read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer", "gets no answer from the API (h): connection reset by peer", "connection reset by peer"},
		{"HTTP.503", "unreadable answer: the body is empty", "gets only faults from the API (h): HTTP.503: unreadable answer: the body is empty", "HTTP.503"},
		{"ServiceUnavailable", "a\x1b[2J\nb", "gets only faults from the API (h): ServiceUnavailable: a [2J b", "ServiceUnavailable"},
		{"HTTP.404", "unreadable answer: the body is not a JSON object", "gets answers that are not the API's (h): HTTP.404: unreadable answer: the body is not a JSON object", "HTTP.404"},
		{"HTTP.502", "", "gets only faults from the API (h): HTTP.502", "HTTP.502"},
	} {
		f := inspect.LaneState{Host: "h", Lane: tasks.Lane{Trip: &tasks.Trip{Away: true, Code: tt.code, Message: tt.message}}}
		f.Now = f.Trip.Since.Add(98 * time.Second)
		if got, want := f.AwayNote(), tt.want+", for 98 s"; got != want {
			t.Errorf("%s %q: %q, want %q", tt.code, tt.message, got, want)
		}
		if got, want := f.BlockedBy(), "the API is away ("+tt.short+")"; got != want {
			t.Errorf("%s %q, in short: %q, want %q", tt.code, tt.message, got, want)
		}
	}
	// An account that is not configured here has no host that is known.
	f := inspect.LaneState{Lane: tasks.Lane{Trip: &tasks.Trip{Away: true, Code: "HTTP.502"}}}
	if got := f.AwayNote(); !strings.HasPrefix(got, "gets only faults from the API: HTTP.502, ") {
		t.Errorf("without a host: %q", got)
	}
	for endpoint, want := range map[string]string{
		"": "cams.r.aliyuncs.com", "cams.example.com": "cams.example.com", "https://cams.example.com/": "cams.example.com",
		"http://127.0.0.1:18080": "127.0.0.1:18080", "https://user:pw@cams.example.com": "cams.example.com",
	} {
		if got := (config.Account{Region: "r", Endpoint: endpoint}).APIHost(); got != want {
			t.Errorf("the host of endpoint %q is %q, want %q", endpoint, got, want)
		}
	}
}

// The code with which a look before the call is refused, whatever it is, stands in
// each place where an operator may look.
func TestARefusedLookIsToldWithItsCode(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).working()
	d.write("f.csv", many(2))
	d.run("enqueue", "f.csv")
	refusal := tasks.Trip{Action: "ListInstance", Code: "Product.Unsubscript", Message: "The product is not subscribed."}
	if err := d.ledger.Trip(t.Context(), tasks.ProbeID{Ref: tasks.Ref{Account: "default", ID: "j0"}}, refusal, time.Hour+30*time.Second); err != nil {
		t.Fatal(err)
	}
	const hold = "default: the API has refused ListInstance for N s (Product.Unsubscript: The product is not subscribed.), 1 call; one job tries it again in 1 h; camsq resume default tries it at once\n"
	for args, want := range map[string]string{
		"":   hold,
		"f":  "default: 2 jobs to go, time unknown: the API refuses the account\n" + hold,
		"j1": "It waits because the API has refused account default for N s (Product.Unsubscript); one job tries it again in 1 h; 1 job comes before it.\n",
	} {
		code, out, errs := d.run(append([]string{"status"}, strings.Fields(args)...)...)
		if code != 0 || errs != "" || !strings.Contains(scrub(out), want) {
			t.Errorf("status %s: exit %d, %s\n%s\nwant in it:\n%s", args, code, errs, out, want)
		}
	}
	// Then nothing is looked for either.
	d.startCall("default", "j1")
	d.transition("default", "j1", tasks.StepAmbiguous, 4*time.Second, nil)
	_, out, _ := d.run("status", "j1")
	if want := "A worker looks the instance up when the API lets account default list instances again; nothing is sent before that is settled. It has refused that for N s (Product.Unsubscript); one job tries it again in 1 h."; !strings.Contains(scrub(out), want) {
		t.Errorf("status of a lost answer:\n%s\nwant in it:\n%s", out, want)
	}
}

func TestAnAPIThatIsAwayAsJSON(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).working()
	d.write("f.csv", many(1))
	d.run("enqueue", "f.csv")
	d.away("default", tasks.CodeUnsent, refusedConnection, time.Hour)
	for _, args := range [][]string{{"status", "--json"}, {"status", "--json", "f"}} {
		_, out, _ := d.run(args...)
		var got struct {
			Accounts []struct{ Lane map[string]any }
			Batches  []map[string]any
		}
		if err := json.Unmarshal([]byte(scrub(out)), &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var lane any
		if len(got.Batches) > 0 {
			lane = got.Batches[0]["lane"]
			if rest, there := got.Batches[0]["rest"]; there {
				t.Errorf("%s: a time is promised: %v", args, rest)
			}
		} else {
			lane = any(got.Accounts[0].Lane)
		}
		want := map[string]any{
			"rate_per_second": 4.95, "ceiling_per_second": 4.95, "limit_per_second": 0.0,
			"away": map[string]any{
				"since": "TIME", "host": "cams.ap-southeast-1.aliyuncs.com", "action": "ListInstance", "code": "camsq.Unsent",
				"message": refusedConnection, "failures": 1.0, "next_probe": "TIME",
			},
		}
		if diff := cmp.Diff(want, lane); diff != "" {
			t.Errorf("%s: lane (-want +got):\n%s", args, diff)
		}
	}
}

// Whatever holds an account back, no time is promised for its jobs.
func TestWhatIsHeldBackPromisesNoTime(t *testing.T) {
	queued, lost := inspect.StateCounts{tasks.StateQueued: 20}, inspect.StateCounts{tasks.StateUncertain: 2}
	pause := &tasks.Pause{}
	away := func(action, code string) *tasks.Trip { return &tasks.Trip{Away: true, Action: action, Code: code} }
	refused := func(action string) *tasks.Trip { return &tasks.Trip{Action: action, Code: "NoPermission"} }
	const looking = ": answers were lost; their outcomes are looked up for up to 3 min"
	for _, tt := range []struct {
		name  string
		pause *tasks.Pause
		trip  *tasks.Trip
		jobs  inspect.StateCounts
		want  string
	}{
		{"nothing", nil, nil, queued, ": at least 4 s at 5 a second"},
		{"a pause", pause, nil, queued, ", time unknown: the account is paused"},
		{"the API is away", nil, away("CreateInstance", "HTTP.503"), queued, ", time unknown: the API is away"},
		{"a refusal", nil, refused("CreateInstance"), queued, ", time unknown: the API refuses the account"},
		{"lost answers, and nothing", nil, nil, lost, looking},
		{"lost answers, and a pause, in which looks go on", pause, nil, lost, looking},
		{"lost answers, and a refusal of creates alone", nil, refused("CreateInstance"), lost, looking},
		{"lost answers, and a refusal of lists", nil, refused("ListInstance"), lost, ", time unknown: the API refuses the account"},
		{"lost answers, and an API that cannot be reached", nil, away("CreateInstance", tasks.CodeUnsent), lost, ", time unknown: the API is away"},
		{"lost answers, and lists that end in faults", nil, away("ListInstance", "HTTP.503"), lost, ", time unknown: the API is away"},
		{"lost answers, and creates that end in faults", nil, away("CreateInstance", "HTTP.503"), lost, looking},
	} {
		p := inspect.Forecast{LaneState: inspect.LaneState{Configured: 5 / 0.99, Quota: ratelimit.State{Rate: 5}}, Settle: 3 * time.Minute}
		p.Pause, p.Trip = tt.pause, tt.trip
		if got := p.Describe(tt.jobs); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// An account whose API is away needs one process, to notice when it is back, and the
// metrics tell it apart from one that the API refuses.
func TestTheMetricsAreToldThatTheAPIIsAway(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", many(40))
	d.run("enqueue", "f.csv")
	d.away("default", tasks.CodeNoAnswer, "EOF", time.Hour)
	c := config.Config{
		RedisURL: "redis://" + d.mini.Addr(), DataKeys: strings.TrimPrefix(d.env[1], "CAMSQ_DATA_KEY="), Keep: time.Hour,
		Accounts: []config.Account{{Name: "default", Rate: 1000, Concurrency: 1}},
	}
	a, err := app.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	lanes, _, err := app.NewBacklog(a, nil).Backlog(context.Background())
	if err != nil || len(lanes) != 1 {
		t.Fatalf("%v, %v", lanes, err)
	}
	if l := lanes[0]; !l.Away || l.TrippedBy != tasks.CodeNoAnswer || l.Desired != 1 {
		t.Errorf("the lane is told as %+v", l)
	}
}

// A job that was given up is told with the API's last code wherever it is told, and not
// with a word of camsq's own.
func TestAJobThatWasGivenUpIsToldWithTheAPIsCode(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", many(1))
	d.run("enqueue", "f.csv")
	d.startCall("default", "j0")
	d.transition("default", "j0", tasks.StepUnsent, 0, nil)
	d.transition("default", "j0", tasks.StepSpent, 0, func(r *tasks.Record) {
		r.Code, r.Message = "isv.AMOUNT_NOT_ENOUGH", "gave up after 3 tries; the last one ended with isv.AMOUNT_NOT_ENOUGH: no balance"
	})
	for _, args := range []string{"failed", "failed --json", "status j0", "status --json j0", "status f", "results f.csv"} {
		code, out, errs := d.run(strings.Fields(args)...)
		if !strings.Contains(out, "isv.AMOUNT_NOT_ENOUGH") || strings.Contains(out, "camsq.") {
			t.Errorf("camsq %s: exit %d, %s\n%s", args, code, errs, out)
		}
	}
}
