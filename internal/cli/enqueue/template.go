package enqueue

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/spreadsheet"
)

// template writes an empty table: a header and a row that shows what goes where.
func template(f *cmdutil.Factory, name string) error {
	ending := strings.ToLower(filepath.Ext(name))
	if name != "" && name != "-" && ending != ".csv" && ending != ".xlsx" {
		return exit.Usagef("-o %s: the name must end in .csv or .xlsx, which says what is written", name)
	}
	if _, err := f.Dir.Stat(name); err == nil && name != "" {
		return exit.Usagef("-o %s exists; name another file", name)
	}
	out, err := f.Dir.Create("the template", "-o", name, "", f.Stdout)
	if err != nil {
		return err
	}
	form, _ := spreadsheet.FormOf(name)
	header, example := rowfile.Template()
	w := spreadsheet.NewRowWriter(form, out, nil)
	if err := errors.Join(w.Header(header, nil), w.Row(example, nil), w.Close()); err != nil {
		out.Discard()
		return out.Failure(err)
	}
	return out.Failure(out.Save())
}
