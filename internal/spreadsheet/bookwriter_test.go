package spreadsheet_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/spreadsheet"
)

// written returns a workbook of rows, read again.
func written(t testing.TB, rows [][]string) [][]string {
	t.Helper()
	var out bytes.Buffer
	w, err := spreadsheet.NewBookWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	table, err := spreadsheet.Open(bytes.NewReader(out.Bytes()), spreadsheet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	var got [][]string
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row.Cells)
	}
}

func TestAWrittenWorkbookHoldsItsTextsAsTheyWere(t *testing.T) {
	wide := make([]string, 800)
	wide[26], wide[701], wide[702], wide[799] = "AA", "ZZ", "AAA", "ADT"
	rows := [][]string{
		{"InstanceName", "note"},
		{"=1+1", "0049"},
		{"渠道 😀", "a\tb\nc"},
		{"<&>\"'", " spaces "},
		{"a\x01b_x0001_", "_x005F_"},
		{"", "after an empty cell"},
		wide,
		{strings.Repeat("x", 32767), "y"},
	}
	if diff := cmp.Diff(rows, written(t, rows)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestATextThatNoCellHoldsIsCut(t *testing.T) {
	got := written(t, [][]string{{strings.Repeat("é", 32768), strings.Repeat("😀", 20_000), "\xff"}})[0]
	want := []string{strings.Repeat("é", 32766) + "…", strings.Repeat("😀", 16383) + "…", "\ufffd"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("cell %d has %d bytes, want %d", i, len(got[i]), len(want[i]))
		}
	}
}

func TestAWorkbookThatIsFullSaysSo(t *testing.T) {
	w, err := spreadsheet.NewBookWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(make([]string, 1<<14+1)); !errors.Is(err, spreadsheet.ErrBookFull) {
		t.Errorf("too many columns: %v", err)
	}
	for range 1<<20 - 1 {
		if err := w.Write([]string{"a"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write([]string{"a"}); !errors.Is(err, spreadsheet.ErrBookFull) {
		t.Errorf("too many rows: %v", err)
	}
}

func FuzzBookWriter(f *testing.F) {
	for _, seed := range []string{"a", "_x0041_", "\x00", "\r\n", "<", "\xff", "_x005F_x0041_", "_x005F\r_", "]]>"} {
		f.Add(seed, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		// Lines come back with one end, and what is no UTF-8 as what stands for it.
		plain := func(s string) string {
			s = strings.Map(func(r rune) rune { return r }, s)
			return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
		}
		if len(a)+len(b) > 10_000 {
			return
		}
		rows := written(t, [][]string{{"h", "h"}, {"x", a, b}})
		if got := append(rows[1], "", ""); got[1] != plain(a) || got[2] != plain(b) {
			t.Fatalf("%q and %q come back as %q", a, b, rows[1])
		}
	})
}
