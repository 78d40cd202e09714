package main

import (
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/camsq/camsq/enqueue"
)

// template writes an empty table: a header and a row that shows what goes where.
func (p *program) template(name string) error {
	ending := strings.ToLower(filepath.Ext(name))
	if name != "" && name != "-" && ending != ".csv" && ending != ".xlsx" {
		return usage("-o %s: the name must end in .csv or .xlsx, which says what is written", name)
	}
	if _, err := os.Stat(name); err == nil && name != "" {
		return usage("-o %s is there already; name another file", name)
	}
	out, err := openOutput(name, "", p.stdout)
	if err != nil {
		return err
	}
	write := writeTemplateText
	if ending == ".xlsx" {
		write = writeTemplateBook
	}
	if err := write(out); err != nil {
		out.discard()
		return writeError(err)
	}
	return writeError(out.save())
}

func writeTemplateText(out io.Writer) error {
	if _, err := io.WriteString(out, "\ufeff"); err != nil {
		return err
	}
	header, example := enqueue.Template()
	w := csv.NewWriter(out)
	return w.WriteAll([][]string{header, example})
}

// writeTemplateBook formats every column as text, so that no spreadsheet makes
// dates and rounded numbers of what is typed.
func writeTemplateBook(out io.Writer) error {
	book := excelize.NewFile()
	defer book.Close()
	const name, widest = "Sheet1", "XFD"
	const textFormat = 49 // "@" (ECMA-376 part 1, 18.8.30)
	text, err := book.NewStyle(&excelize.Style{NumFmt: textFormat})
	if err != nil {
		return err
	}
	bold, err := book.NewStyle(&excelize.Style{NumFmt: textFormat, Font: &excelize.Font{Bold: true}})
	if err != nil {
		return err
	}
	header, example := enqueue.Template()
	last, err := excelize.ColumnNumberToName(len(header))
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return book.SetColStyle(name, "A:"+widest, text) },
		func() error { return book.SetColWidth(name, "A", last, 22) },
		func() error { return book.SetSheetRow(name, "A1", &header) },
		func() error { return book.SetSheetRow(name, "A2", &example) },
		func() error { return book.SetCellStyle(name, "A1", last+"1", bold) },
		func() error {
			return book.SetPanes(name, &excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"})
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	_, err = book.WriteTo(out)
	return err
}
