package rowfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/tasks"
)

// read returns what a file comes to, one line for each element: "3 name" for a
// row, or the error's text.
func read(r io.Reader, opts rowfile.Options) []string {
	got := []string{}
	for row, err := range rowfile.Read(r, opts) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, fmt.Sprintf("%d %s", row.Line, row.Job.Request.InstanceName))
	}
	return got
}

func TestEachRowIsAJobOrAnErrorAtItsLine(t *testing.T) {
	const mail = "ChannelType,InstanceName,ContactMail\n"
	for _, tt := range []struct {
		name string
		in   string
		want []string
	}{
		{"two rows", mail + "VIBER,one,\nviber,two,b@example.com\n", []string{"2 one", "3 two"}},
		{"no line end at the end", mail + "VIBER,one,", []string{"2 one"}},
		{"Windows line ends", "ChannelType,InstanceName\r\nVIBER,one\r\n\r\nVIBER,two\r\n", []string{"2 one", "4 two"}},
		{"byte order mark", "\ufeff" + mail + "VIBER,one,\n", []string{"2 one"}},
		{"a second mark, and a space that is none", "\ufeff\ufeffChannelType,InstanceName\u200b\nVIBER,one\n", []string{"2 one"}},
		{"byte order mark before a quoted name", "\ufeff\"ChannelType\",InstanceName\nVIBER,one\n", []string{"2 one"}},
		{"blank rows", "\n" + mail + "\n,,\nVIBER,one,\n  \n , ,\nVIBER,two,\n\n", []string{"5 one", "8 two"}},
		{
			"line breaks in quotes are counted",
			"ChannelType,InstanceName,OfficeAddress\nVIBER,one,\"1 Main St\r\nSpringfield\"\nVIBER,two,\"a\n\nb\"\nVIBER,three,\n",
			[]string{"2 one", "4 two", "7 three"},
		},
		{"commas and quotes in quotes", mail + `VIBER,"a, ""b""",` + "\n", []string{`2 a, "b"`}},
		{
			"a bad row does not stop the next", mail + "VIBER,one,ana\nVIBER,two,\nSMS,,ana\nVIBER,four,\n",
			[]string{
				"t.csv:2: ContactMail: is not a mail address", "3 two",
				`t.csv:4: ChannelType: "SMS" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER; InstanceName: is required; ContactMail: is not a mail address`,
				"5 four",
			},
		},
		{
			"too few and too many fields", mail + "VIBER\nVIBER,two,,\nVIBER,three,\n",
			[]string{
				"t.csv:2: has 1 field, but the header has 3; put a field that holds a comma in quotation marks",
				"t.csv:3: has 4 fields, but the header has 3; put a field that holds a comma in quotation marks",
				"4 three",
			},
		},
		{
			"a bare quote", mail + "VIBER,5\" pizza,\nVIBER,two,\n",
			[]string{`t.csv:2: has a stray quotation mark, or one that is not closed, at byte 8; write a mark inside a quoted field twice ("")`, "3 two"},
		},
		{
			"text after a closing quote", mail + "VIBER,\"one\" x,\nVIBER,two,\n",
			[]string{`t.csv:2: has a stray quotation mark, or one that is not closed, at byte 11; write a mark inside a quoted field twice ("")`, "3 two"},
		},
		{
			"an open quote swallows rows until the next mark, and says which", mail + "VIBER,\"one,\nVIBER,two,\nVIBER,\"three\",\nVIBER,four,\n",
			[]string{"t.csv:2: has a stray quotation mark, or one that is not closed; lines 2 to 4 were not read", "5 four"},
		},
		{
			"an open quote swallows the rest", mail + "VIBER,one,\nVIBER,\"two,\nVIBER,three,\n",
			[]string{"2 one", "t.csv:3: the row has a stray quotation mark, or one that is not closed; from here to its end the file was not read"},
		},
		{
			"Latin-1 under the mark of UTF-8", "\ufeff" + mail + "VIBER,M\xfcller,\nVIBER,two,\n",
			[]string{"t.csv:2: InstanceName: is not valid UTF-8; save the source as UTF-8", "3 two"},
		},
		{
			"a number that a spreadsheet has rounded", "ChannelType,InstanceName,facebook_bm_id\nMESSENGER,one,3.93993E+08\n",
			[]string{"t.csv:2: facebook_bm_id: looks like a number that a spreadsheet has rounded; format the column as text"},
		},
		{
			"a column without a name", "ChannelType,InstanceName,,\nVIBER,one,,\nVIBER,two,,x\n",
			[]string{"2 one", "t.csv:3: has a value in column 4, which has no name"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":      strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				if diff := cmp.Diff(tt.want, read(r, rowfile.Options{File: "t.csv"})); diff != "" {
					t.Errorf("read %s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestAFileThatCannotBeUnderstoodIsRefusedInOneLine(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
	}{
		{"empty", "", "t.csv:1: the file is empty; its first row must name the columns"},
		{"blank", "\r\n\n", "t.csv:1: the file is empty; its first row must name the columns"},
		{"a mark alone", "\ufeff", "t.csv:1: the file is empty; its first row must name the columns"},
		{"header only", "\nChannelType,InstanceName\n", "t.csv:2: the file has a header but no rows"},
		{"header and blank rows", "ChannelType,InstanceName\n,\n\n", "t.csv:1: the file has a header but no rows"},
		{"a typo", "ChannelType,InstanceName,ContactMial\nVIBER,a,\n", `t.csv:1: column 3 "ContactMial" is not known; did you mean ContactMail?`},
		{"a typo in snake case", "channel_type,instance_nam\n", `t.csv:1: column 2 "instance_nam" is not known; did you mean InstanceName?`},
		{"a space for an underscore", "Channel Type,InstanceName\n", `t.csv:1: column 1 "Channel Type" is not known; did you mean ChannelType?`},
		{"an unknown column", "ChannelType,InstanceName,Salesperson\n", `t.csv:1: column 3 "Salesperson" is not known; remove it, or name it metadata.KEY to get it back with the result`},
		{"a long unknown column", "ChannelType," + strings.Repeat("x", 5000) + "\n", `t.csv:1: column 2 "` + strings.Repeat("x", 60) + `…" is not known; remove it, or name it metadata.KEY to get it back with the result`},
		{"a column twice", "ChannelType,InstanceName,channel_type\n", `t.csv:1: column 3 "channel_type" is the same as column 1; remove one`},
		{"a metadata column twice", "ChannelType,metadata.a,InstanceName,Metadata.a\n", `t.csv:1: column 4 "Metadata.a" is the same as column 2; remove one`},
		{"a metadata key with a space", "ChannelType,InstanceName,metadata.crm id\n", `t.csv:1: column 3 "metadata.crm id" must be metadata. and 1 to 40 of A-Z a-z 0-9 . _ -`},
		{"metadata without a key", "ChannelType,InstanceName,metadata.\n", `t.csv:1: column 3 "metadata." is not known; remove it, or name it metadata.KEY to get it back with the result`},
		{"no instance name", "ChannelType,ContactMail\nVIBER,a@example.com\n", "t.csv:1: the header has no column InstanceName"},
		{"no required column", "ContactMail,\n", "t.csv:1: the header has no column ChannelType and no column InstanceName"},
		{"no header", "ana@example.com,VIBER,one\n", "t.csv:1: the first row names no known column; it must be a header, such as ChannelType,InstanceName"},
		{"Latin-1", "ChannelType,InstanceName,metadata.gr\xfc\xdfe\n", `t.csv:1: the text is neither UTF-8 nor GB18030; give the encoding, such as windows-1252, or save it as .xlsx or as "CSV UTF-8"`},
		{"a mark of another encoding", "\ufeffChannelType,InstanceName,metadata.gr\xfc\xdfe\n", "t.csv:1: the header holds characters that do not fit its encoding; give the encoding, or save the file as CSV UTF-8"},
		{"the beginning of a workbook", "PK\x03\x04\x14\x00", "t.csv:1: the workbook is damaged or cut off here; save it again"},
		{"a stray quote in the header", "Channel\"Type,InstanceName\n", `t.csv:1: the header has a stray quotation mark, or one that is not closed, at byte 8; write a mark inside a quoted field twice ("")`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tt.want}, read(strings.NewReader(tt.in), rowfile.Options{File: "t.csv"})); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			for _, err := range rowfile.Read(strings.NewReader(tt.in), rowfile.Options{}) {
				if _, ok := errors.AsType[*rowfile.FileError](err); !ok {
					t.Errorf("the error is a %T", err)
				}
			}
		})
	}
}

func TestColumnsAreFoundHoweverTheyAreWritten(t *testing.T) {
	const in = "instance_name, CHANNELTYPE ,instanceDescription,resource_group_id,Office_Address,contactmail,COUNTRY_ID,facebookbmid,isv_terms,IsConfirmAudit," +
		"Job_ID,Account,PRIORITY,CallbackURL,metadata.crm_ID,METADATA.Team\n" +
		" one , viber,about,rg-1,1 Main St,a@example.com,0049,393992929,https://a.com/1.pdf,y, order-7 ,acme, High ,https://example.com/hook,\" 42 \",\n"
	want := tasks.Job{
		ID: "order-7", Account: "acme", Batch: "march", Priority: tasks.PriorityHigh, CallbackURL: "https://example.com/hook",
		Request: tasks.Request{
			ChannelType: "VIBER", InstanceName: "one", InstanceDescription: "about", ResourceGroupID: "rg-1", OfficeAddress: "1 Main St",
			ContactMail: "a@example.com", CountryID: "0049", FacebookBmID: "393992929", IsvTerms: "https://a.com/1.pdf", IsConfirmAudit: "Y",
		},
		Metadata: map[string]string{"crm_ID": " 42 "},
	}
	for row, err := range rowfile.Read(strings.NewReader(in), rowfile.Options{Account: "other", Batch: "march"}) {
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, row.Job); diff != "" {
			t.Errorf("job (-want +got):\n%s", diff)
		}
	}
}

func TestARowWithoutAnAccountGetsTheFilesOrTheDefault(t *testing.T) {
	const in = "ChannelType,InstanceName,account\nVIBER,one,\nVIBER,two,acme\n"
	for _, tt := range []struct {
		given string
		want  []string
	}{{"", []string{"default", "acme"}}, {"eu", []string{"eu", "acme"}}} {
		var got []string
		for row, err := range rowfile.Read(strings.NewReader(in), rowfile.Options{Account: tt.given}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Job.Account)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("accounts with %q given (-want +got):\n%s", tt.given, diff)
		}
	}
}

func TestARowWithoutAPriorityGetsTheFilesAndOneWithItKeepsIt(t *testing.T) {
	const in = "ChannelType,InstanceName,priority\nVIBER,one,\nVIBER,two,normal\nVIBER,three,HIGH\nVIBER,four, \n"
	for given, want := range map[tasks.Priority][]tasks.Priority{
		"":        {"", "", "high", ""},
		"normal":  {"", "", "high", ""},
		" High\n": {"high", "", "high", "high"},
	} {
		var got []tasks.Priority
		for row, err := range rowfile.Read(strings.NewReader(in), rowfile.Options{Priority: given}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Job.Priority)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("priorities with %q given (-want +got):\n%s", given, diff)
		}
	}
	const bad = "ChannelType,InstanceName,Priority\nVIBER,one,urgent\nVIBER,two,1\n"
	const reason = "must be high or normal; leave it out for normal"
	want := []string{"t.csv:2: Priority: " + reason, "t.csv:3: Priority: " + reason}
	if diff := cmp.Diff(want, read(strings.NewReader(bad), rowfile.Options{File: "t.csv"})); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestEveryRowKeepsItsCellsAsTheyAreWritten(t *testing.T) {
	const in = "\ufeffinstance_name, ChannelType ,\n one ,viber,\n,SMS,\nVIBER\n\"two\nlines\",VIBER,,x\nVIBER,a\"b,\nlast,viber,\n"
	header := []string{"instance_name", " ChannelType ", ""}
	want := []rowfile.Row{
		{Line: 2, Header: header, Cells: []string{" one ", "viber", ""}, Name: " one "},
		{Line: 3, Header: header, Cells: []string{"", "SMS", ""}},
		{Line: 4, Header: header, Cells: []string{"VIBER"}},
		{Line: 5, Header: header, Cells: []string{"two\nlines", "VIBER", "", "x"}},
		{Line: 7, Header: header, Raw: `VIBER,a"b,`},
		{Line: 8, Header: header, Cells: []string{"last", "viber", ""}, Name: "last"},
	}
	var got []rowfile.Row
	for row := range rowfile.Read(strings.NewReader(in), rowfile.Options{}) {
		row.Job = tasks.Job{}
		got = append(got, row)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestTheRulesReachEveryRow(t *testing.T) {
	const in = "ChannelType,InstanceName\nSMS,one\nVIBER,two\n"
	want := []string{"2 one", `line 3: ChannelType: "VIBER" is not one of SMS`}
	got := read(strings.NewReader(in), rowfile.Options{Rules: tasks.Rules{ChannelTypes: []string{"SMS"}}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestARowErrorRepeatsNoPersonalValueAndHoldsNoJob(t *testing.T) {
	const in = "ChannelType,InstanceName,ContactMail,OfficeAddress\nVIBER,one,s3cret,\"s3cret\tstreet\"\n"
	for row, err := range rowfile.Read(strings.NewReader(in), rowfile.Options{}) {
		rowErr, ok := errors.AsType[*rowfile.RowError](err)
		if !ok {
			t.Fatalf("the error is a %T: %v", err, err)
		}
		want := []rowfile.Problem{
			{Column: "OfficeAddress", Reason: "holds a control character; remove it"},
			{Column: "ContactMail", Reason: "is not a mail address"},
		}
		if diff := cmp.Diff(want, rowErr.Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(tasks.Job{}, row.Job); diff != "" {
			t.Errorf("job (-want +got):\n%s", diff)
		}
	}
}

// endless gives its first bytes once and the rest for ever, and counts what was taken.
type endless struct {
	first, rest string
	taken       int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.first)
	e.first = e.first[n:]
	for n < len(p) {
		n += copy(p[n:], e.rest)
	}
	e.taken += n
	return n, nil
}

func TestARowWithoutEndIsRefusedBeforeItFillsTheMemory(t *testing.T) {
	const header = "ChannelType,InstanceName\nVIBER,one\n"
	const long = "longer than 1 MiB; is there a quotation mark that is not closed?"
	for _, tt := range []struct {
		name, first, rest string
		want              []string
	}{
		{"in the header", "", "a", []string{"t.csv:1: the row that begins here is " + long}},
		{"one field", header, "a", []string{"2 one", "t.csv:3: the row that begins here is " + long}},
		{"many fields", header, "a,", []string{"2 one", "t.csv:3: the row that begins here is " + long}},
		{"an open quote", header + `VIBER,"`, "two\nVIBER,three\n", []string{"2 one", "t.csv:3: the row that begins here is " + long}},
		{
			"after a stray quote", header + `VIBER,a"`, "a",
			[]string{"2 one", `t.csv:3: has a stray quotation mark, or one that is not closed, at byte 8; write a mark inside a quoted field twice ("")`, "t.csv:4: the row that begins here is " + long},
		},
		{"blank lines", header, "\n", []string{"2 one", "t.csv:3: more than 1048576 blank rows begin here; cut them off"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := &endless{first: tt.first, rest: tt.rest}
			if diff := cmp.Diff(tt.want, read(in, rowfile.Options{File: "t.csv"})); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			if most := 4 << 20; in.taken > most {
				t.Errorf("%d bytes were taken, want at most %d", in.taken, most)
			}
		})
	}
}

func TestARowMayFillWhatIsAllowed(t *testing.T) {
	const row = "VIBER,one,"
	in := "ChannelType,InstanceName,InstanceDescription\n" + row + strings.Repeat("x", 1<<20-len(row)-1) + "\nVIBER,two,\n"
	want := []string{"t.csv:2: InstanceDescription: must be at most 512 characters long; request: takes more than 8000 bytes when encoded; shorten the longest parameters", "3 two"}
	if diff := cmp.Diff(want, read(strings.NewReader(in), rowfile.Options{File: "t.csv"})); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestAReaderThatBreaksOffEndsTheFile(t *testing.T) {
	broken := errors.New("disk is gone")
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"at once", "", []string{"line 1: reading the file broke off: disk is gone"}},
		{"within a row", "ChannelType,InstanceName\nVIBER,one\nVIBER,tw", []string{"2 one", "line 3: reading the file broke off: disk is gone"}},
		{"within a quoted field", "ChannelType,InstanceName\nVIBER,\"one", []string{"line 2: reading the file broke off: disk is gone"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := func() io.Reader { return io.MultiReader(strings.NewReader(tt.in), iotest.ErrReader(broken)) }
			if diff := cmp.Diff(tt.want, read(r(), rowfile.Options{})); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			var last error
			for _, err := range rowfile.Read(r(), rowfile.Options{}) {
				last = err
			}
			if !errors.Is(last, broken) {
				t.Errorf("the last error is %v", last)
			}
		})
	}
}

func TestReadingStopsWhenTheCallerDoes(t *testing.T) {
	in := &endless{first: "ChannelType,InstanceName\n", rest: "VIBER,one\n"}
	rows := 0
	for range rowfile.Read(in, rowfile.Options{}) {
		if rows++; rows == 3 {
			break
		}
	}
	if rows != 3 {
		t.Errorf("%d rows came, want 3", rows)
	}
}

func TestTheExampleFileHasThreeBadRowsAndOneTwin(t *testing.T) {
	file, err := os.Open("../../examples/tenants.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var bad []string
	ids := map[string][]int{}
	jobs, twins := 0, 0
	for row, err := range rowfile.Read(file, rowfile.Options{File: "tenants.csv"}) {
		if err != nil {
			bad = append(bad, err.Error())
			continue
		}
		jobs++
		ids[row.Job.ID] = append(ids[row.Job.ID], row.Line)
		if len(ids[row.Job.ID]) > 1 {
			twins++
		}
	}
	want := []string{
		`tenants.csv:13: ChannelType: "SMS" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER`,
		"tenants.csv:19: ContactMail: is not a mail address",
		"tenants.csv:24: FacebookBmId: looks like a number that a spreadsheet has rounded; format the column as text",
	}
	if diff := cmp.Diff(want, bad); diff != "" {
		t.Errorf("bad rows (-want +got):\n%s", diff)
	}
	if jobs != 25 || twins != 1 {
		t.Errorf("%d rows are jobs and %d of them twins, want 25 and 1: %v", jobs, twins, ids)
	}
}

func FuzzRead(f *testing.F) {
	const header = "ChannelType,InstanceName,ContactMail,FacebookBmId,metadata.crm_id\n"
	const ranked = "InstanceName,priority,ChannelType\n"
	for _, seed := range []string{
		"", "\ufeff", "\xff\xfe", "PK\x03\x04", header, header + "VIBER,one,a@example.com,393992929,7\n",
		header + "viber,\"a\nb\",,,\nSMS,,x,3.9E+08,\n", header + "VIBER,\"open,,,\nVIBER,\"x\",,,\n", header + "VIBER,a\"b,,,\r\n\r\n,,,,\n",
		"\ufeffcamsq_rejected,ChannelType,InstanceName\nline 2: x,VIBER,'=1\n,,\n", "sep=;\nChannelType;InstanceName\n", "\xff\xfeC\x00h\x00",
		header + "VIBER,M\xfcller,,,\n", "channel_type,instance_name\rVIBER,one\r", "ChannelType,InstanceName,Contact\n", "a;b\n1;2\n",
		header + "VIBER,\"\x00\",\"\",\n\n\n\"",
		ranked + "one,HIGH ,VIBER\ntwo,normal,VIBER\nthree,urgent,VIBER\nfour,\"hi\ngh\",VIBER\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		lines, last, elements := bytes.Count(in, []byte("\n"))+bytes.Count(in, []byte("\r"))+1, 0, 0
		packed := bytes.HasPrefix(in, []byte("PK")) || bytes.HasPrefix(in, []byte("\x1f\x8b")) || bytes.HasPrefix(in, []byte("\x28\xb5"))
		ended := false
		for row, err := range rowfile.Read(bytes.NewReader(in), rowfile.Options{File: "f.csv"}) {
			elements++
			if ended {
				t.Fatal("an element follows the error that ends the file")
			}
			_, ended = errors.AsType[*rowfile.FileError](err)
			// The header's own line comes again with "a header but no rows".
			if row.Line < last || !ended && row.Line == last || row.Line > lines && !packed {
				t.Fatalf("line %d comes after line %d of %d", row.Line, last, lines)
			}
			last = row.Line
			if err != nil {
				checkError(t, row, err)
				continue
			}
			if err := row.Job.Validate(tasks.Rules{}); err != nil {
				t.Fatalf("line %d: a row that is not valid came as a job: %v", row.Line, err)
			}
			if diff := cmp.Diff(row.Job.Normalize(), row.Job); diff != "" {
				t.Fatalf("line %d: the job is not normalised:\n%s", row.Line, diff)
			}
		}
		if elements == 0 {
			t.Fatal("the file came to nothing")
		}
	})
}

func checkError(t *testing.T, row rowfile.Row, err error) {
	t.Helper()
	if diff := cmp.Diff(tasks.Job{}, row.Job); diff != "" {
		t.Fatalf("a row with an error holds a job:\n%s", diff)
	}
	text := err.Error()
	if strings.ContainsAny(text, "\r\n\x00") || !utf8.ValidString(text) || len(text) > 5000 {
		t.Fatalf("the error is not one readable line: %q", text)
	}
	if row, ok := errors.AsType[*rowfile.RowError](err); ok && len(row.Problems) == 0 {
		t.Fatal("a row error without a problem")
	}
}

func BenchmarkRead(b *testing.B) {
	var in bytes.Buffer
	in.WriteString("ChannelType,InstanceName,OfficeAddress,ContactMail,CountryId,FacebookBmId,metadata.crm_id\n")
	const perFile = 20_000
	for i := range perFile {
		fmt.Fprintf(&in, "VIBER,渠道 shop %d,\"%d Main Street, Springfield\",ops%d@example.com,%d,39399%010d,C-%07d\n", i, i, i, 1+i%90, i, i)
	}
	rows := 0
	b.SetBytes(int64(in.Len()))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range rowfile.Read(bytes.NewReader(in.Bytes()), rowfile.Options{}) {
			if err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
