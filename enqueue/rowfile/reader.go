package rowfile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/camsq/camsq/internal/spreadsheet"
	"github.com/camsq/camsq/tasks"
)

// reader turns a table's rows into jobs.
type reader struct {
	opts    Options
	table   *spreadsheet.Table
	line    int // of the header
	header  []string
	cols    columns
	sets    []set
	ignored []string
	// rejected means that the file is one of rejected rows, with reasons and guards.
	rejected bool
	reported bool
	encoding string // as reported
}

// reportFormat reports the file's format if it is new.
func (in *reader) reportFormat() {
	if f := in.table.Format(); in.opts.OnFormat != nil && (!in.reported || f.Encoding != in.encoding) {
		in.reported, in.encoding = true, f.Encoding
		info := FileInfo{Format: f.String(), Delimiter: f.Delimiter, Ignored: in.ignored}
		if f.Guessed {
			info.Guessed = f.Encoding
		}
		in.opts.OnFormat(info)
	}
}

// unguard removes the reason and the guards from a rejected row.
func (in *reader) unguard(cells []string) []string {
	if !in.rejected || len(cells) == 0 {
		return cells
	}
	out := make([]string, len(cells)-1)
	for i, c := range cells[1:] {
		out[i] = spreadsheet.Unguard(c)
	}
	return out
}

// next returns a row. Its error is io.EOF, a [*RowError] or a [*FileError].
func (in *reader) next() (Row, error) {
	for {
		got, err := in.table.Next()
		in.reportFormat()
		row := Row{Line: got.Line, Header: in.header, Raw: got.Raw}
		switch bad, isRow := errors.AsType[*spreadsheet.RowError](err); {
		case errors.Is(err, io.EOF):
			return Row{}, io.EOF
		case isRow:
			return row, in.rowError(got.Line, Problem{Reason: bad.Reason})
		case err != nil:
			return row, fileError(in.opts.File, err)
		}
		row.Cells = in.unguard(got.Cells)
		kinds := got.Kinds
		if in.rejected && len(kinds) > 0 {
			kinds = kinds[1:]
		}
		if kinds != nil {
			row.Cells, kinds = fit(row.Cells, kinds, len(in.header))
		}
		if in.rejected && !slices.ContainsFunc(row.Cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
			continue // only the reason is left
		}
		if row.Job, err = in.job(row.Cells, spreadsheet.Row{Line: got.Line, Kinds: kinds}); err == nil {
			row.Name = in.typedName(row)
		}
		return row, err
	}
}

// typedName returns the name of a row's job as written.
func (in *reader) typedName(row Row) string {
	for i, c := range in.cols {
		if c.field == "InstanceName" && row.Cells[i] != "" {
			return row.Cells[i]
		}
	}
	return row.Job.Request.InstanceName // [Options].Set has it
}

// fit gives a workbook's row the width of its header. It keeps cells beyond it that
// are not blank.
func fit(cells []string, kinds []spreadsheet.Kind, width int) ([]string, []spreadsheet.Kind) {
	for n := len(cells); n > width && strings.TrimSpace(cells[n-1]) == ""; n-- {
		cells, kinds = cells[:n-1], kinds[:n-1]
	}
	for len(cells) < width {
		cells, kinds = append(cells, ""), append(kinds, spreadsheet.KindText)
	}
	return cells, kinds
}

func (in *reader) rowError(line int, problems ...Problem) error {
	return &RowError{File: in.opts.File, Line: line, Problems: problems}
}

// job returns the job of a row. Its error is a [*RowError].
func (in *reader) job(cells []string, row spreadsheet.Row) (tasks.Job, error) {
	if len(cells) != len(in.cols) {
		reason := fmt.Sprintf("has %s, but the header has %d", fields(len(cells)), len(in.cols))
		if d := in.table.Format().Delimiter; d != 0 {
			reason += "; put a field that holds " + delimiterWord(d) + " in quotation marks"
		}
		return tasks.Job{}, in.rowError(row.Line, Problem{Reason: reason})
	}
	job := tasks.Job{Batch: in.opts.Batch}
	for _, s := range in.sets {
		s.set(&job, s.value)
	}
	var problems []Problem
	faulty := map[string]bool{}
	for i, value := range cells {
		c := in.cols[i]
		if reason := c.spreadsheetDamage(value, row.Kind(i)); reason != "" {
			problems = append(problems, Problem{Column: c.name, Reason: reason})
			faulty[c.field] = true
		}
		switch {
		case strings.TrimSpace(value) == "":
		case c.set == nil:
			problems = append(problems, Problem{Reason: fmt.Sprintf("has a value in column %d, which has no name", i+1)})
		default:
			c.set(&job, value)
		}
	}
	if job.Account == "" {
		job.Account = in.opts.Account
	}
	if job.Priority == "" { // "normal" in a row overrides the file's
		job.Priority = in.opts.Priority
	}
	job = job.Normalize()
	if isExample(job) {
		return tasks.Job{}, in.rowError(row.Line, Problem{Reason: "is the example row of the template; remove it"})
	}
	if invalid, ok := errors.AsType[*tasks.InvalidError](job.Validate(in.opts.Rules)); ok {
		for _, f := range invalid.Fields {
			if !faulty[f.Field] {
				problems = append(problems, Problem{Column: in.cols.nameOf(f.Field), Reason: f.Reason})
			}
		}
	}
	if len(problems) > 0 {
		return tasks.Job{}, in.rowError(row.Line, problems...)
	}
	return job, nil
}

func fields(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}
