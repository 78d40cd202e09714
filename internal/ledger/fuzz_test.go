package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// head writes what the scripts write.
func head(r tasks.Record) string {
	at := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMilli()
	}
	return fmt.Sprintf("2 %s %s %d %d %d %s", r.State, r.Version, at(r.Since), at(r.Due), at(r.EnqueuedAt), r.Batch)
}

// record joins what stands in Redis.
func record(parts ...string) string { return strings.Join(parts, "\n") }

// FuzzDecode puts any bytes into a record's four parts. What cannot be read is
// said to be so, in one short line that repeats nothing of the request; what can
// be read is the same after it was written again.
func FuzzDecode(f *testing.F) {
	const secret = "Mx-mail@tenant.example"
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		f.Fatal(err)
	}
	l := &Ledger{keys: keys}
	ref := tasks.Ref{Account: "acme", ID: "a"}
	const whole = `{"t":"VIBER","n":"x","e":"` + secret + `","u":"https://hook.example/mx","m":{"k":"v"}}`
	const progress = `{"tries":1,"first_try":"2026-01-02T03:04:05.678Z","baseline":[],"instance":{"instance_id":"7"},"callback":{"state":"owed"}}`
	for _, head := range []string{
		"2 queued r 0 0 0 ", "2 calling xyz 1767323045678 1767323060678 1767323045000 march.csv", "2 held r 1 2 3 a b  c",
		"3 queued r 0 0 0 ", "1 queued r 0 0 0 ", "2", "", "2      ", "2 paused r 0 0 0 ", "2 created r -1 9223372036854775807 noon ", "2 failed r 00 +1 1e3 \x00\xff",
	} {
		f.Add(head, []byte(whole), true, progress, "")
	}
	f.Add("2 queued r 0 0 0 ", []byte(whole), false, "", "")
	f.Add("2 queued r 0 0 0 ", []byte{}, false, "{}", "")
	f.Add("2 queued r 0 0 0 ", []byte(`{"n":[]}`), true, `{"tries":"1"}`, "")
	f.Add("2 queued r 0 0 0 ", []byte(`null`), true, `{"baseline":null,"first_try":"0001-01-01T00:00:00Z"}`, "")
	f.Add("2 queued r 0 0 0 ", []byte(`{"m":{}}`), true, `{"candidates":[],"baseline":["7"]}`, "")
	f.Add("2 queued r 0 0 0 ", []byte(whole+"{}"), true, `[`, "")
	for _, priority := range []string{"high", "normal", "High", "high ", "urgent\x00" + strings.Repeat("!", 300)} {
		f.Add("2 queued r 0 0 0 ", []byte(whole), true, progress, priority)
	}
	addGolden(f)
	f.Fuzz(func(t *testing.T, text string, request []byte, sealed bool, progress, priority string) {
		field := request
		if sealed {
			if field, err = keys.Seal(request, ref.String()); err != nil {
				t.Fatal(err)
			}
		}
		p := split(record(text, priority, progress, string(field)))
		r, err := l.decode(ref, time.UnixMilli(1), p)
		if err != nil {
			line := err.Error()
			if !errors.Is(err, tasks.ErrUnreadable) || !strings.Contains(line, ref.String()) {
				t.Fatalf("%v does not wrap ErrUnreadable, or does not name the job", err)
			}
			if len(line) > 300 || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
				t.Fatalf("not one short line: %q", line)
			}
			if strings.Contains(line, secret) {
				t.Fatalf("the error repeats the request: %s", line)
			}
			if diff := cmp.Diff(tasks.Record{}, r); diff != "" {
				t.Fatalf("an error comes with a record:\n%s", diff)
			}
			return
		}
		if !slices.Contains(tasks.States(), r.State) || r.Ref() != ref {
			t.Fatalf("read as %q of %s", r.State, r.Ref())
		}
		if HeadState(p.head) != r.State {
			t.Fatalf("HeadState says %q, the record %q", HeadState(p.head), r.State)
		}
		if string(r.Priority) != p.priority || !r.Priority.Valid() {
			t.Fatalf("priority %q was read as %q", p.priority, r.Priority)
		}
		again, err := l.sealRequest(r.Job)
		if err != nil {
			t.Fatal(err)
		}
		noted, err := json.Marshal(r.Progress)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := l.decode(ref, r.Now, split(record(head(r), string(r.Priority), string(noted), string(again))))
		if err != nil {
			t.Fatalf("what was read and written again cannot be read: %v", err)
		}
		// No metadata is no metadata; but no baseline is not an empty one.
		if diff := cmp.Diff(r, twice, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("what was read and written again is another record:\n%s", diff)
		}
	})
}

// addGolden adds each golden record, and what a slip makes of it.
func addGolden(f *testing.F) {
	keys, err := seal.ParseKeys("Z29sZGVuIHJlY29yZHMgYXJlIHNlYWxlZCB3aXRoIGU=")
	if err != nil {
		f.Fatal(err)
	}
	for version := 1; version <= Version; version++ {
		text, err := os.ReadFile(fmt.Sprintf("testdata/records.v%d.json", version))
		if err != nil {
			f.Fatal(err)
		}
		var file struct {
			Records []struct {
				Name, Head, Priority, Progress string
				Sealed                         []byte
			}
		}
		if err := json.Unmarshal(text, &file); err != nil {
			f.Fatal(err)
		}
		for _, r := range file.Records {
			plain, err := keys.Open(r.Sealed, "acme/"+r.Name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(r.Head, plain, true, r.Progress, r.Priority)
			f.Add(r.Head, r.Sealed, false, r.Progress, r.Priority)
			for _, slip := range []func(string) string{
				func(s string) string { return s[:len(s)/2] },
				func(s string) string { return s + s },
				func(s string) string { return strings.Replace(s, "1", "-1", 1) },
				func(s string) string { return strings.Replace(s, "{", `{"later":1,`, 1) },
				func(s string) string { return strings.ToUpper(s) },
				func(s string) string { return strings.ReplaceAll(s, `"`, ``) },
			} {
				f.Add(slip(r.Head), plain, true, r.Progress, r.Priority)
				f.Add(r.Head, []byte(slip(string(plain))), true, r.Progress, r.Priority)
				f.Add(r.Head, plain, true, slip(r.Progress), r.Priority)
			}
		}
	}
}
