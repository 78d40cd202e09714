package cli

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/spreadsheet"
)

const withFaults = `ChannelType;InstanceName;job_id;metadata.note
VIBER;one;a;=1+1
SMS;two;b;'=2
VIBER;three;c
VIBER;fo"ur;d;s3cret
VIBER;five;e;+49 30;extra
VIBER;3/4/26;f;@home
VIBER;seven;g;fine
`

func TestRefusedRowsAreCorrectedInTheirOwnFileAndGivenBack(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", withFaults)
	code, out, errs := d.run("enqueue", "f.csv")
	said(t, "first", code, 1, out, `f.csv (ASCII, semicolons), batch f
  7  rows
  2  queued
  5  rejected: invalid (listed above)
  The rejected rows are in f.csv.rejected.csv, with reasons.
  Correct them there and run: camsq enqueue f.csv.rejected.csv

To follow the batch:  camsq status f
Row by row:           camsq results f.csv
`)
	if strings.Contains(out+errs, "s3cret") {
		t.Errorf("a row's text was printed: %s%s", out, errs)
	}
	const stray = `has a stray quotation mark, or one that is not closed, at byte 9; write a mark inside a quoted field twice ("")`
	want := "\ufeff" + `camsq_rejected;ChannelType;InstanceName;job_id;metadata.note
"line 3: ChannelType: ""SMS"" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER";SMS;two;b;''=2
"line 4: has 3 fields, but the header has 4; put a field that holds a semicolon in quotation marks";VIBER;three;c
"line 5: ` + strings.ReplaceAll(stray, `"`, `""`) + `";"VIBER;fo""ur;d;s3cret"
"line 6: has 5 fields, but the header has 4; put a field that holds a semicolon in quotation marks";VIBER;five;e;'+49 30;extra
"line 7: InstanceName: is a date, as a spreadsheet makes of names such as Mar-04; format the column as text and type it again";VIBER;3/4/26;f;'@home
`
	rejected := d.read("f.csv.rejected.csv")
	if diff := cmp.Diff(want, rejected); diff != "" {
		t.Fatalf("rejected rows (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(d.path("f.csv.rejected.csv")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}

	corrected := strings.NewReplacer(";SMS;two", ";VIBER;two", ";VIBER;three;c", ";VIBER;three;c;", `"VIBER;fo""ur;d;s3cret"`, "VIBER;four;d;s3cret", ";extra", "", "3/4/26", "Mar").Replace(rejected)
	d.write("f.csv.rejected.csv", corrected)
	code, out, errs = d.run("enqueue", "f.csv.rejected.csv")
	if code != 0 || errs != "" || !strings.Contains(out, "  5  rows\n  5  queued\n") {
		t.Errorf("given back: exit %d\n%s%s", code, out, errs)
	}
	if got := d.get("default", "b").Batch; got != "f" {
		t.Errorf("what is given back goes into batch %q", got)
	}
	for id, note := range map[string]string{"a": "=1+1", "b": "'=2", "c": "", "d": "s3cret", "e": "+49 30", "f": "@home"} {
		if got := d.get("default", id).Metadata["note"]; got != note {
			t.Errorf("job %s has the note %q, want %q", id, got, note)
		}
	}
}

func TestCorrectionsAreNotOverwritten(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", withFaults)
	d.run("enqueue", "--dry-run", "f.csv")
	made := d.read("f.csv.rejected.csv")
	d.run("enqueue", "f.csv")
	if slices.Contains(d.files(), "f.csv.rejected.csv~") {
		t.Error("what was written again the same was kept twice")
	}
	const kept = "  The earlier file of that name is now f.csv.rejected.csv~.\n"
	if _, out, _ := d.run("enqueue", "f.csv"); strings.Contains(out, kept) {
		t.Errorf("it says that the same was kept:\n%s", out)
	}
	d.write("f.csv.rejected.csv", "somebody's work")
	if _, out, _ := d.run("enqueue", "f.csv"); !strings.Contains(out, "camsq enqueue f.csv.rejected.csv\n"+kept) {
		t.Errorf("it does not say what was kept:\n%s", out)
	}
	if got := d.read("f.csv.rejected.csv~"); got != "somebody's work" || d.read("f.csv.rejected.csv") != made {
		t.Errorf("kept: %q", got)
	}

	d.write("g.csv", withFaults)
	if code, _, errs := d.run("enqueue", "--rejected", "bad rows.csv", "g.csv"); code != 1 || d.read("bad rows.csv") != made {
		t.Errorf("under another name: exit %d, %s", code, errs)
	}
	code, _, errs := d.run("enqueue", "--rejected", "no/such/place.csv", "g.csv")
	if code != exit.CodeWrite || !strings.Contains(errs, "cannot write the rejected rows of g.csv: --rejected: open ") {
		t.Errorf("where nothing can be written: exit %d, %s", code, errs)
	}
	code, _, errs = d.run("enqueue", "--rejected", "r.csv", "f.csv", "g.csv")
	said(t, "for two files", code, 2, errs, "camsq: --rejected is for one file; with several, each gets its own FILE.rejected.csv\n")
}

func TestManyBadRowsAreCountedByReasonAndListedInPart(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	var in strings.Builder
	in.WriteString("ChannelType,InstanceName,ContactMail\n")
	for i := range 60 {
		in.WriteString([]string{"VIBER,one,\n", "SMS,x" + strings.Repeat("x", i) + ",ana\n", "FAX,y" + strings.Repeat("y", i) + ",\n"}[i%3])
	}
	d.write("f.csv", in.String())
	code, out, errs := d.run("enqueue", "--dry-run", "f.csv")
	said(t, "report", code, 1, out, `f.csv (ASCII, commas), batch f
  60  rows
   1  valid and new
  19  same as an earlier row (noted above)
  40  rejected: invalid (listed above)
  Invalid rows by reason, and the first line of each:
    40  line 3: ChannelType: … is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER
    20  line 3: ContactMail: is not a mail address
  The rejected rows are in f.csv.rejected.csv, with reasons.
  Correct them there and run: camsq enqueue f.csv.rejected.csv

At 5 a second for account default, 1 create needs less than 1 s.
Nothing was sent.
`)
	if n := strings.Count(errs, "\n"); n != 20+19+1 || !strings.Contains(errs, "\n… more rejected rows; --list-all lists all of them\n") {
		t.Errorf("%d lines:\n%s", n, errs)
	}
	_, _, errs = d.run("enqueue", "--dry-run", "--list-all", "f.csv")
	if n := strings.Count(errs, "\n"); n != 40+19 {
		t.Errorf("--list-all: %d lines, want 59", n)
	}
	if n := strings.Count(d.read("f.csv.rejected.csv"), "\n"); n != 41 {
		t.Errorf("%d lines in the file of rejected rows, want 41", n)
	}
}

func TestAFileWithNamesOfItsOwnIsReadByMapAndSet(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", "Company,CRM,Sales\none,7,ann\n")
	flags := []string{"--map", "Company=InstanceName", "--map", "CRM=metadata.crm", "--set", "channel_type=viber", "--ignore-unknown"}
	code, out, errs := d.run(append([]string{"enqueue", "f.csv"}, flags...)...)
	said(t, "enqueue", code, 0, out+errs, `f.csv (ASCII, commas), batch f
  ignored columns: Sales
  1  row
  1  queued

To follow the batch:  camsq status f
Row by row:           camsq results f.csv --map Company=InstanceName --map CRM=metadata.crm --set channel_type=viber --ignore-unknown
`)
	code, out, errs = d.run(append([]string{"results", "f.csv"}, flags...)...)
	if code != 0 || !strings.Contains(out, "\ufeffCompany,CRM,Sales,job,") || !strings.Contains(out, "\none,7,ann,default/job_") || !strings.Contains(out, ",queued,") {
		t.Errorf("results: exit %d\n%s%s", code, out, errs)
	}
}

func TestFlagsThatCannotBeAreRefusedBeforeAnyFileIsRead(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", threeShops)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--map", "Company"}, `--map "Company": write the column's name in the file, =, and its name here: "Company=InstanceName"`},
		{[]string{"--map", "a=b=Instance"}, `--map: column "Instance" is not known; is it InstanceName? If not, remove it, or name it metadata.KEY to get it back with the result`},
		{[]string{"--map", "a=job_id", "--map", "a=account"}, `--map: column "a" is given twice`},
		{[]string{"--set", "ChannelType"}, `--set "ChannelType": write the column's name, =, and its value: ChannelType=VIBER`},
		{[]string{"--set", "ChanelType=VIBER"}, `--set: column "ChanelType" is not known; did you mean ChannelType?`},
		{[]string{"--set", "ChannelType=VIBER", "--set", "channel_type=x"}, "--set: ChannelType is given twice"},
		{[]string{"--set", "ChannelType=SMS"}, `--set: ChannelType "SMS" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER`},
		{[]string{"--set", `CountryId=a,"b`}, "--set: CountryId must be 1 to 6 digits, without a plus sign"},
		{[]string{"--encoding", "klingon"}, "--encoding klingon is not known; it may be utf-8, utf-16le, gb18030, big5, shift_jis, windows-1252 or another name of the WHATWG's list"},
		{[]string{"--delimiter", ",,"}, `--delimiter ",," must be one character that is no quotation mark and no line end, or comma, semicolon, tab or pipe`},
		{[]string{"-o", "x.csv"}, "-o is where --template writes; camsq results writes outcomes"},
		{[]string{"--template"}, "--template reads no file; -o names the one to write"},
	} {
		code, out, errs := d.run(append([]string{"enqueue", "f.csv"}, tt.args...)...)
		said(t, strings.Join(tt.args, " "), code, 2, out+errs, "camsq: "+tt.want+"\n")
	}
	for _, args := range [][]string{
		{"--set", "metadata.a==1", "--set", "CountryId=49"}, {"--delimiter", "comma", "--encoding", "UTF-8"}, {"--map", "job_id=job_id"},
	} {
		if code, out, errs := d.run(append([]string{"enqueue", "--dry-run", "f.csv"}, args...)...); code != 0 {
			t.Errorf("%q: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestFilesOfEveryFormAreTakenTogether(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, "instance_name\tchannel_type\r\none\tVIBER\r\n")
	_ = z.Close()
	d.write("march.csv.gz", packed.String())
	var book bytes.Buffer
	w, err := spreadsheet.NewBookWriter(&book)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write([]string{"ChannelType", "InstanceName"}), w.Write([]string{"VIBER", "two"}), w.Write([]string{"VIBER", "one"}), w.Close()); err != nil {
		t.Fatal(err)
	}
	code, out, errs := d.runWith(t.Context(), bytes.NewReader(book.Bytes()), "enqueue", "march.csv.gz", "-")
	said(t, "both", code, 0, out, `march.csv.gz (ASCII, tabs, gzip), batch march
  1  row
  1  queued

stdin (workbook, sheet "Sheet1"), batch stdin
  2  rows
  1  queued
  1  same as an earlier row (noted above)

To follow the batch:  camsq status march
To follow the batch:  camsq status stdin
Row by row:           camsq results march.csv.gz
`)
	said(t, "the twin", code, 0, errs, "stdin:3: note: same row as march.csv.gz:2; it is one job\n")
}

// A machine cannot tell these encodings apart, so a person must be able to.
func TestAGuessedEncodingIsShownByASample(t *testing.T) {
	t.Parallel()
	gbk := func(text string) string {
		out, err := simplifiedchinese.GB18030.NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const ascii = "ChannelType,InstanceName,metadata.shop\nVIBER,zero,none\n"
	for _, tt := range []struct {
		name, in, want string
		args           []string
		code           int
	}{
		{"a cell", ascii + gbk("VIBER,one,示例商店\nVIBER,two,上海\n"),
			"f.csv: note: read as GB18030; line 3 reads \"示例商店\". If that is wrong, give --encoding\n", nil, 0},
		{"a header", gbk("ChannelType,InstanceName,商店\nVIBER,one,上海\n"),
			"f.csv: note: read as GB18030; the header reads \"商店\". If that is wrong, give --encoding\n", []string{"--map", "商店=metadata.shop"}, 0},
		{"a long cell with a control character", ascii + gbk("VIBER,one,示\x1b[2J"+strings.Repeat("店", 50)+"\n"),
			"f.csv: note: read as GB18030; line 3 reads \"示 [2J" + strings.Repeat("店", 16) + "…\". If that is wrong, give --encoding\n" +
				"f.csv:3: metadata.shop: holds a control character; remove it\n", nil, 1},
		{"given", ascii + gbk("VIBER,one,示例商店\n"), "", []string{"--encoding", "gb18030"}, 0},
		{"a mark", "\x84\x31\x95\x33" + ascii + gbk("VIBER,one,示例商店\n"), "", nil, 0},
		{"UTF-8", ascii + "VIBER,one,示例商店\n", "", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newCLITest(t)
			d.write("f.csv", tt.in)
			for _, how := range [][]string{{"enqueue", "--dry-run", "f.csv"}, {"enqueue", "f.csv"}} {
				code, _, errs := d.run(append(how, tt.args...)...)
				said(t, strings.Join(how, " "), code, tt.code, errs, tt.want)
			}
		})
	}
}

func TestAnEncodingInDoubtComesWithTheFlag(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", "ChannelType,InstanceName\nVIBER,M\xfcller\n")
	code, _, errs := d.run("enqueue", "f.csv")
	said(t, "in doubt", code, 2, errs, `camsq: f.csv:2: the text is neither UTF-8 nor GB18030; give the encoding, such as windows-1252, or save it as .xlsx or as "CSV UTF-8" (--encoding NAME); nothing was queued`+"\n")
	code, out, errs := d.run("enqueue", "f.csv", "--encoding", "windows-1252")
	if code != 0 || !strings.HasPrefix(out, "f.csv (windows-1252, commas), batch f\n") || !strings.Contains(out, "camsq results f.csv --encoding windows-1252\n") {
		t.Errorf("given: exit %d\n%s%s", code, out, errs)
	}
}

func TestATemplateIsWrittenAndCanBeFilledIn(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	code, out, errs := d.run("enqueue", "--template")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "\ufeffChannelType,InstanceName,") || strings.Count(out, "\n") != 2 {
		t.Errorf("printed: exit %d, %s%s", code, out, errs)
	}
	for _, name := range []string{"t.csv", "t.xlsx"} {
		code, printed, errs := d.run("enqueue", "--template", "-o", name)
		said(t, name, code, 0, printed+errs, "")
		f, err := os.Open(d.path(name))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for row, err := range rowfile.Read(f, rowfile.Options{}) {
			lines = append(lines, strings.Join(row.Header, ","), err.Error())
		}
		_ = f.Close()
		header, _, _ := strings.Cut(strings.TrimPrefix(out, "\ufeff"), "\n")
		if diff := cmp.Diff([]string{header, "line 2: is the example row of the template; remove it"}, lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		code, printed, errs = d.run("enqueue", "--template", "-o", name)
		said(t, name+" again", code, 2, printed+errs, "camsq: -o "+name+" exists; name another file\n")
	}
	code, printed, errs := d.run("enqueue", "--template", "-o", "t.xls")
	said(t, "another form", code, 2, printed+errs, "camsq: -o t.xls: the name must end in .csv or .xlsx, which says what is written\n")
}

func TestResultsAreWrittenInTheFormThatTheNameAsksFor(t *testing.T) {
	t.Parallel()
	d := mixedOutcomes(t)
	code, out, errs := d.run("results", "mixed.csv", "--only", "created,failed", "-o", "out.jsonl")
	said(t, "JSON lines", code, 0, out+errs, "3 rows of mixed.csv written to out.jsonl.\n")
	want := []string{
		`{"row":{"instance_name":"one","ChannelType":"VIBER","job_id":"a","OfficeAddress":"1 Main St","metadata.note":"=1+1"},"job":"default/a","state":"created","instance_id":"i-1","code":"OK","message":"","request_id":"R-a","tries":"1","finished_at":"TIME","callback":"delivered"}`,
		`{"row":{"instance_name":"two","ChannelType":"viber","job_id":"b","OfficeAddress":"with\na break","metadata.note":""},"job":"default/b","state":"failed","instance_id":"","code":"Bad","message":"=the name is taken","request_id":"R-b","tries":"1","finished_at":"TIME","callback":""}`,
	}
	lines := strings.Split(strings.TrimSpace(scrub(d.read("out.jsonl"))), "\n")
	if diff := cmp.Diff(append(want, want[0]), lines); diff != "" {
		t.Errorf("JSON lines (-want +got):\n%s", diff)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}

	_, text, _ := d.run("results", "mixed.csv")
	code, out, errs = d.run("results", "mixed.csv", "-o", "out.xlsx")
	said(t, "workbook", code, 0, out+errs, "11 rows of mixed.csv written to out.xlsx.\n")
	if diff := cmp.Diff(tableOf(t, strings.NewReader(text), spreadsheet.Unguard), tableOf(t, strings.NewReader(d.read("out.xlsx")), nil)); diff != "" {
		t.Errorf("the workbook differs from the text (-text +workbook):\n%s", diff)
	}

	code, out, errs = d.run("results", "mixed.csv", "-o", "out.xls")
	said(t, "another form", code, 2, out+errs, "camsq: -o out.xls: the name must end in .csv (or .txt), .xlsx or .jsonl (or .ndjson), which says what is written\n")
	code, out, errs = d.run("results", "mixed.csv", "--only", "created", "-o", "out.txt")
	said(t, "text", code, 0, out+errs, "2 rows of mixed.csv written to out.txt.\n")
	if got := d.read("out.txt"); strings.Count(got, ",created,") != 2 {
		t.Errorf("out.txt:\n%s", got)
	}
	d.write("semicolons.csv", "ChannelType;InstanceName;job_id\nVIBER;another;h\n")
	_, out, _ = d.run("results", "semicolons.csv")
	if !strings.HasPrefix(out, "\ufeffChannelType;InstanceName;job_id;job;state;") {
		t.Errorf("the results have other separators than the file: %s", out)
	}
}

// tableOf reads a table without its empty cells at the end of rows.
func tableOf(t *testing.T, r io.Reader, change func(string) string) (rows [][]string) {
	t.Helper()
	table, err := spreadsheet.Open(r, spreadsheet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range row.Cells {
			if change != nil {
				row.Cells[i] = change(c)
			}
		}
		for n := len(row.Cells); n > 0 && row.Cells[n-1] == ""; n-- {
			row.Cells = row.Cells[:n-1]
		}
		rows = append(rows, row.Cells)
	}
}

func TestWhatWasQueuedBeforeABadPlaceIsNamed(t *testing.T) {
	t.Parallel()
	const head = "ChannelType,InstanceName\n"
	rows := many(600)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, rows)
	_ = z.Flush()
	for _, tt := range []struct{ name, content, place string }{
		{"a NUL byte", rows + "VIBER,\x00,x\n", "602: the file holds a NUL byte here: it is binary, or damaged"},
		{"gzip that is cut off", packed.String(), "602: the gzip file is cut off here; get it once more, whole"},
		{"a long line", rows + "VIBER," + strings.Repeat("x", 3<<20), "602: the row that begins here is longer than 1 MiB; is there a quotation mark that is not closed?"},
		{"empty lines", rows + strings.Repeat("\n", 10_000_000), "602: more than 1048576 blank rows begin here; cut them off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newCLITest(t)
			d.write("good.csv", head+"VIBER,one\n")
			d.write("f.csv", tt.content)
			code, out, errs := d.run("enqueue", "good.csv", "f.csv")
			said(t, "complaint", code, 2, errs, "camsq: f.csv:"+tt.place+"; what is counted above is queued; send the file again, no job is made twice\n")
			if !strings.Contains(out, "  600  rows\n  600  queued\n") || len(d.jobs()) != 601 {
				t.Errorf("%d jobs, and\n%s", len(d.jobs()), out)
			}
		})
	}
}

func TestTheHintForRefusedRowsHasTheFlagsThatTheyNeed(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("my file.csv", "\ufeffCompany;Type\none;SMS\n")
	_, out, _ := d.run("enqueue", "my file.csv", "--map", "Company=InstanceName", "--map", "Type=ChannelType", "--delimiter", ";", "--encoding", "utf-8")
	const want = "camsq enqueue 'my file.csv.rejected.csv' --map Company=InstanceName --map Type=ChannelType\n"
	if !strings.Contains(out, want) {
		t.Errorf("the hint is not %s in\n%s", want, out)
	}
	d.write("my file.csv.rejected.csv", strings.Replace(d.read("my file.csv.rejected.csv"), ";SMS", ";VIBER", 1))
	if code, out, errs := d.run("enqueue", "my file.csv.rejected.csv", "--map", "Company=InstanceName", "--map", "Type=ChannelType"); code != 0 || !strings.Contains(out, ", batch my file\n") {
		t.Errorf("given back: exit %d\n%s%s", code, out, errs)
	}
}

// Rows that look the same are one job, and the report says so: the missing one cannot be seen.
func TestRowsThatDifferInWhatCannotBeSeenAreReportedAsOne(t *testing.T) {
	t.Parallel()
	const rows = "ChannelType,InstanceName,CountryId\n" +
		"VIBER,acme,\nVIBER,acme\u200b,\nVIBER,\ufeffacme,\nVIBER,ac\u00adme,\nVIBER,\u200eacme,\nVIBER,acme,\n" +
		"VIBER,Café  Süd,\nVIBER,Cafe\u0301\u00a0Su\u0308d,\nVIBER,Café  Süd,\nVIBER,ACME,\nVIBER,\u3000acme,49\n"
	const complaints = `f.csv:3: note: same row as line 2, whose name differs only in what cannot be seen: here it is "acme\u200b"; it is one job
f.csv:4: note: same row as line 2, whose name differs only in what cannot be seen: here it is "\ufeffacme"; it is one job
f.csv:5: InstanceName: holds U+00AD, which cannot be seen, as character 3; remove it
f.csv:6: note: same row as line 2, whose name differs only in what cannot be seen: here it is "\u200eacme"; it is one job
f.csv:7: note: same row as line 2; it is one job
f.csv:9: note: same row as line 8, whose name differs only in what cannot be seen: here it is "Cafe\u0301\u00a0Su\u0308d"; it is one job
f.csv:10: note: same row as line 8; it is one job
f.csv:12: same job as line 2 (default/job_mlrjjoaiyolan5fashyncrrzei), whose name differs only in what cannot be seen: here it is "\u3000acme", but another request; correct one of the two, or give it a job_id of its own
`
	for _, args := range [][]string{{"enqueue", "f.csv"}, {"enqueue", "--dry-run", "f.csv"}} {
		d := newCLITest(t)
		d.write("f.csv", rows)
		code, _, errs := d.run(args...)
		if !strings.HasPrefix(errs, complaints) || code != 1 {
			t.Errorf("%v: code %d\n%s\nwant\n%s", args, code, errs, complaints)
		}
		if n := len(d.jobs()); args[1] == "f.csv" && n != 3 {
			t.Errorf("%d jobs are queued, want 3", n)
		}
	}
}
