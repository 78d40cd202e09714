package ledger_test

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// FuzzAJobComesBackAsItWasSent sends any valid job through every script that
// writes a record: what was put in comes out, the progress of its life too.
func FuzzAJobComesBackAsItWasSent(f *testing.F) {
	_, c := redistest.Mini(f)
	l := open(f, c, 0)
	in, err := enqueue.New(enqueue.Config{Redis: c, DataKeys: dataKey})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a", "march.csv", "one", "ana@example.com", "1 Main St\n2nd floor", "https://example.com/hook", "tenant", "7", "Busy", "später \"wieder\"", "i-1", int64(1767323045678), 1, "high")
	f.Add("A:b/c@d=+-._", "two words  and a tab", "名前 \U0001f600", "", "", "", "", "", "", "", "", int64(0), 0, "")
	f.Add("1", "", "<script>&\u2028", "", "\\n", "https://example.com/?q=%00", "k", " ", "\x00", "\u2029</", "\"", int64(-1), -1, "NORMAL ")
	f.Add("x", "1 held r 0 0 0 ", "'; DEL", "", "", "", ".", "{}", "null", "{}", "[]", int64(1<<40), 1<<40, " High")
	f.Fuzz(func(t *testing.T, id, batch, name, mail, address, url, key, value, code, message, instance string, firstTry int64, tries int, priority string) {
		j := tasks.Job{
			ID: id, Account: account, Batch: batch, CallbackURL: url, Priority: tasks.Priority(priority),
			Request: tasks.Request{ChannelType: "VIBER", InstanceName: name, ContactMail: mail, OfficeAddress: address},
		}
		if key != "" {
			j.Metadata = map[string]string{key: value}
		}
		if j = j.Normalize(); j.Validate(tasks.Rules{}) != nil || tries < 0 { // no count is below zero
			return
		}
		for _, s := range []string{code, message, instance} {
			if !utf8.ValidString(s) {
				return // no answer that was read holds such a text
			}
		}
		c.FlushAll(t.Context())
		if _, err := in.Create(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		r := get(t, l, j.ID)
		if diff := cmp.Diff(j, r.Job); diff != "" {
			t.Fatalf("the job is another (-sent +read):\n%s", diff)
		}

		r.Tries, r.Code, r.Message, r.Baseline = tries, code, message, &[]string{instance}
		r.Instance = &tasks.EventInstance{InstanceID: instance, InstanceName: name}
		r.FirstTry = time.UnixMilli(firstTry % (1 << 46)).UTC() // up to the year 4199
		r.Callback = tasks.CallbackProgress{State: tasks.CallbackOwed, Reason: code}
		for _, by := range []tasks.Step{tasks.StepBegin, tasks.StepSucceeded} {
			want := step(t, l, r, by)
			r = get(t, l, j.ID)
			want.Now = r.Now
			if diff := cmp.Diff(want, r); diff != "" {
				t.Fatalf("after %s the record is another (-written +read):\n%s", by, diff)
			}
		}
	})
}
