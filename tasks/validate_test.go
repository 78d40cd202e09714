package tasks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/tasks"
)

func full() tasks.Job {
	return tasks.Job{
		ID: "order-7", Account: "acme", Batch: "March 2026, 渠道", Priority: "High", CallbackURL: "https://example.com/hook?x=1",
		Request: tasks.Request{
			ChannelType: "VIBER", InstanceName: "viber_ins", InstanceDescription: "小店 (\"new\")", ResourceGroupID: "rg-acfm7e10",
			OfficeAddress: "Hauptstraße 1\n10115 Berlin", ContactMail: "o'neil+cams@example.com", CountryID: "0049",
			FacebookBmID: "393992929", IsvTerms: "https://a.com/1.pdf", IsConfirmAudit: "Y",
		},
		Metadata: map[string]string{"crm_id": "42", "Team.EU-1": "Zürich", "empty": ""},
	}.Normalize()
}

func reasons(t *testing.T, err error) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err == nil {
		return got
	}
	invalid, ok := errors.AsType[*tasks.InvalidError](err)
	if !ok {
		t.Fatalf("the error is a %T: %v", err, err)
	}
	for _, f := range invalid.Fields {
		if got[f.Field] != "" {
			t.Errorf("%s is named twice", f.Field)
		}
		got[f.Field] = f.Reason
	}
	return got
}

func TestAGoodJobIsValid(t *testing.T) {
	for name, job := range map[string]tasks.Job{
		"every field": full(),
		"required fields only": tasks.Job{
			Request: tasks.Request{ChannelType: "whatsapp", InstanceName: "渠道一号"},
		}.Normalize(),
	} {
		t.Run(name, func(t *testing.T) {
			if err := job.Validate(tasks.Rules{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEachFieldIsHeldToItsRule(t *testing.T) {
	const rounded = "looks like a number that a spreadsheet has rounded; format the column as text"
	const oneLine, control = "must be on one line", "holds a control character; remove it"
	const notUTF8 = "is not valid UTF-8; save the source as UTF-8"
	const badID = "must be 1 to 128 of A-Z a-z 0-9 . _ : @ / = + - and begin with a letter or digit"
	const badAccount = "must be 1 to 63 of a-z 0-9 _ - and begin with a letter or digit"
	for _, tt := range []struct {
		name   string
		change func(*tasks.Job)
		field  string
		reason string // "" where the job is valid
	}{
		{"no channel type", func(j *tasks.Job) { j.Request.ChannelType = "" }, "ChannelType", "is required"},
		{"unknown channel type", func(j *tasks.Job) { j.Request.ChannelType = "SMS" }, "ChannelType", `"SMS" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER`},
		{"long channel type", func(j *tasks.Job) { j.Request.ChannelType = strings.Repeat("X", 99) }, "ChannelType", `"` + strings.Repeat("X", 40) + `…" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER`},

		{"no instance name", func(j *tasks.Job) { j.Request.InstanceName = "" }, "InstanceName", "is required"},
		{"longest instance name", func(j *tasks.Job) { j.Request.InstanceName = strings.Repeat("渠", 128) }, "", ""},
		{"instance name too long", func(j *tasks.Job) { j.Request.InstanceName = strings.Repeat("渠", 129) }, "InstanceName", "must be at most 128 characters long"},
		{"instance name on two lines", func(j *tasks.Job) { j.Request.InstanceName = "a\nb" }, "InstanceName", oneLine},
		{"instance name with a NUL", func(j *tasks.Job) { j.Request.InstanceName = "a\x00b" }, "InstanceName", control},
		{"instance name with a C1 control", func(j *tasks.Job) { j.Request.InstanceName = "a\u0085b" }, "InstanceName", control},
		{"instance name that is not UTF-8", func(j *tasks.Job) { j.Request.InstanceName = "M\xfcller" }, "InstanceName", notUTF8},
		{"instance name that a decoder damaged", func(j *tasks.Job) { j.Request.InstanceName = "M\ufffdller" }, "InstanceName", notUTF8},
		{"rounded instance name", func(j *tasks.Job) { j.Request.InstanceName = "3.93993E+08" }, "InstanceName", rounded},

		{"longest description", func(j *tasks.Job) { j.Request.InstanceDescription = strings.Repeat("é", 512) }, "", ""},
		{"description too long", func(j *tasks.Job) { j.Request.InstanceDescription = strings.Repeat("é", 513) }, "InstanceDescription", "must be at most 512 characters long"},
		{"description on two lines", func(j *tasks.Job) { j.Request.InstanceDescription = "a\r\nb" }, "InstanceDescription", oneLine},

		{"address with a carriage return", func(j *tasks.Job) { j.Request.OfficeAddress = "a\r\nb" }, "OfficeAddress", oneLine},
		{"address with a tab", func(j *tasks.Job) { j.Request.OfficeAddress = "a\tb" }, "OfficeAddress", control},
		{"address too long", func(j *tasks.Job) { j.Request.OfficeAddress = strings.Repeat("x", 513) }, "OfficeAddress", "must be at most 512 characters long"},

		{"mail without at", func(j *tasks.Job) { j.Request.ContactMail = "ana.example.com" }, "ContactMail", "is not a mail address"},
		{"mail with a name", func(j *tasks.Job) { j.Request.ContactMail = "Ana <ana@example.com>" }, "ContactMail", "is not a mail address"},
		{"mail in brackets", func(j *tasks.Job) { j.Request.ContactMail = "<ana@example.com>" }, "ContactMail", "is not a mail address"},
		{"two mails", func(j *tasks.Job) { j.Request.ContactMail = "a@example.com, b@example.com" }, "ContactMail", "is not a mail address"},
		{"mail with a header", func(j *tasks.Job) { j.Request.ContactMail = "a@example.com\r\nBcc: b@example.com" }, "ContactMail", oneLine},
		{"mail too long", func(j *tasks.Job) { j.Request.ContactMail = strings.Repeat("a", 250) + "@example.com" }, "ContactMail", "must be at most 254 characters long"},
		{"mail not in ASCII", func(j *tasks.Job) { j.Request.ContactMail = "用户@例子.example" }, "", ""},

		{"country with a plus", func(j *tasks.Job) { j.Request.CountryID = "+86" }, "CountryId", "must be 1 to 6 digits, without a plus sign"},
		{"country too long", func(j *tasks.Job) { j.Request.CountryID = "1234567" }, "CountryId", "must be 1 to 6 digits, without a plus sign"},
		{"country in other digits", func(j *tasks.Job) { j.Request.CountryID = "٩٦٦" }, "CountryId", "must be 1 to 6 digits, without a plus sign"},
		{"rounded country", func(j *tasks.Job) { j.Request.CountryID = "8.6E+01" }, "CountryId", rounded},

		{"rounded BM ID", func(j *tasks.Job) { j.Request.FacebookBmID = "3.93993E+08" }, "FacebookBmId", rounded},
		{"rounded BM ID with a comma", func(j *tasks.Job) { j.Request.FacebookBmID = "3,93993E+08" }, "FacebookBmId", rounded},
		{"BM ID with a point", func(j *tasks.Job) { j.Request.FacebookBmID = "393992929.0" }, "FacebookBmId", "must be digits only"},
		{"longest BM ID", func(j *tasks.Job) { j.Request.FacebookBmID = strings.Repeat("9", 32) }, "", ""},
		{"BM ID too long", func(j *tasks.Job) { j.Request.FacebookBmID = strings.Repeat("9", 33) }, "FacebookBmId", "must be at most 32 digits"},

		{"rounded resource group", func(j *tasks.Job) { j.Request.ResourceGroupID = "1E+11" }, "ResourceGroupId", rounded},
		{"terms by http", func(j *tasks.Job) { j.Request.IsvTerms = "http://a.com/1.pdf" }, "IsvTerms", "must be the https URL of the terms file"},
		{"terms by name", func(j *tasks.Job) { j.Request.IsvTerms = "terms.pdf" }, "IsvTerms", "must be the https URL of the terms file"},
		{"terms without host", func(j *tasks.Job) { j.Request.IsvTerms = "https:///1.pdf" }, "IsvTerms", "must be the https URL of the terms file"},
		{"audit is no", func(j *tasks.Job) { j.Request.IsConfirmAudit = "N" }, "", ""},
		{"audit is true", func(j *tasks.Job) { j.Request.IsConfirmAudit = "TRUE" }, "IsConfirmAudit", "must be Y or N"},

		{"query too long", func(j *tasks.Job) {
			j.Request.InstanceDescription, j.Request.OfficeAddress = strings.Repeat("渠", 512), strings.Repeat("渠", 512)
		}, "request", "takes more than 8000 bytes when encoded; shorten the longest parameters"},

		{"no ID", func(j *tasks.Job) { j.ID = "" }, "job_id", badID},
		{"ID with a space", func(j *tasks.Job) { j.ID = "order 7" }, "job_id", badID},
		{"ID too long", func(j *tasks.Job) { j.ID = strings.Repeat("x", 129) }, "job_id", badID},
		{"rounded ID", func(j *tasks.Job) { j.ID = "1.00000E+15" }, "job_id", rounded},
		{"ID that only looks rounded", func(j *tasks.Job) { j.ID = "7e10" }, "", ""},
		{"no account", func(j *tasks.Job) { j.Account = "" }, "account", badAccount},
		{"account with a slash", func(j *tasks.Job) { j.Account = "a/b" }, "account", badAccount},

		{"longest batch", func(j *tasks.Job) { j.Batch = strings.Repeat("批", 128) }, "", ""},
		{"batch too long", func(j *tasks.Job) { j.Batch = strings.Repeat("批", 129) }, "batch", "must be at most 128 characters long"},
		{"batch with an invisible character", func(j *tasks.Job) { j.Batch = "a\u200bb" }, "batch", "holds U+200B, which cannot be seen, as character 2; remove it"},
		{"batch on two lines", func(j *tasks.Job) { j.Batch = "a\nb" }, "batch", oneLine},

		{"high priority", func(j *tasks.Job) { j.Priority = tasks.PriorityHigh }, "", ""},
		{"unknown priority", func(j *tasks.Job) { j.Priority = "urgent" }, "priority", "must be high or normal; leave it out for normal"},
		{"priority on two lines", func(j *tasks.Job) { j.Priority = "hi\ngh" }, "priority", "must be high or normal; leave it out for normal"},

		{"no callback", func(j *tasks.Job) { j.CallbackURL = "" }, "", ""},
		{"callback by http", func(j *tasks.Job) { j.CallbackURL = "http://example.com/" }, "callback_url", "must be an https URL"},
		{"callback to a file", func(j *tasks.Job) { j.CallbackURL = "file:///etc/passwd" }, "callback_url", "must be an absolute URL, such as https://example.com/hook"},
		{"callback that is relative", func(j *tasks.Job) { j.CallbackURL = "/hook" }, "callback_url", "must be an absolute URL, such as https://example.com/hook"},
		{"callback without scheme", func(j *tasks.Job) { j.CallbackURL = "//example.com/hook" }, "callback_url", "must be an https URL"},
		{"callback with a password", func(j *tasks.Job) { j.CallbackURL = "https://u:p@example.com/" }, "callback_url", "must hold no user name or password"},
		{"callback on two lines", func(j *tasks.Job) { j.CallbackURL = "https://example.com/\r\nX: y" }, "callback_url", oneLine},
		{"callback too long", func(j *tasks.Job) { j.CallbackURL = "https://example.com/" + strings.Repeat("x", 2048) }, "callback_url", "must be at most 2048 bytes long"},

		{"20 metadata keys", func(j *tasks.Job) { j.Metadata = numbered(20) }, "", ""},
		{"21 metadata keys", func(j *tasks.Job) { j.Metadata = numbered(21) }, "metadata", "must have at most 20 keys"},
		{"metadata key with a space", func(j *tasks.Job) { j.Metadata = map[string]string{"crm id\n": "1"} }, "metadata", `the key "crm id\n" must be 1 to 40 of A-Z a-z 0-9 . _ -`},
		{"longest metadata value", func(j *tasks.Job) { j.Metadata = map[string]string{"k": strings.Repeat("é", 500)} }, "", ""},
		{"metadata value too long", func(j *tasks.Job) { j.Metadata = map[string]string{"k": strings.Repeat("é", 501)} }, "metadata.k", "must be at most 500 characters long"},
		{"metadata value on two lines", func(j *tasks.Job) { j.Metadata = map[string]string{"k": "a\nb"} }, "metadata.k", oneLine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			job := full()
			tt.change(&job)
			want := map[string]string{}
			if tt.reason != "" {
				want[tt.field] = tt.reason
			}
			if diff := cmp.Diff(want, reasons(t, job.Validate(tasks.Rules{}))); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func numbered(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("key", i)] = "x"
	}
	return m
}

func TestRulesCanBeMoved(t *testing.T) {
	rules := tasks.Rules{
		ChannelTypes: []string{"sms"}, MaxName: 3, MaxDescription: 4, AnyTerms: true, AllowPrivateCallbacks: true,
		AccountKnown: func(account string) bool { return account == "acme" },
	}
	job := tasks.Job{
		Account: "acme", CallbackURL: "http://10.0.0.1:8080/hook",
		Request: tasks.Request{ChannelType: "SMS", InstanceName: "abc", InstanceDescription: "abcd", OfficeAddress: "1234", IsvTerms: "terms.pdf"},
	}.Normalize()
	if err := job.Validate(rules); err != nil {
		t.Error(err)
	}
	job = tasks.Job{
		Account: "other", CallbackURL: "ftp://10.0.0.1/",
		Request: tasks.Request{ChannelType: "VIBER", InstanceName: "abcd", InstanceDescription: "abcde", OfficeAddress: "12345", IsvTerms: "a\nb"},
	}.Normalize()
	want := map[string]string{
		"account":             "names no configured account",
		"ChannelType":         `"VIBER" is not one of sms`,
		"InstanceName":        "must be at most 3 characters long",
		"InstanceDescription": "must be at most 4 characters long",
		"OfficeAddress":       "must be at most 4 characters long",
		"IsvTerms":            "must be on one line",
		"callback_url":        "must be an https URL",
	}
	if diff := cmp.Diff(want, reasons(t, job.Validate(rules))); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestEverythingWrongIsToldAtOnceInOneLineAndRepeatsNoValue(t *testing.T) {
	const secret = "s3cret\r\n"
	job := tasks.Job{
		ID: secret, Account: secret, Batch: secret, Priority: secret, CallbackURL: secret,
		Request: tasks.Request{
			ChannelType: "sms\n", InstanceName: secret, InstanceDescription: secret, ResourceGroupID: secret, OfficeAddress: secret,
			ContactMail: secret, CountryID: secret, FacebookBmID: secret, IsvTerms: secret, IsConfirmAudit: secret,
		},
		Metadata: map[string]string{"k": secret, "a b": secret},
	}
	err := job.Validate(tasks.Rules{})
	if got := len(reasons(t, err)); got != 17 {
		t.Errorf("%d faults are told, want 17: %v", got, err)
	}
	if text := err.Error(); strings.ContainsAny(text, "\r\n") || strings.Contains(text, "s3cret") {
		t.Errorf("the error repeats a value or is more than a line: %q", text)
	}
	const begin = "tasks: job is not valid: job_id: must be 1 to 128 of "
	if !strings.HasPrefix(err.Error(), begin) {
		t.Errorf("the error begins %.80q, want %q", err.Error(), begin)
	}
}
