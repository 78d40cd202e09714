package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// golden is a file of testdata: records of one version as they stand in Redis. A file
// is never changed once a version after it has been released.
type golden struct {
	Version int            `json:"version"`
	Records []goldenRecord `json:"records"`
}

// goldenRecord is a record: its four parts, and what they mean.
type goldenRecord struct {
	Name     string `json:"name"`
	Head     string `json:"head"`
	Priority string `json:"priority"`
	Progress string `json:"progress"`
	// Sealed is the request, sealed with goldenKey, in base64.
	Sealed []byte       `json:"sealed"`
	Means  tasks.Record `json:"means,omitzero"`
}

func (g goldenRecord) String() string {
	return parts{g.Head, g.Priority, g.Progress, string(g.Sealed)}.String()
}

func (g goldenRecord) ref() tasks.Ref { return tasks.Ref{Account: account, ID: g.Name} }

const (
	// goldenKey seals the golden records: equal requests have equal bytes.
	goldenKey = "Z29sZGVuIHJlY29yZHMgYXJlIHNlYWxlZCB3aXRoIGU="
	// goldenVersion stands for revisions, which are random.
	goldenVersion = "Z29sZGVuIHJl"
)

// goldenTime is when the golden records are written.
var goldenTime = time.UnixMilli(1767323045678).UTC()

func goldenPath(version int) string {
	return filepath.Join("testdata", fmt.Sprintf("records.v%d.json", version))
}

func readGolden(t testing.TB, version int) golden {
	t.Helper()
	text, err := os.ReadFile(goldenPath(version))
	if err != nil {
		t.Fatalf("%v (the newest is written with UPDATE=1)", err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatalf("%s: %v", goldenPath(version), err)
	}
	if g.Version != version || len(g.Records) == 0 {
		t.Fatalf("%s has %d records of version %d", goldenPath(version), len(g.Records), g.Version)
	}
	return g
}

// life is how a golden record comes to be: a job, and the steps that it takes.
type life struct {
	job   tasks.Job
	steps []stage
}

// stage is a step, what the record's progress is by then, and when it is due.
type stage struct {
	by   tasks.Step
	note func(*tasks.Progress)
	due  time.Duration
}

func begin(note func(*tasks.Progress)) stage {
	return stage{by: tasks.StepBegin, due: 15 * time.Second, note: func(p *tasks.Progress) {
		p.Tries, p.FirstTry, p.Baseline = 1, goldenTime, &[]string{}
		if note != nil {
			note(p)
		}
	}}
}

// lives are the jobs of the newest golden file. Together they set every field.
func lives() []life {
	short := func(id string) tasks.Job {
		return tasks.Job{ID: id, Account: account, Request: tasks.Request{ChannelType: "VIBER", InstanceName: "shop of " + id}}
	}
	whole := func(id string) tasks.Job {
		j := short(id)
		j.Batch, j.Priority, j.CallbackURL = "march of 2026.csv", tasks.PriorityHigh, "https://hook.example/camsq"
		j.Metadata = map[string]string{"tenant": "17", "note": "名前 <b> \"quoted\""}
		j.Request = tasks.Request{
			ChannelType: "WHATSAPP", InstanceName: "名前 & " + id, InstanceDescription: "a shop", ResourceGroupID: "rg-1",
			OfficeAddress: "1 Example Street", ContactMail: "mail@tenant.example", CountryID: "65", FacebookBmID: "390000000000017",
			IsvTerms: "https://terms.example/isv.pdf", IsConfirmAudit: "Y",
		}
		return j
	}
	refused := func(p *tasks.Progress) {
		p.Code, p.Message, p.RequestID = "Throttling.User", "Request was denied <due to> user flow control.", "4E5BB3B4-1"
	}
	return []life{
		{short("queued"), nil},
		{whole("queued-high"), nil},
		{short("throttled"), []stage{begin(nil), {tasks.StepThrottled, func(p *tasks.Progress) {
			refused(p)
			p.Tries, p.FirstTry, p.Delays = 0, time.Time{}, 4
			p.Refusals, p.RefusedAt, p.Unknown = 1, goldenTime, 2
		}, 2 * time.Second}}},
		{whole("calling"), []stage{begin(func(p *tasks.Progress) { p.Baseline = &[]string{"i-0"} })}},
		{whole("uncertain"), []stage{
			begin(func(p *tasks.Progress) {
				p.Baseline, p.Nearby, p.NearbyMany, p.Vouched = &[]string{"i-0", "i-1"}, []string{"i-7"}, true, true
			}),
			{tasks.StepAmbiguous, func(p *tasks.Progress) {
				p.Doubted, p.Lookups, p.Code, p.Message = true, 2, "camsq.NoAnswer", "connection reset"
				p.Named = "i-8"
			}, 10 * time.Second},
		}},
		{short("held"), []stage{begin(nil), {tasks.StepAmbiguous, func(p *tasks.Progress) { p.Doubted = true }, 0}, {tasks.StepSeveral, func(p *tasks.Progress) {
			p.Candidates, p.Code = []string{"i-2", "i-3"}, "camsq.SeveralInstances"
			p.Callback.State = tasks.CallbackOwed
		}, 0}}},
		{whole("created"), []stage{begin(nil), {tasks.StepAmbiguous, func(p *tasks.Progress) { p.Doubted = true }, 0}, {tasks.StepFound, func(p *tasks.Progress) {
			p.Instance = &tasks.EventInstance{
				InstanceID: "i-4", InstanceName: "名前 & created", ChannelType: "WHATSAPP", ResourceRegionID: "ap-southeast-1", SubmitTime: "1767323045678",
			}
			p.Adopted, p.Code, p.RequestID, p.Callback.State = true, "OK", "4E5BB3B4-2", tasks.CallbackDelivered
		}, 0}}},
		{short("failed"), []stage{begin(nil), {tasks.StepRejected, func(p *tasks.Progress) {
			refused(p)
			p.Code = "InvalidInstanceName"
			p.Callback = tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 12, Reason: "timeout"}
		}, 0}}},
		{short("cancelled"), []stage{{tasks.StepCancel, nil, 0}}},
	}
}

// live lets the jobs live in a Redis whose time stands, and returns their records.
func live(t *testing.T) golden {
	t.Helper()
	m, c := redistest.Mini(t)
	m.SetTime(goldenTime)
	l, err := ledger.New(ledger.Config{Redis: c, Keys: ring(t, goldenKey)})
	if err != nil {
		t.Fatal(err)
	}
	in, err := enqueue.New(enqueue.Config{Redis: c, DataKeys: goldenKey})
	if err != nil {
		t.Fatal(err)
	}
	g := golden{Version: ledger.Version}
	for _, life := range lives() {
		if _, err := in.Create(t.Context(), life.job); err != nil {
			t.Fatal(err)
		}
		r := get(t, l, life.job.ID)
		for _, s := range life.steps {
			if s.note != nil {
				s.note(&r.Progress)
			}
			if r, err = l.Transition(t.Context(), r, s.by, s.due); err != nil {
				t.Fatal(err)
			}
		}
		p := partsOf(c.Get(t.Context(), prefix+"job:"+life.job.ID).Val())
		p[head] = strings.Replace(p[head], " "+r.Version+" ", " "+goldenVersion+" ", 1)
		read := goldenRecord{Name: life.job.ID, Head: p[head], Priority: p[priority], Progress: p[progress], Sealed: []byte(p[request])}
		if read.Means, err = plant(t, c, l, read); err != nil {
			t.Fatal(err)
		}
		for _, at := range []*time.Time{&read.Means.EnqueuedAt, &read.Means.Since, &read.Means.Due, &read.Means.Now, &read.Means.FirstTry, &read.Means.RefusedAt} {
			if !at.IsZero() {
				*at = at.UTC()
			}
		}
		g.Records = append(g.Records, read)
	}
	return g
}

// plant puts a golden record into Redis as it is, and reads it.
func plant(t testing.TB, c redis.UniversalClient, l *ledger.Ledger, g goldenRecord) (tasks.Record, error) {
	t.Helper()
	if err := c.Set(t.Context(), prefix+"job:"+g.Name, g.String(), 0).Err(); err != nil {
		t.Fatal(err)
	}
	return l.Get(t.Context(), g.ref())
}

// The newest version is written as its golden records say, byte by byte.
func TestRecordsAreWrittenAsTheGoldenOnesOfTheirVersion(t *testing.T) {
	t.Parallel()
	got := live(t)
	path := goldenPath(ledger.Version)
	if os.Getenv("UPDATE") == "1" {
		text, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := readGolden(t, ledger.Version)
	if diff := cmp.Diff(want, got, cmp.Transformer("sealed", func(r goldenRecord) string { return r.String() })); diff != "" {
		t.Errorf("records are written otherwise than %s says. After a release, raise Version (format.go), keep that file as it is and write "+
			"the next one with UPDATE=1. (-want +got)\n%s", path, diff)
	}
}

// Records of the versions that this package reads mean what they always meant.
func TestGoldenRecordsAreReadForEver(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l, err := ledger.New(ledger.Config{Redis: c, Keys: ring(t, goldenKey)})
		if err != nil {
			t.Fatal(err)
		}
		for version := 1; version <= ledger.Version; version++ {
			for _, g := range readGolden(t, version).Records {
				r, err := plant(t, c, l, g)
				if version == 1 { // two shapes of it were written under one number
					if !errors.Is(err, tasks.ErrUnreadable) || !strings.Contains(err.Error(), "an older camsq wrote it, in format 1") {
						t.Errorf("%s of version 1: %v, want it to be called older", g.Name, err)
					}
					continue
				}
				r.Now = g.Means.Now
				if diff := cmp.Diff(g.Means, r); err != nil || diff != "" {
					t.Errorf("%s of version %d: %v (-want +got)\n%s", g.Name, version, err, diff)
				}
			}
		}
	})
}

// A field that no golden record has could be added, and dropped by processes that do
// not know it, without any test's noticing.
func TestGoldenRecordsHaveEveryField(t *testing.T) {
	t.Parallel()
	set := map[string]bool{}
	for _, g := range readGolden(t, ledger.Version).Records {
		for _, part := range []any{g.Means.Request, g.Means.Progress} {
			note(set, reflect.ValueOf(part))
		}
		set["Job.CallbackURL"] = set["Job.CallbackURL"] || g.Means.CallbackURL != ""
		set["Job.Metadata"] = set["Job.Metadata"] || len(g.Means.Metadata) > 0
		set["Job.Priority"] = set["Job.Priority"] || g.Means.Priority != ""
		set["Job.Batch"] = set["Job.Batch"] || g.Means.Batch != ""
	}
	for field, is := range set {
		if !is {
			t.Errorf("no golden record has %s: give it to one (lives, in golden_test.go). A field that is new since the last release "+
				"needs a new version: raise Version in format.go, and write its golden records with UPDATE=1", field)
		}
	}
	if len(set) < 10+13+5+3+4 {
		t.Errorf("only %d fields were looked at", len(set))
	}
}

// note notes which fields of a struct are set, those of the structs in it too.
func note(set map[string]bool, v reflect.Value) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Name()+"."+v.Type().Field(i).Name
		set[name] = set[name] || !f.IsZero()
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() {
			note(set, f)
		}
	}
}
