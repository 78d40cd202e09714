package tasks_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/tasks"
)

func TestNormalizeKeepsWhatIsMeantAndDropsWhatIsNot(t *testing.T) {
	job := tasks.Job{
		ID: " order-7 ", Account: " ", Batch: "2026-03", CallbackURL: " https://example.com/hook\n", Priority: " High\n",
		Request: tasks.Request{
			ChannelType: " viber\t", InstanceName: "  Müller & Söhne ", OfficeAddress: "\nHauptstraße 1\nBerlin\n", IsConfirmAudit: "y",
			CountryID: "007 ",
		},
		Metadata: map[string]string{"crm_id": " 42 "},
	}
	want := tasks.Job{
		ID: "order-7", Account: "default", Batch: "2026-03", CallbackURL: "https://example.com/hook", Priority: tasks.PriorityHigh,
		Request: tasks.Request{
			ChannelType: "VIBER", InstanceName: "Müller & Söhne", OfficeAddress: "Hauptstraße 1\nBerlin", IsConfirmAudit: "Y",
			CountryID: "007",
		},
		Metadata: map[string]string{"crm_id": " 42 "},
	}
	got := job.Normalize()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("normalised job (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, got.Normalize()); diff != "" {
		t.Errorf("normalising it again changes it (-once +twice):\n%s", diff)
	}
}

func TestAPriorityIsReadHoweverItIsWritten(t *testing.T) {
	for written, want := range map[tasks.Priority]tasks.Priority{
		"": tasks.PriorityNormal, " ": tasks.PriorityNormal, "normal": tasks.PriorityNormal, "NORMAL ": tasks.PriorityNormal,
		"high": tasks.PriorityHigh, "\tHigh": tasks.PriorityHigh, "Urgent": "urgent",
	} {
		if got := (tasks.Job{Priority: written}).Normalize().Priority; got != want {
			t.Errorf("%q is read as %q, want %q", written, got, want)
		}
	}
}

// Redis Cluster hashes what stands between the first brace and the first closing one.
func TestBothQueuesOfAnAccountHaveOneHashTag(t *testing.T) {
	normal, high := tasks.JobQueue("acme", tasks.PriorityNormal), tasks.JobQueue("acme", tasks.PriorityHigh)
	if normal != "provision:acme" || high != "provision:acme}:high" {
		t.Errorf("the queues are %q and %q", normal, high)
	}
	for _, queue := range []string{normal, high} {
		if tag, _, _ := strings.Cut(strings.TrimPrefix("asynq:{"+queue+"}:pending", "asynq:{"), "}"); tag != "provision:acme" {
			t.Errorf("the keys of %s have the hash tag %q", queue, tag)
		}
	}
}

// These IDs stand in ledgers: another one would make a second instance of a row that is sent again.
func TestADerivedIDNeverChanges(t *testing.T) {
	for _, tt := range []struct {
		name string
		job  tasks.Job
		want string
	}{
		{"plain", tasks.Job{Account: "default", Request: tasks.Request{ChannelType: "VIBER", InstanceName: "viber_ins"}}, "job_ux7ss34pwj3ipnhtra2ds4yojq"},
		{"as typed", tasks.Job{Request: tasks.Request{ChannelType: " viber", InstanceName: "viber_ins\n"}}, "job_ux7ss34pwj3ipnhtra2ds4yojq"},
		{"not ASCII", tasks.Job{Request: tasks.Request{ChannelType: "WhatsApp", InstanceName: "渠道 一号"}}, "job_nmopoab27ibnw2rrbwuomfojky"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.job.Normalize().ID; got != tt.want {
				t.Errorf("ID = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestADerivedIDTellsInstancesApartAndNothingElse(t *testing.T) {
	base := tasks.Job{Account: "a", Request: tasks.Request{ChannelType: "VIBER", InstanceName: "one"}}
	id := func(change func(*tasks.Job)) string {
		j := base
		change(&j)
		return j.Normalize().ID
	}
	same := id(func(*tasks.Job) {})
	for name, change := range map[string]func(*tasks.Job){
		"account":       func(j *tasks.Job) { j.Account = "b" },
		"channel type":  func(j *tasks.Job) { j.Request.ChannelType = "WHATSAPP" },
		"instance name": func(j *tasks.Job) { j.Request.InstanceName = "One" },
		"borders":       func(j *tasks.Job) { j.Request.ChannelType, j.Request.InstanceName = "VIBERO", "ne" },
	} {
		if id(change) == same {
			t.Errorf("another %s has the same ID", name)
		}
	}
	if id(func(j *tasks.Job) {
		j.Batch, j.Priority, j.Request.ContactMail = "b", tasks.PriorityHigh, "a@example.com"
	}) != same {
		t.Error("the ID depends on more than account, channel type and instance name")
	}
}

func TestParamsAreTheTenOfTheAPI(t *testing.T) {
	var names, required []string
	var r tasks.Request
	for _, p := range tasks.Params() {
		names = append(names, p.Name)
		if p.Required {
			required = append(required, p.Name)
		}
		*p.Field(&r) = p.Name
	}
	want := []string{
		"ChannelType", "InstanceName", "InstanceDescription", "ResourceGroupId", "OfficeAddress", "ContactMail",
		"CountryId", "FacebookBmId", "IsvTerms", "IsConfirmAudit",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:2], required); diff != "" {
		t.Errorf("required parameters (-want +got):\n%s", diff)
	}
	if r.CountryID != "CountryId" || r.FacebookBmID != "FacebookBmId" || r.ResourceGroupID != "ResourceGroupId" {
		t.Errorf("a parameter is kept in another's place: %+v", r)
	}
}

func TestARefReadsBackAsItWasWritten(t *testing.T) {
	for _, ref := range []tasks.Ref{
		{Account: "default", ID: "job_ux7ss34pwj3ipnhtra2ds4yojq"},
		{Account: "acme-eu_1", ID: "orders/2026/7"},
		{Account: "a", ID: "1"},
		{Account: strings.Repeat("a", 63), ID: strings.Repeat("x", 128)},
	} {
		got, err := tasks.ParseRef(ref.String())
		if err != nil || got != ref {
			t.Errorf("ParseRef(%q) = %+v, %v", ref, got, err)
		}
	}
}

func TestARefThatNamesNoJobIsRefusedInOneShortLine(t *testing.T) {
	for name, s := range map[string]string{
		"empty": "", "no slash": "default", "no account": "/job", "no ID": "default/",
		"account in upper case": "Default/job", "line feed": "default/job\n", "space": "default/a job",
		"ID too long": "default/" + strings.Repeat("x", 129), "account too long": strings.Repeat("a", 64) + "/job",
	} {
		t.Run(name, func(t *testing.T) {
			ref, err := tasks.ParseRef(s)
			if err == nil || ref != (tasks.Ref{}) {
				t.Fatalf("ParseRef = %+v, %v; want an error", ref, err)
			}
			if text := err.Error(); strings.Contains(text, "\n") || len(text) > 150 {
				t.Errorf("the error is not one short line: %q", text)
			}
		})
	}
}

func TestRedactCutsEveryPersonalValueOut(t *testing.T) {
	r := tasks.Request{ContactMail: "ana@example.com", OfficeAddress: "1 Main St"}
	for text, want := range map[string]string{
		"ContactMail ana@example.com is taken (ana@example.com)": "ContactMail [redacted] is taken ([redacted])",
		"no office at 1 Main St":                                 "no office at [redacted]",
		"InstanceName exists":                                    "InstanceName exists",
		"":                                                       "",
	} {
		if got := r.Redact(text); got != want {
			t.Errorf("Redact(%q) = %q, want %q", text, got, want)
		}
	}
	const text = "nothing to cut"
	if got := (tasks.Request{}).Redact(text); got != text {
		t.Errorf("a request without personal values makes %q of %q", got, text)
	}
}

func TestTheNameKeyIsOfTheChannelAndTheNameAlone(t *testing.T) {
	a := tasks.Request{ChannelType: "VIBER", InstanceName: "one", ContactMail: "a@example.com"}
	b := tasks.Request{ChannelType: "VIBER", InstanceName: "one", CountryID: "49"}
	c := tasks.Request{ChannelType: "WHATSAPP", InstanceName: "one"}
	if a.NameKey() != b.NameKey() || a.NameKey() == c.NameKey() {
		t.Errorf("name keys: %s %s %s", a.NameKey(), b.NameKey(), c.NameKey())
	}
	if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(a.NameKey()) {
		t.Errorf("NameKey = %q", a.NameKey())
	}
}
