package spreadsheet_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/spreadsheet"
)

const saved = "testdata/libreoffice"

// kinded is dump, with the kind of each cell that is no text: "~" before a number,
// "%" a rounded one, "@" a date, "!" a fault, "?" a formula without a value.
func kinded(r io.Reader, opts spreadsheet.Options) []string {
	t, err := spreadsheet.Open(r, opts)
	if err != nil {
		return []string{err.Error()}
	}
	defer t.Close()
	var rows []string
	for {
		row, err := t.Next()
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			return append(rows, err.Error())
		}
		var cells []string
		for i, c := range row.Cells {
			cells = append(cells, strings.TrimSpace(" ~%@!?"[row.Kind(i):row.Kind(i)+1])+c)
		}
		rows = append(rows, fmt.Sprintf("%d %s", row.Line, strings.Join(cells, "|")))
	}
}

func opened(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(saved, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestWhatLibreOfficeSavesAsTextIsRead(t *testing.T) {
	const header = "1 ChannelType|InstanceName|CountryId|FacebookBmId|OfficeAddress|metadata.note"
	all := []string{
		header,
		"2 VIBER|联通渠道|0049|393992929|浦东新区\n上海, \"中国\"|two lines, quotes, a comma; a semicolon",
		"4 WHATSAPP|Mar-04|0049|1234567890123456||2026-03-04 15:30",
		"7 MESSENGER|shop 42|#N/A|1234567890123456|#DIV/0!|1",
		"8 INSTAGRAM|3939930001|0.3||=1+1|été – 日本 – 😀",
	}
	western := []string{
		header,
		"2 VIBER|????|0049|393992929|????\n??, \"??\"|two lines, quotes, a comma; a semicolon",
		all[2], all[3],
		"8 INSTAGRAM|3939930001|0.3||=1+1|été – ?? – ?",
	}
	for name, want := range map[string]struct {
		rows           []string
		format, encode string
	}{
		"utf8-comma.csv":            {all, "UTF-8, commas", ""},
		"utf8-semicolon.csv":        {all, "UTF-8, semicolons", ""},
		"utf8-mark-semicolon.csv":   {all, "UTF-8, semicolons", ""},
		"utf16-tab.csv":             {all, "UTF-16LE, tabs", ""},
		"utf16-tab.csv.zst":         {all, "UTF-16LE, tabs, zstd", ""},
		"gb18030-comma.csv":         {all, "GB18030, commas", ""},
		"gb18030-comma.csv.gz":      {all, "GB18030, commas, gzip", ""},
		"windows1252-semicolon.csv": {western, "windows-1252, semicolons", "windows-1252"},
	} {
		rows, format := dump(opened(t, name), spreadsheet.Options{Encoding: want.encode})
		if diff := cmp.Diff(want.rows, rows); diff != "" || format != want.format {
			t.Errorf("%s is %s (-want +got):\n%s", name, format, diff)
		}
	}
	rows, _ := dump(opened(t, "windows1252-semicolon.csv"), spreadsheet.Options{})
	if got := rows[len(rows)-1]; !strings.HasPrefix(got, "spreadsheet: line 8: the text is neither UTF-8 nor GB18030") {
		t.Errorf("Windows-1252 without its name: %s", got)
	}
}

func TestAWorkbookOfLibreOfficesIsReadWithTheKindsOfItsCells(t *testing.T) {
	want := []string{
		"1 ChannelType|InstanceName|CountryId|FacebookBmId|OfficeAddress|metadata.note",
		"2 VIBER|联通渠道|0049|~393992929|浦东新区\n上海, \"中国\"|two lines, quotes, a comma; a semicolon",
		"3 WHATSAPP|@2026-03-04|~0049|1234567890123456||@2026-03-04 15:30:00",
		"6 MESSENGER|shop 42|!#N/A|%1234567890123460|!#DIV/0!|~1",
		"7 INSTAGRAM|~3939930001|~0.3||=1+1|été – 日本 – 😀",
	}
	raw, err := io.ReadAll(opened(t, "customers.xlsx"))
	if err != nil {
		t.Fatal(err)
	}
	for how, r := range map[string]io.Reader{
		"a file":          opened(t, "customers.xlsx"),
		"bytes":           bytes.NewReader(raw),
		"a stream":        io.MultiReader(bytes.NewReader(raw)),
		"a packed stream": strings.NewReader(gzipped(string(raw))),
	} {
		if diff := cmp.Diff(want, kinded(r, spreadsheet.Options{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", how, diff)
		}
	}
	_, format := dump(bytes.NewReader(raw), spreadsheet.Options{})
	if format != `workbook, sheet "客户 2026", not read: "Notes"` {
		t.Errorf("the format is %s", format)
	}
	for name, want := range map[string]string{
		"notes": "2 from the second sheet|viber",
		"Other": `spreadsheet: line 1: the workbook has no sheet "Other"; it has "客户 2026", "Notes"`,
	} {
		rows := kinded(bytes.NewReader(raw), spreadsheet.Options{Sheet: name})
		if got := rows[len(rows)-1]; got != want {
			t.Errorf("sheet %s: %s, want %s", name, got, want)
		}
	}
}

// book makes a workbook of parts.
func book(t testing.TB, parts map[string]string) *bytes.Reader {
	t.Helper()
	all := map[string]string{
		"_rels/.rels":     `<Relationships><Relationship Id="1" Type="http://x/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml": `<workbook xmlns:r="r"><sheets><sheet name="One" sheetId="1" r:id="a"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="a" Type="http://x/worksheet" Target="worksheets/sheet1.xml"/>` +
			`<Relationship Id="b" Type="http://x/sharedStrings" Target="/xl/sharedStrings.xml"/><Relationship Id="c" Type="http://x/styles" Target="styles.xml"/></Relationships>`,
		"xl/sharedStrings.xml": `<sst><si><t>zero</t></si><si><r><t>on</t></r><r><t>e</t></r><rPh><t>phonetic</t></rPh></si><si/></sst>`,
		"xl/styles.xml": `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="000000"/><numFmt numFmtId="165" formatCode="[$-409]mmm\-dd;@"/></numFmts>` +
			`<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>`,
	}
	for name, text := range parts {
		all[name] = text
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range all {
		if text == "" {
			continue
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name}) // as it is: packing large parts takes long
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b.Bytes())
}

func rowsOf(t testing.TB, rows string) *bytes.Reader {
	return book(t, map[string]string{"xl/worksheets/sheet1.xml": "<worksheet><sheetData>" + rows + "</sheetData></worksheet>"})
}

func TestEveryKindOfCellBecomesItsText(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"shared", `<c t="s"><v>1</v></c><c t="s"><v>0</v></c><c t="s"><v>2</v></c><c t="s"><v>1</v></c>`, "one|zero||one"},
		{"inline", `<c t="inlineStr"><is><r><t>a</t></r><r><t xml:space="preserve"> b</t></r></is></c>`, "a b"},
		{"gaps", `<c r="B1"><v>1</v></c><c r="AA1"><v>2</v></c>`, "|~1|||||||||||||||||||||||||~2"},
		{"escapes", `<c t="str"><v>a_x000D_&#10;b_x0009_&amp;&lt;</v></c>`, "a\nb\t&<"},
		{"booleans", `<c t="b"><v>1</v></c><c t="b"><v>0</v></c>`, "TRUE|FALSE"},
		{"faults", `<c t="e"><v>#REF!</v></c>`, "!#REF!"},
		{"formulas", `<c><f>1+1</f><v>2</v></c><c t="str"><f>A1</f><v></v></c><c><f>A1</f></c>`, "~2||?"},
		{"numbers", `<c><v>123</v></c><c><v>123.0</v></c><c><v>1.23E2</v></c><c><v>-5</v></c><c><v>0.30000000000000004</v></c><c><v>1E-3</v></c>`, "~123|~123|~123|~-5|~0.3|~0.001"},
		{"long numbers", `<c><v>393992929000000</v></c><c><v>3.9399292912345E14</v></c><c><v>1234567890123456</v></c>`, "~393992929000000|~393992929123450|~1234567890123456"},
		{"rounded numbers", `<c><v>1234567890123450</v></c><c><v>1.23456789012345E+15</v></c><c><v>12345678901234567890</v></c><c><v>9007199254740993</v></c>`, "%1234567890123450|%1.23456789012345E+15|%12345678901234567890|%9007199254740993"},
		{"zeros in front", `<c s="2"><v>49</v></c><c s="2"><v>1234567</v></c><c s="2"><v>-1</v></c>`, "~000049|~1234567|~-1"},
		{"dates", `<c s="1"><v>46085</v></c><c s="3"><v>46085.5</v></c><c s="1"><v>0.25</v></c><c t="d"><v>2026-03-04</v></c><c s="1"><v>-1</v></c>`, "@2026-03-04|@2026-03-04 12:00:00|@06:00:00|@2026-03-04|@-1"},
		{"a style that is not there", `<c s="99"><v>46085</v></c><c s="x"><v>1</v></c>`, "~46085|~1"},
		{"other names for the elements", `<x:c t="inlineStr"><x:is><x:t>a</x:t></x:is></x:c>`, "a"},
	} {
		got := kinded(rowsOf(t, `<row r="1">`+tt.in+`</row>`), spreadsheet.Options{})
		if diff := cmp.Diff([]string{"1 " + tt.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestTheFirstVisibleSheetIsRead(t *testing.T) {
	r := book(t, map[string]string{
		"xl/workbook.xml":            `<workbook xmlns:r="r"><sheets><sheet name="No" state="veryHidden" r:id="a"/><sheet name="Chart" r:id="c"/><sheet name="Yes" state="visible" r:id="d"/><sheet name="Gone" state="hidden" r:id="a"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="a" Type="http://x/worksheet" Target="a.xml"/><Relationship Id="c" Type="http://x/chartsheet" Target="c.xml"/><Relationship Id="d" Type="http://x/worksheet" Target="d.xml"/></Relationships>`,
		"xl/d.xml":                   `<sheetData><row><c><v>7</v></c></row></sheetData>`,
	})
	rows, format := dump(r, spreadsheet.Options{})
	if diff := cmp.Diff([]string{"1 7"}, rows); diff != "" || format != `workbook, sheet "Yes"` {
		t.Errorf("%s (-want +got):\n%s", format, diff)
	}
}

func TestDaysAreCountedFrom1904WhereTheWorkbookSaysSo(t *testing.T) {
	got := kinded(book(t, map[string]string{
		"xl/workbook.xml":          `<workbook xmlns:r="r"><workbookPr date1904="1"/><sheets><sheet name="One" r:id="a"/></sheets></workbook>`,
		"xl/worksheets/sheet1.xml": `<sheetData><row><c s="1"><v>44623</v></c></row></sheetData>`,
	}), spreadsheet.Options{})
	if diff := cmp.Diff([]string{"1 @2026-03-04"}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestABadWorkbookIsRefusedInOneLine(t *testing.T) {
	const damaged = "1: the workbook is damaged or cut off here; save it again"
	const again = `; save it as .xlsx or as "CSV UTF-8"`
	whole, err := io.ReadAll(opened(t, "customers.xlsx"))
	if err != nil {
		t.Fatal(err)
	}
	ole := "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 600)
	utf16 := func(s string) string { return strings.Join(strings.Split(s, ""), "\x00") + "\x00" }
	flipped := bytes.Clone(whole)
	flipped[bytes.LastIndex(whole, []byte("xl/worksheets/sheet1.xml"))-46+16] ^= 0xff // in the checksum of the part
	for _, tt := range []struct {
		name string
		in   io.Reader
		want string
	}{
		{"cut off", bytes.NewReader(whole[:len(whole)-100]), damaged},
		{"cut in half", bytes.NewReader(whole[:len(whole)/2]), damaged},
		{"only a beginning", strings.NewReader("PK\x03\x04\x14\x00"), damaged},
		{"a part that its checksum does not fit", bytes.NewReader(flipped), "7: the workbook is damaged or cut off here; save it again"},
		{"an old workbook", opened(t, "customers.xls"), "1: the file is an old .xls workbook, or one with a password" + again + ", without a password"},
		{"a workbook with a password", strings.NewReader(ole + utf16("EncryptedPackage")), "1: the workbook has a password; save it without one"},
		{"an OpenDocument", opened(t, "customers.ods"), "1: the file is an OpenDocument (.ods)" + again},
		{"a binary workbook", book(t, map[string]string{"_rels/.rels": `<R><Relationship Type="x/officeDocument" Target="xl/workbook.bin"/></R>`, "xl/workbook.bin": "x"}), "1: the file is a binary workbook (.xlsb)" + again},
		{"a document", book(t, map[string]string{"_rels/.rels": `<R><Relationship Type="x/officeDocument" Target="word/document.xml"/></R>`, "word/document.xml": "x", "xl/workbook.xml": ""}), "1: the file is a document without a table" + again},
		{"an archive", archiveOf(t, "a.csv"), "1: the file is a ZIP archive; unpack it and give the file in it"},
		{"no sheet", book(t, map[string]string{"xl/workbook.xml": "<workbook/>"}), "1: the workbook has no visible sheet with cells"},
		{"no part of the sheet", book(t, nil), `1: the workbook lacks its part "xl/worksheets/sheet1.xml"; save it again`},
		{"no shared strings", book(t, map[string]string{"xl/sharedStrings.xml": "", "xl/worksheets/sheet1.xml": "<sheetData/>"}), `1: the workbook lacks its part "/xl/sharedStrings.xml"; save it again`},
		{"broken XML", rowsOf(t, `<row r="4"><c><v>1</v></c></row><row r="7"><c <`), "7: the workbook is damaged or cut off here; save it again"},
		{"rows that go back", rowsOf(t, `<row r="4"/><row r="4"/>`), `4: the workbook is damaged: after row 4 comes row "4"`},
		{"a row beyond the last", rowsOf(t, `<row r="1048577"/>`), `1: the workbook is damaged: after row 0 comes row "1048577"`},
		{"cells that go back", rowsOf(t, `<row><c r="B1"/><c r="A1"/></row>`), "1: the workbook is damaged: row 1 has cells out of order"},
		{"a column beyond the last", rowsOf(t, `<row><c r="XFE1"/></row>`), "1: the workbook is damaged: row 1 has cells out of order"},
		{"a number that is none", rowsOf(t, `<row><c><v>1,5</v></c></row>`), "1: the workbook is damaged: a cell's number is none"},
		{"a string that is not there", rowsOf(t, `<row><c t="s"><v>3</v></c></row>`), "1: the workbook is damaged: a cell names a shared string that is not there"},
		{"a row without end", rowsOf(t, `<row><c t="inlineStr"><is><t>`+strings.Repeat("ab ", 2<<20)), "1: a row here takes more than 4 MiB, as no honest one does"},
		{"a string without end", book(t, map[string]string{"xl/sharedStrings.xml": "<sst><si><t>" + strings.Repeat("ab ", 2<<20), "xl/worksheets/sheet1.xml": "<sheetData/>"}), "1: the workbook has a text of more than 4 MiB, as no honest one does"},
		{"a text that is too long", book(t, map[string]string{"xl/sharedStrings.xml": "<sst><si><t>" + strings.Repeat("ab ", 50_000) + "</t></si></sst>", "xl/worksheets/sheet1.xml": "<sheetData/>"}), "1: the workbook has a text that is longer than a cell may be"},
		{"styles without end", book(t, map[string]string{"xl/styles.xml": "<styleSheet>" + strings.Repeat("<a/>", 5<<20), "xl/worksheets/sheet1.xml": "<sheetData/>"}), `1: the workbook's part "xl/styles.xml" is far too large`},
		{"a list of parts without end", archiveOf(t, manyNames()...), "1: the workbook's archive has far too many parts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows := kinded(tt.in, spreadsheet.Options{})
			if got := rows[len(rows)-1]; got != "spreadsheet: line "+tt.want {
				t.Errorf("got\n%s\nwant\nsheet: line %s", got, tt.want)
			}
		})
	}
}

func manyNames() []string {
	names := make([]string, 60_000)
	for i := range names {
		names[i] = fmt.Sprintf("part%d", i)
	}
	return names
}

func archiveOf(t *testing.T, names ...string) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		if _, err := z.CreateHeader(&zip.FileHeader{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b.Bytes())
}

// A bomb of 30 KB that unpacks into 30 MB is left as soon as it shows itself.
func TestAWorkbookThatUnpacksWithoutEndIsNotReadToTheEnd(t *testing.T) {
	for _, part := range []string{"xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		other := book(t, map[string]string{"xl/worksheets/sheet1.xml": "<sheetData/>"})
		old, err := zip.NewReader(other, other.Size())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range old.File {
			if f.Name != part {
				if err := z.Copy(f); err != nil {
					t.Fatal(err)
				}
			}
		}
		w, err := z.Create(part)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, "<sheetData>")
		line := "<si><t></t></si><row></row>" + strings.Repeat(" ", 1<<20)
		for range 30 {
			_, _ = io.WriteString(w, line)
		}
		_ = z.Close()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rows := kinded(bytes.NewReader(b.Bytes()), spreadsheet.Options{})
		runtime.ReadMemStats(&after)
		if got := rows[len(rows)-1]; !strings.HasSuffix(got, ": the workbook unpacks into more than 200 times its size, as only a trap does; it is not read any further") {
			t.Errorf("%s: %s", part, got)
		}
		if held := int64(after.HeapSys) - int64(before.HeapSys); held > 16<<20 {
			t.Errorf("%s: %d bytes of memory were taken", part, held)
		}
	}
}

func TestMoreTextsThanMemoryHoldsComeFromTheirFile(t *testing.T) {
	const n = 30_000
	var texts, rows strings.Builder
	for i := range n {
		fmt.Fprintf(&texts, "<si><t>text %d %s</t></si>", i, strings.Repeat("x", i%97))
	}
	// There, and back again by great strides.
	for i := range n {
		fmt.Fprintf(&rows, `<row><c t="s"><v>%d</v></c><c t="s"><v>%d</v></c></row>`, i, (n-1-i)*7919%n)
	}
	table, err := spreadsheet.Open(book(t, map[string]string{
		"xl/sharedStrings.xml": "<sst>" + texts.String() + "</sst>", "xl/worksheets/sheet1.xml": "<sheetData>" + rows.String() + "</sheetData>",
	}), spreadsheet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	text := func(i int) string { return fmt.Sprintf("text %d %s", i, strings.Repeat("x", i%97)) }
	for i := range n {
		row, err := table.Next()
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{text(i), text((n - 1 - i) * 7919 % n)}; row.Cells[0] != want[0] || row.Cells[1] != want[1] {
			t.Fatalf("row %d is %q, want %q", i+1, row.Cells, want)
		}
	}
}
