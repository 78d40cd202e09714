package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

func TestTheOverviewShowsEveryAccountAndWhatNeedsAPerson(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts().working()
	code, out, errs := d.run("status")
	said(t, "empty", code, 0, out+errs, `ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
default       0        0          0     0        0       0          0
eu            0        0          0     0        0       0          0
`)

	d.write("march.csv", many(7))
	d.write("april.csv", "ChannelType,InstanceName,account\nVIBER,x,eu\nVIBER,y,\n")
	d.run("enqueue", "march.csv", "april.csv")
	d.succeed("default", "j0", "i-0")
	d.setCallback("default", "j0", tasks.CallbackProgress{State: tasks.CallbackDead})
	d.succeed("default", "j1", "i-1")
	d.setCallback("default", "j1", tasks.CallbackProgress{State: tasks.CallbackOwed})
	d.reject("default", "j2", "No", "")
	d.hold("default", "j3")
	d.startCall("default", "j4")
	d.startCall("default", "j5")
	d.transition("default", "j5", tasks.StepAmbiguous, 0, nil)
	code, out, errs = d.run("status")
	said(t, "overview", code, 0, scrub(out)+errs, `ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
default       2        1          1     1        2       1          0
eu            1        0          0     0        0       0          0

default: oldest queued job: N s
default: 1 job uncertain, the oldest for N s; their outcomes are being looked up
default: 1 job held until an operator decides, the oldest for N s: camsq held
default: 1 callback still owed, the oldest for N s
default: 1 callback given up after every try failed: camsq failed --callbacks
eu: oldest queued job: N s

LAST BATCHES  ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
april         default       1        0          0     0        0       0          0
march         default       1        1          1     1        2       1          0
april         eu            1        0          0     0        0       0          0
`)

	code, out, errs = d.run("status", "april")
	said(t, "batch", code, 0, scrub(out)+errs, `BATCH  ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
april  default       1        0          0     0        0       0          0
april  eu            1        0          0     0        0       0          0

default: closed TIME (N s ago) (all rows sent)
default: 1 job to go: N s at 4.95 a second
eu: closed TIME (N s ago) (all rows sent)
eu: 1 job to go: N s at 1.98 a second
`)
}

func TestAJobSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		bring func(d *cliTest)
		want  string
	}{
		{"next", func(*cliTest) {}, "It is the next to be taken: the account's next slot comes in N s, at 4.95 a second."},
		{"its turn", func(d *cliTest) {
			d.write("before.csv", "ChannelType,InstanceName,job_id\nVIBER,x,0\nVIBER,y,1\n")
			d.run("enqueue", "before.csv")
		}, "It waits in the queue: 2 jobs come before it, some N s at 4.95 a second."},
		{"backoff", func(d *cliTest) {
			d.startCall("default", "j0")
			d.transition("default", "j0", tasks.StepThrottled, 5*time.Minute+30*time.Second, func(r *tasks.Record) { r.Code = "Throttling.User" })
		}, "It waits 5 min more after Throttling.User, then it is called at the account's pace, 4.95 a second."},
		{"taken", func(d *cliTest) {
			if err := d.rdb.RPopLPush(d.t.Context(), "asynq:{provision:default}:pending", "asynq:{provision:default}:active").Err(); err != nil {
				d.t.Fatal(err)
			}
		}, "A worker has it, or is about to: the account's next slot comes in N s, at 4.95 a second."},
		{"paused", func(d *cliTest) { d.run("pause", "default", "--reason", "a wrong\x1bfile") },
			"It waits because account default was paused N s ago: a wrong file (camsq resume default)."},
		{"refused", func(d *cliTest) { d.trip("default", 4*time.Minute+30*time.Second) },
			"It waits because the API has refused account default for N s (NoPermission); one job tries it again in 4 min."},
		{"probed", func(d *cliTest) {
			d.trip("default", 0)
			if ok, _, err := d.ledger.Probe(d.t.Context(), tasks.ProbeID{Ref: tasks.Ref{Account: "default", ID: "other"}}, time.Minute); !ok || err != nil {
				d.t.Fatal(ok, err)
			}
		}, "It waits because the API has refused account default for N s (NoPermission); job other is trying it now."},
		{"limited", func(d *cliTest) {
			d.run("limit", "default", "30/m")
		}, "It is the next to be taken: the account's next slot comes in N s, at 29.7 a minute (limited by an operator)."},
		{"calling", func(d *cliTest) { d.startCall("default", "j0") }, "The call is being made; how it ended is known in N s at most."},
		{"caller died", func(d *cliTest) { d.transition("default", "j0", tasks.StepBegin, 0, nil) }, "The worker died during the call; the outcome is being looked up."},
		{"uncertain", func(d *cliTest) {
			d.startCall("default", "j0")
			d.transition("default", "j0", tasks.StepAmbiguous, 4*time.Second, nil)
		}, "The answer to its call was lost. A worker looks the instance up, next in N s; nothing is sent before that is settled."},
		{"held", func(d *cliTest) { d.hold("default", "j0", "i-1", "i-2") }, "It waits for an operator: camsq resolve default/j0, with --created INSTANCE_ID, --absent or --failed."},
		{"failed", func(d *cliTest) { d.reject("default", "j0", "No", "") }, "It has ended, and is not tried again by itself: camsq retry default/j0."},
		{"cancelled", func(d *cliTest) { d.transition("default", "j0", tasks.StepCancel, 0, nil) }, "It has ended: it was cancelled before its call."},
		{"created", func(d *cliTest) {
			d.succeed("default", "j0", "i-1")
			d.setCallback("default", "j0", tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 1})
		}, "Done."},
		{"callback owed", func(d *cliTest) {
			d.succeed("default", "j0", "i-1")
			d.setCallback("default", "j0", tasks.CallbackProgress{State: tasks.CallbackOwed})
		}, "It has ended well; only its callback is still owed."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newCLITest(t)
			if tt.name == "its turn" {
				tt.bring(d)
			}
			d.write("f.csv", many(1))
			d.run("enqueue", "f.csv")
			if tt.name != "its turn" {
				tt.bring(d)
			}
			code, out, errs := d.run("status", "j0")
			lines := strings.Split(strings.TrimSpace(scrub(out)), "\n")
			said(t, "last line", code, 0, lines[len(lines)-1]+errs, tt.want)
		})
	}
}

func TestAJobIsShownWithAllThatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", "ChannelType,InstanceName,job_id,ContactMail,OfficeAddress\nVIBER,shop,orders/7,ana@example.com,1 Main St\n")
	d.run("enqueue", "f.csv")
	d.startCall("default", "orders/7")
	d.transition("default", "orders/7", tasks.StepAmbiguous, 0, nil)
	d.transition("default", "orders/7", tasks.StepFound, 0, func(r *tasks.Record) {
		r.Instance, r.Adopted = &tasks.EventInstance{InstanceID: "cams-1"}, true
		r.Code, r.Message, r.RequestID = "OK", "all\x1b[2Jgood\n", "R-1"
	})
	d.setCallback("default", "orders/7", tasks.CallbackProgress{State: tasks.CallbackOwed, Tries: 3, Reason: tasks.ReasonTimeout})
	want := `Job default/orders/7
  state       created
  since       TIME (N s ago)
  accepted    TIME (N s ago)
  batch       f
  asked for   VIBER shop
  instance    cams-1 (found by a lookup)
  tries       1
  answer      OK: all [2Jgood
  request ID  R-1
  callback    owed, 3 tries, the last one: timeout

It has ended well; only its callback is still owed.
`
	for _, name := range []string{"orders/7", "default/orders/7"} {
		code, out, errs := d.run("status", name)
		said(t, name, code, 0, scrub(out)+errs, want)
	}
}

func TestAHighPriorityIsShown(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", many(30))
	d.run("enqueue", "f.csv")
	d.write("g.csv", "ChannelType,InstanceName,job_id,priority\nVIBER,one,a,high\nVIBER,two,b,high\nVIBER,three,c,\n")
	d.run("enqueue", "g.csv")
	for id, want := range map[string]string{
		"a": "  priority    high\n  asked for   VIBER one\n  tries       0\n\nIt is the next to be taken: the account's next slot comes in N s, at 4.95 a second.\n",
		"b": "  priority    high\n  asked for   VIBER two\n  tries       0\n\nIt waits in the queue: 1 high-priority job comes before it, some N s at 4.95 a second.\n",
		"c": "  batch       g\n  asked for   VIBER three\n  tries       0\n\nIt waits in the queue: 30 jobs come before it, some N s at 4.95 a second.\n",
	} {
		if _, out, _ := d.run("status", id); !strings.HasSuffix(scrub(out), want) {
			t.Errorf("status %s:\n%s\nwant at its end:\n%s", id, out, want)
		}
		_, out, errs := d.run("status", "--json", id)
		var got struct{ Jobs []map[string]any }
		if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Jobs) != 1 {
			t.Fatalf("status --json %s: %v: %s%s", id, err, out, errs)
		}
		if p, there := got.Jobs[0]["priority"]; there != (id != "c") || there && p != "high" {
			t.Errorf("status --json %s: priority is %v, %t", id, p, there)
		}
	}
}

func TestAJobIsFoundInEveryAccountThatHasIt(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	d.write("f.csv", "ChannelType,InstanceName,job_id,account\nVIBER,one,a,\nVIBER,one,a,eu\n")
	d.run("enqueue", "f.csv")
	_, out, _ := d.run("status", "a")
	if !strings.Contains(out, "Job default/a\n") || !strings.Contains(out, "\n\nJob eu/a\n") {
		t.Errorf("status a:\n%s", out)
	}
	_, out, _ = d.run("status", "eu/a")
	if strings.Contains(out, "default/a") || !strings.Contains(out, "Job eu/a\n") {
		t.Errorf("status eu/a:\n%s", out)
	}
}

func TestANameOfNothingIsSaidInOneLine(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	for _, args := range [][]string{{"status", "nope"}, {"status", "--json", "nope"}} {
		code, out, errs := d.run(args...)
		said(t, "complaint", code, 1, out+errs, "camsq: \"nope\" is neither a job nor a batch here; looked in account default, eu\n")
	}
	code, out, errs := d.run("status", "a", "b")
	said(t, "too many", code, 2, out+errs, "camsq: status takes one job or batch, not 2\n")
}

func TestADamagedRecordIsShownAsSuch(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", many(1))
	d.run("enqueue", "f.csv")
	key := ledger.JobKey(tasks.Ref{Account: "default", ID: "j0"})
	record := d.rdb.Get(t.Context(), key).Val()
	d.rdb.Set(t.Context(), key, record[:len(record)-1], 0)
	code, out, errs := d.run("status", "j0")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "Job default/j0\n  state       unreadable\n  reason      ") {
		t.Errorf("exit %d, %q:\n%s", code, errs, out)
	}
	code, out, _ = d.run("enqueue", "f.csv")
	if code != 1 || !strings.Contains(out, "1  rejected: ") {
		t.Errorf("the same row again: exit %d:\n%s", code, out)
	}
}

func TestStatusAsJSON(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).working()
	d.write("f.csv", many(3))
	d.run("enqueue", "f.csv")
	d.succeed("default", "j0", "i-0")
	d.setCallback("default", "j0", tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 1})
	jobs := `{"queued":2,"calling":0,"uncertain":0,"held":0,"created":1,"failed":0,"cancelled":0}`
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"status", "--json"}, `{"accounts":[{"account":"default","configured":true,"jobs":` + jobs + `,"lane":{"rate_per_second":4.95,"ceiling_per_second":4.95,"limit_per_second":0},"oldest_seconds":{"queued":0},
			"callbacks":{"owed":0,"oldest_owed_seconds":0,"dead":0},"batches":[{"batch":"f","account":"default","jobs":` + jobs + `,"codes":{},"closed_at":"TIME","completions":0}]}]}`},
		{[]string{"status", "--json", "f"}, `{"jobs":[],"batches":[{"batch":"f","account":"default","jobs":` + jobs + `,"codes":{},"closed_at":"TIME","completions":0,
			"rest":{"least_seconds":0,"most_seconds":0},"lane":{"rate_per_second":4.95,"ceiling_per_second":4.95,"limit_per_second":0}}]}`},
		{[]string{"status", "--json", "j0"}, `{"jobs":[{"job":"default/j0","account":"default","id":"j0","batch":"f","state":"created","since":"TIME","enqueued_at":"TIME",
			"channel_type":"VIBER","instance_name":"shop 0","instance_id":"i-0","adopted":false,"candidates":[],"tries":1,"code":"OK","message":"","request_id":"R-j0",
			"callback":{"state":"delivered","tries":1,"reason":""},"next":"Done."}],"batches":[]}`},
	} {
		code, out, errs := d.run(tt.args...)
		var got, want any
		if err := json.Unmarshal([]byte(scrub(out)), &got); err != nil {
			t.Fatalf("%s: %v: %s", tt.args, err, errs)
		}
		if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || code != 0 {
			t.Errorf("%s: exit %d (-want +got):\n%s", tt.args, code, diff)
		}
	}
}

func TestStatusNamesAnAccountThatIsNotConfigured(t *testing.T) {
	d := newCLITest(t).twoAccounts()
	d.write("f.csv", "ChannelType,InstanceName,account\nVIBER,a,eu\n")
	if code, out, errs := d.run("enqueue", "f.csv"); code != exit.CodeOK {
		t.Fatalf("enqueue: exit code %d\n%s%s", code, out, errs)
	}
	d.env = slices.DeleteFunc(d.env, func(pair string) bool { return strings.HasPrefix(pair, "CAMSQ_CONFIG=") })
	code, out, errs := d.run("status")
	if code != exit.CodeOK || !strings.Contains(out, "eu: not configured here") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
