package spreadsheet

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// What a sheet has at most, as Excel documents it.
	maxRows    = 1 << 20
	maxColumns = 1 << 14
	// maxRowXML bounds a row of a sheet as it is written, marks and all.
	maxRowXML = 4 << 20
)

// cells reads the rows of a sheet.
type cells struct {
	part    *part
	limit   *limitReader
	xml     *xml.Decoder
	book    *workbook
	styles  []style
	strings *sharedStrings
	line    int // of the last row
	value   []byte
}

// open makes ready for a sheet's first row. The strings that its cells share are
// read now.
func (b *workbook) open(name string) (*cells, error) {
	styles, err := b.readStyles()
	if err != nil {
		return nil, err
	}
	p, err := b.openPart(name)
	if err != nil {
		return nil, err
	}
	c := &cells{part: p, book: b, styles: styles, limit: &limitReader{r: p}}
	c.xml = xml.NewDecoder(bufio.NewReaderSize(c.limit, 64<<10))
	if c.strings, err = b.readStrings(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cells) close() {
	_ = c.part.Close()
	c.strings.close()
}

func (c *cells) next() (Row, error) {
	c.limit.end = c.xml.InputOffset() + maxRowXML
	for {
		token, err := c.xml.RawToken()
		if err != nil {
			return c.failed(unexpected(err))
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local == "row" {
				row, err := c.row(e)
				if err != nil {
					return c.failed(err)
				}
				return row, nil
			}
		case xml.EndElement:
			if e.Name.Local == "sheetData" {
				return c.end()
			}
		}
	}
}

// end reads what follows the cells: the archive's checksum is at the end.
func (c *cells) end() (Row, error) {
	if _, err := io.Copy(io.Discard, c.part); err != nil {
		return c.failed(err)
	}
	return Row{Line: c.line}, io.EOF
}

func (c *cells) failed(err error) (Row, error) {
	if errors.Is(err, errTooLong) {
		err = reason("a row here takes more than 4 MiB, as no honest one does")
	}
	line := max(1, c.line)
	return Row{Line: line}, workbookError(err, line)
}

// row reads the cells of a row. Those that are not there are empty.
func (c *cells) row(e xml.StartElement) (Row, error) {
	line := c.line + 1
	if r := attr(e, "r"); r != "" {
		n, err := strconv.Atoi(r)
		if err != nil || n < line || n > maxRows {
			return Row{}, reason(fmt.Sprintf("the workbook is damaged: after row %d comes row %q", c.line, clip(r)))
		}
		line = n
	}
	c.line = line
	row := Row{Line: line}
	for column := 0; ; {
		token, err := c.xml.RawToken()
		if err != nil {
			return row, unexpected(err)
		}
		switch e := token.(type) {
		case xml.EndElement:
			if e.Name.Local == "row" {
				return row, nil
			}
		case xml.StartElement:
			if e.Name.Local != "c" {
				continue
			}
			if ref := attr(e, "r"); ref != "" {
				column = columnOf(ref)
			}
			if column < len(row.Cells) || column >= maxColumns {
				return row, reason(fmt.Sprintf("the workbook is damaged: row %d has cells out of order", line))
			}
			text, kind, err := c.cell(e)
			if err != nil {
				return row, err
			}
			for len(row.Cells) < column {
				row.Cells, row.Kinds = append(row.Cells, ""), append(row.Kinds, KindText)
			}
			row.Cells, row.Kinds = append(row.Cells, text), append(row.Kinds, kind)
			column++
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// columnOf returns the column of a reference such as AB12, from 0; -1 if it names none.
func columnOf(ref string) int {
	n := 0
	for i := 0; i < len(ref) && i < 4 && isLetter(ref[i]); i++ {
		n = n*26 + int(ref[i]&^0x20-'A') + 1
	}
	return n - 1
}

// cell reads one cell up to its end.
func (c *cells) cell(e xml.StartElement) (string, Kind, error) {
	kind := attr(e, "t")
	styled, _ := strconv.Atoi(attr(e, "s"))
	c.value = c.value[:0]
	var valued, formula, within bool // within: in an element whose text is the value
	phonetic := 0
	for {
		token, err := c.xml.RawToken()
		if err != nil {
			return "", KindText, unexpected(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "v", "t":
				within = phonetic == 0
				valued = valued || within
			case "f":
				formula = true
			case "rPh":
				phonetic++
			}
		case xml.CharData:
			if within {
				c.value = append(c.value, e...)
			}
		case xml.EndElement:
			switch e.Name.Local {
			case "v", "t":
				within = false
			case "rPh":
				phonetic--
			case "c":
				if !valued && formula {
					return "", KindFormulaWithoutValue, nil
				}
				return c.convert(kind, styled)
			}
		}
	}
}

// convert makes text of a cell's value (ECMA-376 part 1, 18.18.11).
func (c *cells) convert(kind string, styled int) (string, Kind, error) {
	switch kind {
	case "s":
		i, err := strconv.Atoi(string(c.value))
		if err != nil {
			return "", KindText, reason("the workbook is damaged: a cell names no shared string")
		}
		text, err := c.strings.get(i)
		return text, KindText, err
	case "b":
		if isTrue(string(c.value)) {
			return "TRUE", KindText, nil
		}
		return "FALSE", KindText, nil
	case "e":
		return string(c.value), KindCellError, nil
	case "d":
		return string(c.value), KindDate, nil
	case "str", "inlineStr":
		return plainString(string(c.value)), KindText, nil
	}
	if len(c.value) == 0 {
		return "", KindText, nil
	}
	var s style
	if 0 <= styled && styled < len(c.styles) {
		s = c.styles[styled]
	}
	number, err := strconv.ParseFloat(string(c.value), 64)
	if err != nil || math.IsInf(number, 0) || math.IsNaN(number) {
		return "", KindText, reason("the workbook is damaged: a cell's number is none")
	}
	if s.date {
		return c.date(number), KindDate, nil
	}
	return numberText(string(c.value), number, s.zeros)
}

// maxExact is the largest integer up to which a float64 holds them all.
const maxExact = 1 << 53

// numberText writes a number with all its digits: 123, not 123.0 or 1.23E+02. A
// spreadsheet keeps 15 digits of what is typed, and puts zeros for the others; only
// a program writes a 16th.
func numberText(raw string, number float64, zeros int) (string, Kind, error) {
	raw = strings.TrimSpace(raw)
	if math.Abs(number) >= 1e15 {
		if n, err := strconv.ParseInt(raw, 10, 64); err == nil && n <= maxExact && n%10 != 0 {
			return raw, KindNumber, nil
		}
		return raw, KindRounded, nil
	}
	if number != math.Trunc(number) {
		// 0.30000000000000004 is 0.3 to the person who typed it.
		number, _ = strconv.ParseFloat(strconv.FormatFloat(number, 'g', 15, 64), 64)
	}
	text := strconv.FormatFloat(number, 'f', -1, 64)
	if len(text) < zeros && strings.Trim(text, "0123456789") == "" {
		text = strings.Repeat("0", zeros-len(text)) + text
	}
	return text, KindNumber, nil
}

// date writes a number of days as the date and time that it is shown as.
func (c *cells) date(days float64) string {
	start := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	if c.book.from1904 {
		start = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	const most = 2958466 // the last day that Excel knows is in the year 9999
	if days < 0 || days >= most {
		return strconv.FormatFloat(days, 'f', -1, 64)
	}
	at := start.AddDate(0, 0, int(days)).Add(time.Duration((days - math.Trunc(days)) * float64(24*time.Hour))).Round(time.Second)
	switch {
	case days < 1:
		return at.Format("15:04:05")
	case days == math.Trunc(days):
		return at.Format(time.DateOnly)
	}
	return at.Format(time.DateTime)
}

// escaped is how a workbook writes what XML cannot hold (ECMA-376 part 1, 22.9.2.19).
var escaped = regexp.MustCompile(`_x[0-9A-Fa-f]{4}_`)

// plainString undoes that, and gives every line the same end.
func plainString(s string) string {
	if strings.Contains(s, "_x") {
		s = escaped.ReplaceAllStringFunc(s, func(e string) string {
			n, _ := strconv.ParseUint(e[2:6], 16, 16)
			return string(rune(n))
		})
	}
	if strings.Contains(s, "\r") {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	return s
}
