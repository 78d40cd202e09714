package spreadsheet_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/camsq/camsq/internal/spreadsheet"
)

// dump returns what a file comes to, one line for each element: "3 a|b" for a
// row, or the error's text; and the format in the end.
func dump(r io.Reader, opts spreadsheet.Options) (rows []string, format string) {
	t, err := spreadsheet.Open(r, opts)
	if err != nil {
		return []string{err.Error()}, ""
	}
	defer t.Close()
	for {
		row, err := t.Next()
		if errors.Is(err, io.EOF) {
			return rows, t.Format().String()
		}
		if err != nil {
			rows = append(rows, err.Error())
			if _, ends := errors.AsType[*spreadsheet.Error](err); ends {
				return rows, t.Format().String()
			}
			continue
		}
		rows = append(rows, fmt.Sprintf("%d %s", row.Line, strings.Join(row.Cells, "|")))
	}
}

func encoded(t testing.TB, e encoding.Encoding, text string) string {
	t.Helper()
	out, err := e.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func zstded(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

const chinese = "名称,类型\n联通渠道,VIBER\n\"上海,\n浦东\",WHATSAPP\n"

func TestTextIsReadInTheEncodingItCameIn(t *testing.T) {
	want := []string{"1 名称|类型", "2 联通渠道|VIBER", "3 上海,\n浦东|WHATSAPP"}
	le, be := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	gb := encoded(t, simplifiedchinese.GB18030, chinese)
	for _, tt := range []struct{ name, in, given, format string }{
		{"UTF-8", chinese, "", "UTF-8, commas"},
		{"UTF-8 with a mark", "\ufeff" + chinese, "", "UTF-8, commas"},
		{"GB18030", gb, "", "GB18030, commas"},
		{"GB18030 with a mark", "\x84\x31\x95\x33" + gb, "", "GB18030, commas"},
		{"GBK by name", gb, "gbk", "GBK, commas"},
		{"UTF-16 with a mark, little", "\xff\xfe" + encoded(t, le, chinese), "", "UTF-16LE, commas"},
		{"UTF-16 with a mark, big", "\xfe\xff" + encoded(t, be, chinese), "", "UTF-16BE, commas"},
		{"UTF-16 by name", encoded(t, le, chinese), "UTF-16LE", "UTF-16LE, commas"},
		{"a name beside its mark", "\ufeff" + chinese, "utf-8", "UTF-8, commas"},
		{"packed with gzip", gzipped(gb), "", "GB18030, commas, gzip"},
		{"packed with zstd", zstded(t, chinese), "", "UTF-8, commas, zstd"},
		{"Windows line ends", strings.ReplaceAll(chinese, "\n", "\r\n"), "", "UTF-8, commas"},
		{"old Mac line ends", strings.ReplaceAll(chinese, "\n", "\r"), "", "UTF-8, commas"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"at once":      strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"with the end": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				rows, format := dump(r, spreadsheet.Options{Encoding: tt.given})
				if diff := cmp.Diff(want, rows); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
				if format != tt.format {
					t.Errorf("%s: the format is %q, want %q", how, format, tt.format)
				}
			}
		})
	}
}

func TestUTF16WithoutAMarkIsKnownByItsHeader(t *testing.T) {
	for _, rest := range []string{
		"üöß,VIBER\n",
		strings.Repeat("一上海渠道联通示例商店,中国上海一\n", 40), // its 一 and 上 have the bytes 00 and 0A
		"x,一\n",
	} {
		want := []string{"1 name|type"}
		for i, line := range strings.Split(strings.TrimSpace(rest), "\n") {
			want = append(want, fmt.Sprintf("%d %s", i+2, strings.ReplaceAll(line, ",", "|")))
		}
		for format, e := range map[string]encoding.Encoding{
			"UTF-16LE, commas": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM),
			"UTF-16BE, commas": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
		} {
			rows, got := dump(strings.NewReader(encoded(t, e, "name,type\n"+rest)), spreadsheet.Options{})
			if diff := cmp.Diff(want, rows); diff != "" || got != format {
				t.Errorf("%s, want %s (-want +got):\n%s", got, format, diff)
			}
		}
	}
}

// A wrong guess makes wrong names, so what could be one is refused, with what to do.
func TestAnEncodingInDoubtIsNotGuessed(t *testing.T) {
	const neither = "the text is neither UTF-8 nor GB18030; give the encoding, such as windows-1252, or save it as .xlsx or as \"CSV UTF-8\""
	latin := encoded(t, charmap.Windows1252, "name,city\nMüller & Söhne,Köln\nCafé Zoë,Besançon\n")
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"Windows-1252", latin, []string{"1 name|city", "spreadsheet: line 2: " + neither}},
		{"Windows-1252, and letters follow each umlaut", "name\nM\xfcller\nS\xf6hne\n", []string{"1 name", "spreadsheet: line 2: " + neither}},
		{"Windows-1252 whose letters stand in pairs", "name\nFedera\xe7\xe3o Su\xed\xe7a\n", []string{"1 name", "spreadsheet: line 2: " + neither}},
		{"Windows-1252 in the header", "n\xe4me,city\n", []string{"spreadsheet: line 1: " + neither}},
		{"both at once", "name\nМоск\xcc\xee\n", []string{"1 name", "spreadsheet: line 2: the text could be damaged UTF-8 or GB18030; give the encoding, or save it as .xlsx or as \"CSV UTF-8\""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, _ := dump(strings.NewReader(tt.in), spreadsheet.Options{})
			if diff := cmp.Diff(tt.want, rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
	rows, format := dump(strings.NewReader(latin), spreadsheet.Options{Encoding: "windows-1252"})
	if diff := cmp.Diff([]string{"1 name|city", "2 Müller & Söhne|Köln", "3 Café Zoë|Besançon"}, rows); diff != "" || format != "windows-1252, commas" {
		t.Errorf("given by name, %s (-want +got):\n%s", format, diff)
	}
}

func TestADamagedCharacterIsItsRowsFaultWhereTheRestIsCertain(t *testing.T) {
	many := "name\n" + strings.Repeat("上海渠道\n", 10)
	for _, tt := range []struct{ name, in, want string }{
		{"much UTF-8 around it", many + "M\xfcller\n", "12 M\xfcller"},
		{"a mark", "\ufeffname\nM\xfcller\n", "2 M\xfcller"},
		{"UTF-16", "\xff\xfe" + encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "name\nx") + "\x00\xd8\n\x00", "2 x\ufffd"},
	} {
		rows, _ := dump(strings.NewReader(tt.in), spreadsheet.Options{})
		if len(rows) == 0 || rows[len(rows)-1] != tt.want {
			t.Errorf("%s: %q", tt.name, rows)
		}
	}
}

// asciiRows is more than a window of text.
var asciiRows = strings.Repeat("VIBER,one\n", 1<<20/10+1000)

func TestTheEncodingIsDecidedWhereItFirstMatters(t *testing.T) {
	in := "name,type\n" + asciiRows + encoded(t, simplifiedchinese.GB18030, "上海渠道,联通\n")
	rows, format := dump(strings.NewReader(in), spreadsheet.Options{})
	last := fmt.Sprintf("%d 上海渠道|联通", strings.Count(in, "\n"))
	if rows[len(rows)-1] != last || format != "GB18030, commas" {
		t.Errorf("%s, %q, want %q", format, rows[len(rows)-1], last)
	}
}

func TestTextThatContradictsWhatWasDecidedEndsTheFile(t *testing.T) {
	gb := encoded(t, simplifiedchinese.GB18030, "上海渠道,联通\n")
	for _, tt := range []struct{ name, in, want string }{
		// C4A3 is a character of GB18030, and ģ in UTF-8.
		{"GB18030 that passed for UTF-8", "a,b\n\xc4\xa3,x\n" + asciiRows + gb, "not UTF-8, as it was before"},
		{"UTF-8 after GB18030", "a,b\n" + gb + asciiRows + "é,\xff\n", "not GB18030, as it was before"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, _ := dump(strings.NewReader(tt.in), spreadsheet.Options{})
			want := fmt.Sprintf("spreadsheet: line %d: from here on the text is %s; what came before may have been misread: give the encoding, or save it as .xlsx or as \"CSV UTF-8\"",
				strings.Count(tt.in, "\n"), tt.want)
			if got := rows[len(rows)-1]; got != want || len(rows) != strings.Count(tt.in, "\n") {
				t.Errorf("%d rows, and\n%s\nwant\n%s", len(rows), got, want)
			}
		})
	}
}

func TestTheDelimiterIsTheHeadersOutsideOfQuotes(t *testing.T) {
	for _, tt := range []struct {
		in     string
		given  rune
		want   []string
		format string
	}{
		{"a,b;c,d\n1,2;3,4\n", 0, []string{"1 a|b;c|d", "2 1|2;3|4"}, "ASCII, commas"},
		{"a;b;c\n1,5;2;3\n", 0, []string{"1 a|b|c", "2 1,5|2|3"}, "ASCII, semicolons"},
		{"a\tb\n1,5\t2\n", 0, []string{"1 a|b", "2 1,5|2"}, "ASCII, tabs"},
		{"a|b\n1|2\n", 0, []string{"1 a|b", "2 1|2"}, "ASCII, vertical bars"},
		{"\"a;;;\n;;\",b\n1,2\n", 0, []string{"1 a;;;\n;;|b", "3 1|2"}, "ASCII, commas"},
		{"a\n1\n", 0, []string{"1 a", "2 1"}, "ASCII, commas"},
		{"\n;;\na;b\n1;2\n", 0, []string{"3 a|b", "4 1|2"}, "ASCII, semicolons"},
		{"sep=;\na,x;b\n1;2\n", 0, []string{"2 a,x|b", "3 1|2"}, "ASCII, semicolons"},
		{"SEP=\t\r\na,x\tb\n1\t2\n", 0, []string{"2 a,x|b", "3 1|2"}, "ASCII, tabs"},
		{"sep=a,b\n1,2\n", 0, []string{"1 sep=a|b", "2 1|2"}, "ASCII, commas"},
		{"sep=\n", 0, []string{"1 sep="}, "ASCII, commas"},
		{"sep=", 0, []string{"1 sep="}, "ASCII, commas"},
		{"a,b#c\n1#2\n", '#', []string{"1 a,b|c", "2 1|2"}, "ASCII, separated by '#'"},
		{"a；b\n1；2\n", '；', []string{"1 a|b", "2 1|2"}, "UTF-8, separated by '；'"},
	} {
		rows, format := dump(iotest.HalfReader(strings.NewReader(tt.in)), spreadsheet.Options{Delimiter: tt.given})
		if diff := cmp.Diff(tt.want, rows); diff != "" || format != tt.format {
			t.Errorf("%q is %s (-want +got):\n%s", tt.in, format, diff)
		}
	}
}

func TestADelimiterCanBeNamed(t *testing.T) {
	for name, want := range map[string]rune{
		",": ',', ";": ';', "\t": '\t', "|": '|', "；": '；', "comma": ',', "Semicolon": ';', "TAB": '\t', `\t`: '\t', "pipe": '|',
		"": 0, ";;": 0, `"`: 0, "\n": 0, "\xff": 0,
	} {
		if got, err := spreadsheet.ParseDelimiter(name); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q is %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestABadFileIsRefusedInOneLineThatNamesThePlace(t *testing.T) {
	const again = `; save it as .xlsx or as "CSV UTF-8"`
	const unpack = "; unpack it first, or pack it as .gz or .zst instead"
	const rows = "a,b\n1,2\n"
	long := strings.Repeat("name,type\nVIBER,one\n", 5000)
	cut := func(packed string) string { return packed[:len(packed)/2] }
	for _, tt := range []struct {
		name, in string
		opts     spreadsheet.Options
		want     string
	}{
		{"a picture", "\x89PNG\x0d\x0a\x1a\x0a\x00\x00", spreadsheet.Options{}, "1: the file is a file of type image/png" + again},
		{"a PDF", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", spreadsheet.Options{}, "1: the file is a file of type application/pdf" + again},
		{"a web page that is called .xls", "\n<html><table><tr><td>ChannelType", spreadsheet.Options{}, "1: the file is a web page, whatever its name" + again},
		{"random bytes", "\x03\x8f\x11\xa0k\x1c", spreadsheet.Options{}, "1: the file is binary, not a table" + again},
		{"a program", "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00", spreadsheet.Options{}, "1: the file is binary, not a table" + again},
		{"numbers of two bytes", "\x01\x00\x02\x00\x03\x00\x04\x00", spreadsheet.Options{}, "1: the file is binary, not a table; if it is UTF-16 text, give the encoding utf-16le, or save it as .xlsx or as \"CSV UTF-8\""},
		{"UTF-16 whose header is not ASCII", encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "名称,类型\n"), spreadsheet.Options{}, "1: the file is binary, not a table; if it is UTF-16 text, give the encoding utf-16le, or save it as .xlsx or as \"CSV UTF-8\""},
		{"UTF-32", "\xff\xfe\x00\x00a\x00\x00\x00", spreadsheet.Options{}, "1: the text is UTF-32" + again},
		{"bzip2", "BZh91AY&SY", spreadsheet.Options{}, "1: the file is a bzip2 archive" + unpack},
		{"xz", "\xfd7zXZ\x00\x00\x04", spreadsheet.Options{}, "1: the file is an xz archive" + unpack},
		{"7-Zip", "7z\xbc\xaf\x27\x1c\x00\x04", spreadsheet.Options{}, "1: the file is a 7-Zip archive" + unpack},
		{"RAR", "Rar!\x1a\x07\x01\x00", spreadsheet.Options{}, "1: the file is a RAR archive" + unpack},
		{"packed twice", gzipped(gzipped(rows)), spreadsheet.Options{}, "1: the file is packed more than once; unpack it first"},
		{"a NUL byte later", rows + "3,\x004\n", spreadsheet.Options{}, "3: the file holds a NUL byte here: it is binary, or damaged"},
		{"NUL bytes at the end", rows + strings.Repeat("\x00", 4096), spreadsheet.Options{}, "3: the file holds a NUL byte here: it is binary, or damaged"},
		{"gzip without an end", gzipped(rows)[:12], spreadsheet.Options{}, "1: the gzip file is cut off here; get it once more, whole"},
		{"zstd without an end", cut(zstded(t, rows)), spreadsheet.Options{}, "1: the zstd file is cut off here; get it once more, whole"},
		{"gzip that is damaged", gzipped(rows)[:20] + "\xff\xff\xff\xff" + gzipped(rows)[24:], spreadsheet.Options{}, "3: the gzip file is damaged here; get it once more"},
		{"another mark than is given", "\xff\xfea\x00", spreadsheet.Options{Encoding: "utf-8"}, "1: the file begins with the mark of UTF-16LE, but UTF-8 is given"},
		{"an encoding that nobody knows", rows, spreadsheet.Options{Encoding: "ebcdic"}, `1: the encoding "ebcdic" is not known; it may be utf-8, utf-16le, gb18030, big5, shift_jis, windows-1252 or another name of the WHATWG's list`},
		{"a sheet of text", rows, spreadsheet.Options{Sheet: "One"}, "1: the file is text and has no sheets to choose from"},
		{"a delimiter that is none", rows, spreadsheet.Options{Delimiter: '"'}, `1: '"' cannot stand between cells`},
		{"blank lines without end", rows + strings.Repeat("\n", 10_000_000), spreadsheet.Options{}, "3: more than 1048576 blank rows begin here; cut them off"},
		{"blank rows without end", rows + strings.Repeat(" ,\n", 1<<20+1), spreadsheet.Options{}, "3: more than 1048576 blank rows begin here; cut them off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, _ := dump(strings.NewReader(tt.in), tt.opts)
			if got := rows[len(rows)-1]; got != "spreadsheet: line "+tt.want {
				t.Errorf("got\n%s\nwant\nsheet: line %s", got, tt.want)
			}
		})
	}
	rowsGot, _ := dump(strings.NewReader(cut(gzipped(long+"1,2\n"+strings.Repeat("x", 1000)))), spreadsheet.Options{})
	if got := rowsGot[len(rowsGot)-1]; !strings.HasSuffix(got, ": the gzip file is cut off here; get it once more, whole") || len(rowsGot) < 2 {
		t.Errorf("%d rows, and then %s", len(rowsGot), got)
	}
}

func TestAsManyBlankRowsAsASpreadsheetHasAreSkipped(t *testing.T) {
	in := "a,b\n" + strings.Repeat(",\n", 1<<20-1) + "1,2\n" + strings.Repeat("\n", 1<<20-100)
	rows, _ := dump(strings.NewReader(in), spreadsheet.Options{})
	if diff := cmp.Diff([]string{"1 a|b", "1048577 1|2"}, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestARowThatCannotBeSplitIsGivenAsItStands(t *testing.T) {
	in := "a,b\n1,2\nx\"y,3\n\"open,4\n5,6\n\"7\",\"8\"\n9,10\n"
	table, err := spreadsheet.Open(strings.NewReader(in), spreadsheet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	var raw []string
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			raw = append(raw, row.Raw)
		}
	}
	if diff := cmp.Diff([]string{"x\"y,3", "\"open,4\n5,6\n\"7\",\"8\""}, raw); diff != "" {
		t.Errorf("raw rows (-want +got):\n%s", diff)
	}
}

func TestGuardAndUnguardAreEachOthersInverse(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "a=b": "a=b", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx",
		"'=1": "''=1", "''=1": "'''=1", "'": "'", "'t Hoen": "'t Hoen", "渠道": "渠道", "＝1": "'＝1",
	} {
		if got := spreadsheet.Guard(cell); got != want || spreadsheet.Unguard(got) != cell {
			t.Errorf("Guard(%q) = %q, want %q; and back %q", cell, got, want, spreadsheet.Unguard(got))
		}
	}
}

func FuzzGuard(f *testing.F) {
	for _, seed := range []string{"", "'", "=", "''=", "＋1", "a'="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		guarded := spreadsheet.Guard(cell)
		if spreadsheet.Unguard(guarded) != cell {
			t.Fatalf("%q comes back as %q", cell, spreadsheet.Unguard(guarded))
		}
		if guarded != "" && strings.ContainsRune("=+-@\t\r\n", rune(guarded[0])) {
			t.Fatalf("%q is still a formula", guarded)
		}
	})
}

func TestKnownEncodingsHaveOneName(t *testing.T) {
	for name, want := range map[string]string{"utf8": "UTF-8", "GB2312": "GBK", "latin1": "windows-1252", "sjis": "SHIFT_JIS", "utf-16": "UTF-16LE", "utf-7": "", "": "", "replacement": ""} {
		if got, ok := spreadsheet.KnownEncoding(name); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v; want %q", name, got, ok, want)
		}
	}
}

func TestNoByteIsLostOrChangedOnTheWay(t *testing.T) {
	var in strings.Builder
	in.WriteString("name\n")
	var want []string
	for i := 0; in.Len() < 5<<20; i++ {
		// Lines of all lengths, so that characters stand across the ends of buffers.
		line := fmt.Sprintf("%d %s", i, strings.Repeat("é渠😀x", i%11))
		want = append(want, line)
		in.WriteString(line + "\n")
	}
	for _, tt := range []struct {
		name string
		text string
	}{
		{"UTF-8", in.String()},
		{"GB18030", encoded(t, simplifiedchinese.GB18030, in.String())},
		{"UTF-16LE", "\xff\xfe" + encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), in.String())},
		{"zstd", zstded(t, in.String())},
	} {
		for how, r := range map[string]io.Reader{
			"at once": strings.NewReader(tt.text), "in halves": iotest.HalfReader(strings.NewReader(tt.text)), "in odd pieces": pieces{strings.NewReader(tt.text)},
		} {
			table, err := spreadsheet.Open(r, spreadsheet.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := table.Next(); err != nil {
				t.Fatal(err)
			}
			for i, line := range want {
				row, err := table.Next()
				if err != nil || row.Cells[0] != line || row.Line != i+2 {
					t.Fatalf("%s, %s: line %d is %q, %v; want %q", tt.name, how, row.Line, row.Cells, err, line)
				}
			}
			if _, err := table.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("%s, %s: after the last row comes %v", tt.name, how, err)
			}
			table.Close()
		}
	}
}

// pieces gives 4093 bytes at most.
type pieces struct{ r io.Reader }

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), 4093)]) }

func TestTextThatWasMisreadBeforeIsRecognised(t *testing.T) {
	for text, want := range map[string]string{
		"Café": "", "Müller & Söhne": "", "渠道": "", "模": "", "日本": "", "Москва": "", "naïve façade": "", "Ñandú": "", "São Tomé": "", "5 € à 7": "", "": "", "Cafe": "",
		"CafÃ©": "windows-1252", "MÃ¼ller & SÃ¶hne": "windows-1252", "Itâ€™s": "windows-1252", "æ¸\u00a0é\u0081“": "windows-1252",
		"娓犻亾": "GB18030", "涓浗": "",
	} {
		if got := spreadsheet.Misread(text); got != want {
			t.Errorf("%q was misread as %q, want %q", text, got, want)
		}
	}
}
