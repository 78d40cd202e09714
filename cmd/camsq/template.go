package main

import (
	"errors"
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
	form, _ := spreadsheet.FormOf(name)
	header, example := rowfile.Template()
	w := spreadsheet.NewRowWriter(form, out, nil)
	if err := errors.Join(w.Header(header, nil), w.Row(example, nil), w.Close()); err != nil {
		out.discard()
		return writeError(err)
	}
	return writeError(out.save())
}
