package oracle

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/camsq/camsq/internal/spreadsheet"
)

func TestExcelizeReadsWhatWeWrite(t *testing.T) {
	rows := [][]string{
		{"InstanceName", "note"}, {"=1+1", "0049"}, {"渠道 😀", "a\nb\tc"}, {"<&>\"'", "  spaces "}, {"1234567890123456", "2026-03-04"}, {"", "x"}, {"_x0041_", "\x01"},
	}
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
	book, err := excelize.OpenReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	got, err := book.GetRows("Sheet1")
	if err != nil {
		t.Fatal(err)
	}
	if err := same(rows, got); err != nil {
		t.Error(err)
	}
	for _, cell := range []string{"A2", "B2", "A5"} {
		if formula, _ := book.GetCellFormula("Sheet1", cell); formula != "" {
			t.Errorf("%s is the formula %q", cell, formula)
		}
		if kind, _ := book.GetCellType("Sheet1", cell); kind != excelize.CellTypeInlineString {
			t.Errorf("%s is of type %v", cell, kind)
		}
	}
}

// values are cells as excelize writes them, and what they are to come out as.
var values = []struct {
	value any
	want  string
	kind  spreadsheet.Kind
}{
	{"text", "text", spreadsheet.KindText},
	{"1234567890123456", "1234567890123456", spreadsheet.KindText},
	{"=no formula", "=no formula", spreadsheet.KindText},
	{123, "123", spreadsheet.KindNumber},
	{int64(393992929000001), "393992929000001", spreadsheet.KindNumber},
	{int64(1234567890123450), "1234567890123450", spreadsheet.KindRounded},
	{0.1 + 0.2, "0.3", spreadsheet.KindNumber},
	{-7.5, "-7.5", spreadsheet.KindNumber},
	{true, "TRUE", spreadsheet.KindText},
	{time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC), "2026-03-04", spreadsheet.KindDate},
	{time.Date(2026, 3, 4, 15, 30, 1, 0, time.UTC), "2026-03-04 15:30:01", spreadsheet.KindDate},
}

func TestWeReadWhatExcelizeWrites(t *testing.T) {
	book := excelize.NewFile()
	defer book.Close()
	stream, err := book.NewStreamWriter("Sheet1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := book.NewSheet("Plain"); err != nil {
		t.Fatal(err)
	}
	date, err := book.NewStyle(&excelize.Style{NumFmt: 22})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		var cell any = v.value
		if v.kind == spreadsheet.KindDate {
			cell = excelize.Cell{StyleID: date, Value: v.value}
		}
		if err := stream.SetRow(fmt.Sprintf("A%d", i+1), []any{cell}); err != nil {
			t.Fatal(err)
		}
		if err := book.SetCellValue("Plain", fmt.Sprintf("A%d", i+1), v.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Flush(); err != nil {
		t.Fatal(err)
	}
	raw, err := book.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Sheet1", "Plain"} {
		table, err := spreadsheet.Open(bytes.NewReader(raw.Bytes()), spreadsheet.Options{Sheet: name})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			row, err := table.Next()
			if err != nil {
				t.Fatal(err)
			}
			if row.Line != i+1 || row.Cells[0] != v.want || row.Kind(0) != v.kind {
				t.Errorf("%s: row %d is %q of kind %d, want %q of kind %d", name, row.Line, row.Cells[0], row.Kind(0), v.want, v.kind)
			}
		}
		table.Close()
	}

	locked, err := os.Create(filepath.Join(t.TempDir(), "locked.xlsx"))
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	if err := book.Write(locked, excelize.Options{Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	checkLocked(t, locked)
}

func checkLocked(t *testing.T, f *os.File) {
	t.Helper()
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := spreadsheet.Open(f, spreadsheet.Options{}); err == nil || !strings.HasSuffix(err.Error(), ": the workbook has a password; save it without one") {
		t.Errorf("%s, which is encrypted: %v", filepath.Base(f.Name()), err)
	}
}

// These were saved by Excel, and by LibreOffice.
func TestExcelizeAndWeReadTheSame(t *testing.T) {
	newNode(t)
	for _, name := range []string{
		filepath.Join(packages, "xlsx-populate/examples/ranges/template.xlsx"),
		filepath.Join(packages, "xlsx-populate/examples/ranges/out.xlsx"),
		filepath.Join(packages, "xlsx-populate/examples/basic/out.xlsx"),
		filepath.Join(packages, "xlsx-populate/examples/styles/out.xlsx"),
		"../testdata/libreoffice/customers.xlsx",
	} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		table, err := spreadsheet.Open(f, spreadsheet.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		book, err := excelize.OpenFile(name)
		if err != nil {
			t.Fatal(err)
		}
		defer book.Close()
		cells := 0
		for {
			row, err := table.Next()
			if err != nil {
				break
			}
			for i, text := range row.Cells {
				at, err := excelize.CoordinatesToCellName(i+1, row.Line)
				if err != nil {
					t.Fatal(err)
				}
				want, err := book.GetCellValue(table.Format().Sheet, at, excelize.Options{RawCellValue: row.Kind(i) != spreadsheet.KindText})
				if err != nil {
					t.Fatal(err)
				}
				// Dates and faults are words of our own; numbers may be padded.
				if k := row.Kind(i); k == spreadsheet.KindDate || k == spreadsheet.KindRounded || k == spreadsheet.KindNumber && strings.TrimLeft(text, "0") == want {
					continue
				}
				if a, errA := strconv.ParseFloat(want, 64); errA == nil && row.Kind(i) == spreadsheet.KindNumber {
					if b, _ := strconv.ParseFloat(text, 64); math.Abs(a-b) <= math.Abs(a)*1e-14 {
						continue // of 17 digits, a spreadsheet shows 15
					}
				}
				if want != text {
					t.Errorf("%s: cell %s is %q of kind %d, want %q", filepath.Base(name), at, text, row.Kind(i), want)
				}
				cells++
			}
		}
		if cells == 0 {
			t.Errorf("%s: no cell was compared", name)
		}
	}
	f, err := os.Open(filepath.Join(packages, "xlsx-populate/examples/encryption/in.xlsx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkLocked(t, f)
}
