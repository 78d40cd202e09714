package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/tasks"
)

const mixed = `instance_name,ChannelType,job_id,OfficeAddress,metadata.note
one,VIBER,a,1 Main St,=1+1
two,viber,b,"with
a break",
three,VIBER,c,,@x
four,SMS,d,,+x
five,VIBER,e
six,VIBER,f,,
seven,VIBER,g,,-x
eight,VIBER,h,,
nine,VIBER,i,2,Main St,
ten,VI"BER,j,,
one,VIBER,a,1 Main St,=1+1
`

// mixedOutcomes has the rows above, most of them enqueued, in many states.
func mixedOutcomes(t *testing.T) *cliTest {
	d := newCLITest(t)
	d.write("mixed.csv", mixed)
	d.write("old.csv", "ChannelType,InstanceName,job_id\nVIBER,another,h\n")
	d.run("enqueue", "old.csv")
	d.run("enqueue", "mixed.csv")
	d.succeed("default", "a", "i-1")
	d.setCallback("default", "a", tasks.CallbackProgress{State: tasks.CallbackDelivered})
	d.reject("default", "b", "Bad", "=the name is taken")
	d.hold("default", "c")
	d.setCallback("default", "c", tasks.CallbackProgress{State: tasks.CallbackOwed})
	d.startCall("default", "f")
	d.mini.Del("camsq:{provision:default}:job:g")
	return d
}

func TestResultsAreTheRowsInTheirOrderWithTheirOutcomes(t *testing.T) {
	t.Parallel()
	d := mixedOutcomes(t)
	code, out, errs := d.run("results", "mixed.csv")
	said(t, "results", code, 0, scrub(out)+errs, "\ufeff"+`instance_name,ChannelType,job_id,OfficeAddress,metadata.note,job,state,instance_id,code,message,request_id,tries,finished_at,callback
one,VIBER,a,1 Main St,'=1+1,default/a,created,i-1,OK,,R-a,1,TIME,delivered
two,viber,b,"with
a break",,default/b,failed,,Bad,'=the name is taken,R-b,1,TIME,
three,VIBER,c,,'@x,default/c,held,,camsq.SeveralInstances,several instances of that name,,1,,owed
four,SMS,d,,'+x,,rejected,,,"line 6: ChannelType: ""SMS"" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER",,,,
five,VIBER,e,,,,rejected,,,"line 7: has 3 fields, but the header has 5; put a field that holds a comma in quotation marks",,,,
six,VIBER,f,,,default/f,calling,,,,,1,,
seven,VIBER,g,,'-x,default/g,unknown,,,,,,,
eight,VIBER,h,,,default/h,conflict,,,job default/h is there (queued) with another request,,,,
nine,VIBER,i,2,Main St,,rejected,,,"line 11: has 6 fields, but the header has 5; put a field that holds a comma in quotation marks",,,,
,,,,,,rejected,,,"line 12: has a stray quotation mark, or one that is not closed, at byte 7; write a mark inside a quoted field twice ("""")",,,,
one,VIBER,a,1 Main St,'=1+1,default/a,created,i-1,OK,,R-a,1,TIME,delivered
`)
}

func TestOnlyChoosesRowsByState(t *testing.T) {
	t.Parallel()
	d := mixedOutcomes(t)
	for only, want := range map[string]string{
		"created":                     "one one",
		"rejected,unknown":            "four five seven nine ",
		"unfinished":                  "three six",
		"held, conflict":              "three eight",
		"cancelled":                   "",
		"queued":                      "",
		"created,rejected,unfinished": "one three four five six nine  one",
	} {
		code, out, errs := d.run("results", "mixed.csv", "--only", only)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || code != 0 || errs != "" {
			t.Fatalf("%s: exit %d, %q, %v", only, code, errs, err)
		}
		var names []string
		for _, row := range rows[1:] {
			names = append(names, row[0])
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("--only %s: %q, want %q", only, got, want)
		}
	}
	code, out, errs := d.run("results", "mixed.csv", "--only", "done")
	said(t, "unknown state", code, 2, out+errs, "camsq: --only: \"done\" is not one of unfinished, queued, calling, uncertain, held, created, failed, cancelled, unreadable, unknown, conflict, rejected\n")
}

func TestNoCellBecomesAFormula(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", many(1))
	d.run("enqueue", "f.csv")
	d.reject("default", "j0", "@Code", "=HYPERLINK(1)")
	_, out, _ := d.run("results", "f.csv")
	if !strings.Contains(out, ",'@Code,'=HYPERLINK(1),") {
		t.Errorf("what the API answered is not neutralised: %s", out)
	}
}

func TestResultsOfManyRowsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	var in strings.Builder
	in.WriteString("ChannelType,InstanceName,job_id,account\n")
	for i := range 1300 {
		fmt.Fprintf(&in, "VIBER,shop %d,j%d,%s\n", i, i, []string{"eu", "", "default"}[i%3])
	}
	d.write("f.csv", in.String())
	d.run("enqueue", "f.csv")
	for _, args := range [][]string{{"results", "f.csv"}, {"results", "-"}} {
		_, out, _ := d.runWith(t.Context(), strings.NewReader(in.String()), args...)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || len(rows) != 1301 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for i, row := range rows[1:] {
			want := fmt.Sprintf("%s/j%d queued", []string{"eu", "default", "default"}[i%3], i)
			if got := row[4] + " " + row[5]; got != want {
				t.Fatalf("row %d: %s, want %s", i, got, want)
			}
		}
	}
}

func TestResultsFindTheJobsOfTheAccountThatTheFileWasSentTo(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	d.write("f.csv", many(1))
	_, out, _ := d.run("enqueue", "--account", "eu", "f.csv")
	if !strings.Contains(out, "camsq results f.csv --account eu\n") {
		t.Errorf("the hint leads elsewhere:\n%s", out)
	}
	_, out, _ = d.run("results", "f.csv", "--account", "eu")
	if !strings.Contains(out, ",eu/j0,queued,") {
		t.Errorf("results: %s", out)
	}
}

func TestAResultFileIsThereOnceItIsComplete(t *testing.T) {
	t.Parallel()
	d := mixedOutcomes(t)
	_, want, _ := d.run("results", "mixed.csv")
	code, out, errs := d.run("results", "mixed.csv", "-o", "out.csv")
	said(t, "printed", code, 0, out+errs, "11 rows of mixed.csv written to out.csv.\n")
	if got := d.read("out.csv"); got != want {
		t.Errorf("the file differs from what is printed:\n%s", cmp.Diff(want, got))
	}
	if info, err := os.Stat(d.path("out.csv")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
	before := d.files()

	code, _, errs = d.run("results", "mixed.csv", "-o", "mixed.csv")
	said(t, "over the input", code, 2, errs, "camsq: -o mixed.csv is the input itself; name another file\n")
	code, _, errs = d.run("results", "mixed.csv", "-o", "no/such/place.csv")
	if code != 2 || !strings.HasPrefix(errs, "camsq: -o: ") {
		t.Errorf("a folder that is not there: exit %d, %s", code, errs)
	}
	d.write("bad.csv", "ChannelType,Name\nVIBER,a\n")
	code, out, errs = d.run("results", "bad.csv", "-o", "out.csv")
	said(t, "bad header", code, 2, out+errs, `camsq: bad.csv:1: column 2 "Name" is not known; is it InstanceName? If not, remove it, or name it metadata.KEY to get it back with the result (or give it a known name: --map Name=NAME; or leave out what is not known: --ignore-unknown)`+"\n")
	if got := d.read("out.csv"); got != want {
		t.Error("a file that cannot be understood has replaced the results")
	}
	if diff := cmp.Diff(append(before, "bad.csv"), d.files(), cmp.Transformer("sort", sorted)); diff != "" {
		t.Errorf("files left behind (-want +got):\n%s", diff)
	}
	if d.read("mixed.csv") != mixed {
		t.Error("the input has changed")
	}
}

func sorted(names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

func TestAFileThatBreaksOffStillGetsTheResultsBeforeIt(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", "ChannelType,InstanceName,job_id\nVIBER,one,a\nVIBER,\"two,b\nVIBER,three,c\n")
	d.run("enqueue", "f.csv")
	code, out, errs := d.run("results", "f.csv", "-o", "out.csv")
	said(t, "complaint", code, 2, out+errs, "1 row of f.csv written to out.csv.\ncamsq: f.csv:3: the row has a stray quotation mark, or one that is not closed; from here to its end the file was not read; the rows before it are written\n")
	if got := d.read("out.csv"); strings.Count(got, "\n") != 2 || !strings.Contains(got, ",default/a,queued,") {
		t.Errorf("results:\n%s", got)
	}
}

func TestResultsNeedOneFile(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	for _, args := range [][]string{{"results"}, {"results", "a.csv", "b.csv"}} {
		code, out, errs := d.run(args...)
		said(t, "complaint", code, 2, out+errs, "camsq: results needs one file, the one that was enqueued, or - for standard input\n")
	}
}

func TestResultsEndWhenRedisGoesAwayThoughMoreRowsMayCome(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	silent, hold := io.Pipe()
	defer hold.Close()
	in := io.MultiReader(then(d.mini.Close), strings.NewReader(many(600)), silent)
	code, out, errs := d.runWith(t.Context(), in, "results", "-")
	if code != 3 || out != "" || !strings.HasPrefix(errs, "camsq: Redis stopped answering; the results are not complete: ") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}

// fullDisk fails each write as a file on a full disk does.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
}

func TestAFullDiskIsExitCode4AndNamesWhatWasWritten(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("one.csv", "ChannelType,InstanceName,job_id\nVIBER,acme,a\n")
	if code, out, errs := d.run("enqueue", "one.csv"); code != exit.CodeOK {
		t.Fatalf("enqueue: exit %d\n%s%s", code, out, errs)
	}
	d.reject("default", "a", "InvalidParameter.X", "no")
	for what, args := range map[string][]string{
		"the template": {"enqueue", "--template"},
		"the results":  {"results", "one.csv"},
		"the list":     {"failed", "--json"},
	} {
		var errs strings.Builder
		code := d.runTo(t.Context(), nil, fullDisk{}, &errs, args...)
		said(t, what, code, exit.CodeWrite, errs.String(), "camsq: cannot write "+what+" to standard output: no space left on device\n")
	}
	for _, args := range [][]string{
		{"version"}, {"status"}, {"status", "--json"}, {"status", "a"}, {"failed"}, {"held"}, {"pause", "default"}, {"resume", "default"},
		{"enqueue", "one.csv"}, {"enqueue", "--dry-run", "one.csv"}, {"help"}, {"enqueue", "--help"}, {"retry", "a"},
	} {
		var errs strings.Builder
		code := d.runTo(t.Context(), nil, fullDisk{}, &errs, args...)
		said(t, strings.Join(args, " "), code, exit.CodeWrite, errs.String(), "camsq: cannot write the output to standard output: no space left on device\n")
	}
	// What is worse than that keeps its code.
	for _, tt := range []struct {
		code int
		args []string
	}{
		{exit.CodeUsage, []string{"status", "--no-such-flag"}},
	} {
		var errs strings.Builder
		if code := d.runTo(t.Context(), nil, fullDisk{}, &errs, tt.args...); code != tt.code {
			t.Errorf("camsq %q: exit %d, want %d: %s", tt.args, code, tt.code, &errs)
		}
	}
}
