package main

import (
	"encoding/csv"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/spreadsheet"
)

// template writes an empty table: a header and a row that shows what goes where.
func (p *program) template(name string) error {
	ending := strings.ToLower(filepath.Ext(name))
	if name != "" && name != "-" && ending != ".csv" && ending != ".xlsx" {
		return usage("-o %s: the name must end in .csv or .xlsx, which says what is written", name)
	}
	if _, err := p.dir.stat(name); err == nil && name != "" {
		return usage("-o %s is there already; name another file", name)
	}
	out, err := p.dir.create("-o", name, "", p.stdout)
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
	header, example := rowfile.Template()
	w := csv.NewWriter(out)
	return w.WriteAll([][]string{header, example})
}

func writeTemplateBook(out io.Writer) error {
	w, err := spreadsheet.NewBookWriter(out)
	if err != nil {
		return err
	}
	header, example := rowfile.Template()
	return errors.Join(w.Write(header), w.Write(example), w.Close())
}
