package spreadsheet

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
)

// ErrBookFull is the error of a row that does not fit into a workbook.
var ErrBookFull = errors.New("a workbook has at most 1,048,576 rows of 16,384 columns; write a .csv")

// bookParts are the parts of a workbook beside its one sheet (ECMA-376, SpreadsheetML).
// Every cell is formatted as text ("@", number 49), so that no spreadsheet makes a
// date or a rounded number of what is typed; the second format is that of the header.
var bookParts = []struct{ name, text string }{
	{"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
		`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
		`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>` +
		`<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>` +
		`<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>`},
	{"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
	{"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">` +
		`<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>`},
	{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>` +
		`<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>`},
	{"xl/styles.xml", `<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">` +
		`<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>` +
		`<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>` +
		`<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>` +
		`<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>` +
		`<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>` +
		`<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>` +
		`<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1"/></cellXfs>` +
		`<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>`},
}

const (
	xmlHead    = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	sheetBegin = xmlHead + `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">` +
		`<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>` +
		`<cols><col min="1" max="16384" width="20" style="1" customWidth="1"/></cols><sheetData>`
	sheetEnd = `</sheetData></worksheet>`
)

// BookWriter writes a workbook with one sheet, whose first row is a header and
// whose cells are all texts, none a formula. Each row goes out as it is written.
type BookWriter struct {
	zip     *zip.Writer
	out     *bufio.Writer
	line    int
	columns []string // their names: A, B, …
	buf     []byte
}

// NewBookWriter begins a workbook.
func NewBookWriter(w io.Writer) (*BookWriter, error) {
	b := &BookWriter{zip: zip.NewWriter(w)}
	b.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed)
	})
	for _, p := range bookParts {
		part, err := b.zip.Create(p.name)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(part, xmlHead+p.text); err != nil {
			return nil, err
		}
	}
	part, err := b.zip.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		return nil, err
	}
	b.out = bufio.NewWriterSize(part, 64<<10)
	_, err = b.out.WriteString(sheetBegin)
	return b, err
}

// Write writes a row. A text that is longer than a cell may be is cut.
func (b *BookWriter) Write(cells []string) error {
	if b.line++; b.line > maxRows || len(cells) > maxColumns {
		return ErrBookFull
	}
	style := "1"
	if b.line == 1 {
		style = "2"
	}
	line := strconv.Itoa(b.line)
	b.buf = append(append(append(b.buf[:0], `<row r="`...), line...), `">`...)
	for i, c := range cells {
		if i == len(b.columns) {
			b.columns = append(b.columns, columnName(i))
		}
		if c == "" {
			continue
		}
		b.buf = append(append(append(b.buf, `<c r="`...), b.columns[i]...), line...)
		b.buf = append(append(append(b.buf, `" s="`...), style...), `" t="inlineStr"><is><t xml:space="preserve">`...)
		b.buf = append(appendXML(b.buf, cut(c)), `</t></is></c>`...)
	}
	_, err := b.out.Write(append(b.buf, `</row>`...))
	return err
}

// Close completes the workbook. It does not close what it is written to.
func (b *BookWriter) Close() error {
	if _, err := b.out.WriteString(sheetEnd); err != nil {
		return err
	}
	if err := b.out.Flush(); err != nil {
		return err
	}
	return b.zip.Close()
}

// columnName returns the name of a column, counted from 0: A to XFD.
func columnName(i int) string {
	name := ""
	for i++; i > 0; i = (i - 1) / 26 {
		name = string(rune('A'+(i-1)%26)) + name
	}
	return name
}

// cut cuts a text to what a cell may hold: 32,767 characters, of which those
// beyond the Basic Multilingual Plane count twice.
func cut(text string) string {
	const most = 32767
	if len(text) <= most {
		return text
	}
	n := 0
	for i, r := range text {
		n++
		if r > 0xffff {
			n++
		}
		if n > most-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// appendXML appends a text as a workbook holds it: control characters, and what
// looks like one of their escapes, are escaped (ECMA-376 part 1, 22.9.2.19).
func appendXML(out []byte, text string) []byte {
	for i, r := range text {
		switch {
		case r == '_' && looksEscaped(text[i:]):
			out = append(out, "_x005F_"...)
		case r == '&':
			out = append(out, "&amp;"...)
		case r == '<':
			out = append(out, "&lt;"...)
		case r == '>':
			out = append(out, "&gt;"...)
		case r < ' ' && r != '\t' && r != '\n', r == 0xfffe, r == 0xffff:
			out = fmt.Appendf(out, "_x%04X_", r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// looksEscaped does not wait for the last underscore of an escape: the character
// behind may become one.
func looksEscaped(text string) bool {
	const size = len("_x0041")
	return len(text) >= size && escaped.MatchString(text[:size]+"_")
}
