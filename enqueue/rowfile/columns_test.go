package rowfile_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/tasks"
)

// jobs returns the jobs of a file, and the errors of the others.
func jobs(r io.Reader, opts rowfile.Options) (jobs []tasks.Job, errs []string) {
	for row, err := range rowfile.Read(r, opts) {
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		jobs = append(jobs, row.Job)
	}
	return jobs, errs
}

func TestColumnsCanBeGivenAnotherName(t *testing.T) {
	const in = "Company ,Channel,CRM No,E-Mail\none,viber,7,a@example.com\n"
	for _, tt := range []struct {
		name string
		opts rowfile.Options
		want any
	}{
		{
			"each by its name in the file", rowfile.Options{Map: map[string]string{"company": "instance_name", "Channel": "ChannelType", "CRM No": "metadata.crm", "E-Mail": "ContactMail"}},
			tasks.Job{Request: tasks.Request{ChannelType: "VIBER", InstanceName: "one", ContactMail: "a@example.com"}, Metadata: map[string]string{"crm": "7"}},
		},
		{
			"and the others are left out", rowfile.Options{Map: map[string]string{"Company": "InstanceName", "Channel": "ChannelType"}, IgnoreUnknown: true},
			tasks.Job{Request: tasks.Request{ChannelType: "VIBER", InstanceName: "one"}},
		},
		{
			"a name that is not in the file", rowfile.Options{Map: map[string]string{"Company": "InstanceName", "Firma": "InstanceName"}},
			`line 1: the file has no column "Firma", which is to be InstanceName`,
		},
		{
			"a slip in such a name", rowfile.Options{Map: map[string]string{"Compny": "InstanceName"}},
			`line 1: the file has no column "Compny", which is to be InstanceName; did you mean "Company"?`,
		},
		{
			"a part of such a name", rowfile.Options{Map: map[string]string{"Company": "InstanceName", "Sales Channel": "ChannelType"}},
			`line 1: the file has no column "Sales Channel", which is to be ChannelType; did you mean "Channel"?`,
		},
		{
			"a name that nobody knows", rowfile.Options{Map: map[string]string{"Company": "InstanzName"}},
			`line 1: column 1 "InstanzName" is not known; did you mean InstanceName?`,
		},
		{
			"two columns with one name", rowfile.Options{Map: map[string]string{"Company": "InstanceName", "Channel": "InstanceName"}},
			`line 1: column 2 "Channel" is the same as column 1; remove one`,
		},
		{
			"unknown columns", rowfile.Options{Map: map[string]string{"Company": "InstanceName", "Channel": "ChannelType"}},
			`line 1: column 3 "CRM No" is not known; remove it, or name it metadata.KEY to get it back with the result`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, errs := jobs(strings.NewReader(in), tt.opts)
			if want, ok := tt.want.(string); ok {
				if diff := cmp.Diff([]string{want}, errs); diff != "" {
					t.Errorf("errors (-want +got):\n%s", diff)
				}
				return
			}
			if diff := cmp.Diff([]tasks.Job{tt.want.(tasks.Job).Normalize()}, got); diff != "" || errs != nil {
				t.Errorf("%q, jobs (-want +got):\n%s", errs, diff)
			}
		})
	}
}

func TestWhatAFileLacksCanBeSet(t *testing.T) {
	const in = "InstanceName,CountryId\none,\ntwo,49\n"
	got, errs := jobs(strings.NewReader(in), rowfile.Options{Set: map[string]string{"channel_type": "viber", "CountryId": "86", "metadata.source": "fair"}})
	want := []tasks.Job{
		{Request: tasks.Request{ChannelType: "VIBER", InstanceName: "one", CountryID: "86"}, Metadata: map[string]string{"source": "fair"}},
		{Request: tasks.Request{ChannelType: "VIBER", InstanceName: "two", CountryID: "49"}, Metadata: map[string]string{"source": "fair"}},
	}
	for i := range want {
		want[i] = want[i].Normalize()
	}
	if diff := cmp.Diff(want, got); diff != "" || errs != nil {
		t.Errorf("%q, jobs (-want +got):\n%s", errs, diff)
	}
	_, errs = jobs(strings.NewReader(in), rowfile.Options{Set: map[string]string{"Channel": "VIBER"}})
	if diff := cmp.Diff([]string{`line 1: the column "Channel" that is set is not known; is it ChannelType? If not, remove it, or name it metadata.KEY to get it back with the result`}, errs); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestAnUnknownColumnComesWithTheNameThatWasMeant(t *testing.T) {
	for name, want := range map[string]string{
		"InstanceName":  "InstanceName",
		"instance_name": "InstanceName",
		" job_ID ":      "job_id",
		"metadata.x":    "metadata.x",
		"InstancName":   `column "InstancName" is not known; did you mean InstanceName?`,
		"Email":         `column "Email" is not known; is it ContactMail? If not, remove it, or name it metadata.KEY to get it back with the result`,
		"Customer name": `column "Customer name" is not known; is it InstanceName? If not, remove it, or name it metadata.KEY to get it back with the result`,
		"Country":       `column "Country" is not known; did you mean CountryId?`,
		"Notes":         `column "Notes" is not known; remove it, or name it metadata.KEY to get it back with the result`,
	} {
		got, err := rowfile.KnownColumn(name)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestUnknownColumnsAreLeftOutOnRequestAndTold(t *testing.T) {
	var found []rowfile.FileInfo
	opts := rowfile.Options{IgnoreUnknown: true, OnFormat: func(f rowfile.FileInfo) { found = append(found, f) }}
	got, errs := jobs(strings.NewReader("Salesperson;InstanceName;;ChannelType;ContactMial\n#REF!;one;x;VIBER;müller\n"), opts)
	want := []tasks.Job{tasks.Job{Request: tasks.Request{ChannelType: "VIBER", InstanceName: "one"}}.Normalize()}
	if diff := cmp.Diff(want, got); diff != "" || errs != nil {
		t.Errorf("%q, jobs (-want +got):\n%s", errs, diff)
	}
	ignored := []string{"Salesperson", "ContactMial"}
	if diff := cmp.Diff([]rowfile.FileInfo{{Format: "ASCII, semicolons", Delimiter: ';', Ignored: ignored}, {Format: "UTF-8, semicolons", Delimiter: ';', Ignored: ignored}}, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestWhatASpreadsheetHasSpoiledIsRefusedWithWhatToDo(t *testing.T) {
	const (
		rounded = "looks like a number that a spreadsheet has rounded; format the column as text"
		date    = "is a date, as a spreadsheet makes of names such as Mar-04; format the column as text and type it again"
		lost    = "is question marks only, as a program writes for characters that its encoding lacks; save the source as UTF-8"
	)
	fault := func(text string) string {
		return "holds the spreadsheet's error " + text + "; correct the formula, or type the value"
	}
	for _, tt := range []struct {
		column string
		values []string
		want   string // of the last one
	}{
		{"FacebookBmId", []string{"3.93993E+08"}, rounded},
		{"FacebookBmId", []string{"1,23E+11"}, rounded},
		{"CountryId", []string{"4.9E+1"}, rounded},
		{"job_id", []string{"3.93993E+08"}, rounded},
		{"metadata.crm_id", []string{"1.23457E+15"}, rounded},
		{"metadata.crm_id", []string{"7e10"}, ""},
		{"metadata.note", []string{"a1.2E+3"}, ""},
		{"InstanceName", []string{"2026-03-04"}, date},
		{"InstanceName", []string{"2026/3/4 15:30"}, date},
		{"InstanceName", []string{"3/4/26"}, date},
		{"InstanceName", []string{"04.03.2026"}, date},
		{"InstanceName", []string{"Mar-04"}, date},
		{"InstanceName", []string{"4-Mar"}, date},
		{"InstanceName", []string{"04-Mar-26"}, date},
		{"InstanceName", []string{"4. Mrz"}, date},
		{"InstanceName", []string{"3月4日"}, date},
		{"InstanceName", []string{"2026年3月4日"}, date},
		{"InstanceName", []string{"March"}, ""},
		{"InstanceName", []string{"May"}, ""},
		{"InstanceName", []string{"Shop 3/4/26"}, ""},
		{"InstanceName", []string{"24-7"}, ""},
		{"InstanceName", []string{"1.2.3.4"}, ""},
		{"InstanceName", []string{"Mar-Vista"}, ""},
		{"InstanceName", []string{"2026-03"}, ""},
		{"metadata.since", []string{"2026-03-04"}, ""},
		{"InstanceName", []string{"#REF!"}, fault("#REF!")},
		{"InstanceName", []string{"#N/A"}, fault("#N/A")},
		{"metadata.crm_id", []string{"#NAME?"}, fault("#NAME?")},
		{"OfficeAddress", []string{"#BEZUG!"}, fault("#BEZUG!")},
		{"OfficeAddress", []string{"Err:502"}, fault("Err:502")},
		{"CountryId", []string{"####"}, fault("####")},
		{"InstanceName", []string{"#1 Pizza"}, ""},
		{"InstanceName", []string{"#"}, "has no letter and no digit; put the name there, or leave the row out"},
		{"InstanceName", []string{"????"}, lost},
		{"OfficeAddress", []string{"?? ???, ??"}, lost},
		{"InstanceName", []string{"What??"}, ""},
		{"InstanceName", []string{"?"}, "has no letter and no digit; put the name there, or leave the row out"},
		{"InstanceName", []string{"CafÃ©"}, "looks like UTF-8 that some program has read as windows-1252; get the source once more and open it as UTF-8"},
		{"metadata.note", []string{"娓犻亾"}, "looks like UTF-8 that some program has read as GB18030; get the source once more and open it as UTF-8"},
		{"CountryId", []string{"0049", "1", "86"}, ""}, // country codes have no common length
		{"CountryId", []string{"0049", "001"}, ""},
		{"CountryId", []string{"0049", "0086"}, ""},
		{"CountryId", []string{"49", "1"}, ""},
		{"CountryId", []string{"86", "0049", "49"}, ""},
		{"job_id", []string{"001", "12"}, ""},
		{"job_id", []string{"0123", "45678"}, ""},
		{"metadata.floor", []string{"01", "2"}, ""},
	} {
		t.Run(tt.column+" "+tt.values[len(tt.values)-1], func(t *testing.T) {
			var in strings.Builder
			in.WriteString("ChannelType\tInstanceName\t" + tt.column + "\n")
			if tt.column == "InstanceName" {
				in.Reset()
				in.WriteString("ChannelType\tjob_id\tInstanceName\n")
			}
			for i, v := range tt.values {
				in.WriteString("VIBER\tn" + strings.Repeat("x", i) + "\t" + v + "\n")
			}
			_, errs := jobs(strings.NewReader(in.String()), rowfile.Options{})
			var want []string
			if tt.want != "" {
				line := string(rune('1' + len(tt.values)))
				want = []string{"line " + line + ": " + tt.column + ": " + tt.want}
			}
			if diff := cmp.Diff(want, errs); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAWorkbookTellsMoreOfWhatASpreadsheetDid(t *testing.T) {
	f, err := os.Open("../../internal/spreadsheet/testdata/libreoffice/customers.xlsx")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	for row, err := range rowfile.Read(f, rowfile.Options{File: "customers.xlsx"}) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, row.Job.Request.InstanceName+" "+row.Job.Request.CountryID+" "+row.Job.Request.FacebookBmID)
	}
	want := []string{
		"联通渠道 0049 393992929",
		"customers.xlsx:3: InstanceName: is a date, as a spreadsheet makes of names such as Mar-04; format the column as text and type it again",
		"customers.xlsx:6: CountryId: holds the spreadsheet's error #N/A; correct the formula, or type the value; " +
			"FacebookBmId: is a number of more than 15 digits, which a spreadsheet rounds; format the column as text and enter it again; " +
			"OfficeAddress: holds the spreadsheet's error #DIV/0!; correct the formula, or type the value",
		"customers.xlsx:7: CountryId: must be 1 to 6 digits, without a plus sign",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestAFileOfRejectedRowsIsReadAsItWasBefore(t *testing.T) {
	const original = "ChannelType,InstanceName,metadata.note\nVIBER,'t Hoen,=1+1\nVIBER,-x,'=2\nVIBER,plain,'\n"
	const rejected = "\ufeffcamsq_rejected,ChannelType,InstanceName,metadata.note\n" +
		"line 2: bad,VIBER,'t Hoen,'=1+1\nline 3: bad,VIBER,'-x,''=2\nline 4: bad,VIBER,plain,'\nline 9: deleted but for its reason,,,\n"
	want, errs := jobs(strings.NewReader(original), rowfile.Options{})
	if errs != nil {
		t.Fatal(errs)
	}
	got, errs := jobs(strings.NewReader(rejected), rowfile.Options{})
	if diff := cmp.Diff(want, got); diff != "" || errs != nil {
		t.Errorf("%q, jobs (-want +got):\n%s", errs, diff)
	}
	for row := range rowfile.Read(strings.NewReader(rejected), rowfile.Options{}) {
		if diff := cmp.Diff([]string{"ChannelType", "InstanceName", "metadata.note"}, row.Header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		if len(row.Cells) != 3 {
			t.Errorf("cells: %q", row.Cells)
		}
	}
}

func TestTheTemplateHasEveryColumnAndItsExampleIsNoJob(t *testing.T) {
	header, example := rowfile.Template()
	in := strings.Join(header, "\t") + "\n" + strings.Join(example, "\t") + "\n"
	_, errs := jobs(strings.NewReader(in), rowfile.Options{})
	if diff := cmp.Diff([]string{"line 2: is the example row of the template; remove it"}, errs); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	in = strings.Replace(in, "Example Shop", "A Shop", 1)
	got, errs := jobs(bytes.NewReader([]byte(in)), rowfile.Options{})
	if errs != nil || len(got) != 1 || got[0].Metadata["crm_id"] != "C-0001" {
		t.Errorf("the example, once it is changed: %q, %v", errs, got)
	}
	for _, p := range tasks.Params() {
		if !strings.Contains(in, p.Name) {
			t.Errorf("the template lacks %s", p.Name)
		}
	}
}
