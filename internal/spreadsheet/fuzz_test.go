package spreadsheet_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/camsq/camsq/internal/spreadsheet"
)

// check reads a table to its end and holds it to what every table promises.
func check(t *testing.T, r io.Reader, opts spreadsheet.Options) {
	t.Helper()
	table, err := spreadsheet.Open(r, opts)
	if err != nil {
		checkText(t, err)
		return
	}
	defer table.Close()
	for last := 0; ; {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		_, ends := errors.AsType[*spreadsheet.Error](err)
		if err != nil {
			checkText(t, err)
		}
		if row.Line < 1 || row.Line < last || !ends && row.Line == last {
			t.Fatalf("line %d comes after line %d", row.Line, last)
		}
		last = row.Line
		if ends {
			break
		}
		if (row.Cells == nil) != (err != nil) || row.Kinds != nil && len(row.Kinds) != len(row.Cells) {
			t.Fatalf("line %d: %d cells of %d kinds, with %v", row.Line, len(row.Cells), len(row.Kinds), err)
		}
		for _, c := range row.Cells {
			if strings.ContainsAny(c, "\r\x00") && row.Kinds == nil {
				t.Fatalf("line %d: a carriage return or NUL is in %q", row.Line, c)
			}
		}
	}
	if row, err := table.Next(); err == nil {
		t.Fatalf("line %d comes after the end", row.Line)
	}
}

func checkText(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); strings.ContainsAny(text, "\r\n\x00") || !utf8.ValidString(text) || len(text) > 2000 {
		t.Fatalf("the error is not one readable line: %q", text)
	}
}

func seeds(f *testing.F) (files [][]byte) {
	names, err := filepath.Glob(filepath.Join(saved, "customers.*s*"))
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	more, _ := filepath.Glob(filepath.Join(saved, "*.csv*"))
	for _, name := range append(names, more...) {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, raw)
	}
	return files
}

func FuzzOpen(f *testing.F) {
	for _, raw := range seeds(f) {
		f.Add(raw, "", "")
	}
	for _, text := range []string{
		"", "\ufeff", "\xff\xfe", "\xff\xfe\x00", "sep=", "sep=;\na;b", "a,b\r\rc,d\r\n\r\r\n", "a\n\"", "a,\"b\n\n\"c\"\n\nd,e\n",
		"a\x00\n", "\x81\n\x40", "n\n\xc4\xa3\n\x84\x31\x95\x33\xff", "\x1f\x8b\x08\x00", "PK\x03\x04", gzipped("PK\x03\x04"),
	} {
		f.Add([]byte(text), "", ";")
		f.Add([]byte(text), "gbk", "")
	}
	f.Fuzz(func(t *testing.T, in []byte, encoding, delimiter string) {
		opts := spreadsheet.Options{Encoding: encoding}
		opts.Delimiter, _ = spreadsheet.ParseDelimiter(delimiter)
		check(t, bytes.NewReader(in), opts)
		check(t, io.MultiReader(bytes.NewReader(in)), opts)
	})
}

// What makes a sheet up goes to the reader of cells, without the archive around
// it, which would keep a fuzzer busy with checksums.
func FuzzCells(f *testing.F) {
	const texts, styles = "<sst><si><t>a</t></si></sst>", `<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>`
	for _, rows := range []string{
		`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" s="1"><v>46085.5</v></c></row><row r="3"><c t="e"><v>#REF!</v></c></row>`,
		`<row><c t="inlineStr"><is><r><t>a_x000D_</t></r><rPh><t>b</t></rPh></is></c><c><f>1</f></c><c><v>1E+15</v></c></row>`, "<row><c", "",
	} {
		f.Add(rows, texts, styles)
	}
	f.Fuzz(func(t *testing.T, rows, texts, styles string) {
		check(t, book(t, map[string]string{
			"xl/worksheets/sheet1.xml": "<worksheet><sheetData>" + rows + "</sheetData></worksheet>",
			"xl/sharedStrings.xml":     texts, "xl/styles.xml": styles,
		}), spreadsheet.Options{})
	})
}
