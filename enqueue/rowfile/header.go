package rowfile

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/camsq/camsq/internal/spreadsheet"
	"github.com/camsq/camsq/tasks"
)

// set is a column's value for rows that have none.
type set struct {
	column
	value string
}

// readHeader reads the first row. Its error is a [*FileError].
func (in *reader) readHeader() (line int, err error) {
	row, err := in.table.Next()
	fail := func(reason string) (int, error) {
		return in.line, &FileError{File: in.opts.File, Line: in.line, Reason: reason}
	}
	in.line = max(1, row.Line)
	if errors.Is(err, io.EOF) {
		in.line = 1
		return fail("the file is empty; its first row must name the columns")
	}
	if bad, ok := errors.AsType[*spreadsheet.RowError](err); ok {
		return fail("the header " + bad.Reason)
	}
	if err != nil {
		return in.line, fileError(in.opts.File, err)
	}
	in.header = in.unguard(row.Cells)
	for n := len(in.header); n > 0 && row.Kinds != nil && in.header[n-1] == ""; n-- {
		in.header = in.header[:n-1] // a workbook may have empty cells beside the table
	}
	if in.rejected = len(in.header) > 0 && trimName(in.header[0]) == RejectedColumn; in.rejected {
		in.header = in.unguard(in.header)
	}
	for _, name := range slices.Sorted(maps.Keys(in.opts.Set)) {
		c, reason := knownColumns().find(trimName(name))
		if reason != "" {
			return fail(fmt.Sprintf("the column %q that is set %s", clip(name), reason))
		}
		in.sets = append(in.sets, set{c, in.opts.Set[name]})
	}
	cols, problem := in.columns()
	if problem != nil {
		problem.File, problem.Line = in.opts.File, in.line
		return in.line, problem
	}
	in.cols = cols
	in.reportFormat()
	return in.line, nil
}

// columns returns the file's columns, in order.
func (in *reader) columns() (columns, *FileError) {
	known := knownColumns()
	if reason := in.checkHeader(known); reason != "" {
		return nil, &FileError{Reason: reason}
	}
	mapped, problem := in.mapped()
	if problem != nil {
		return nil, problem
	}
	cols := make(columns, len(in.header))
	first := map[string]int{}
	for i, name := range in.header {
		name = trimName(name)
		target := name
		if m, ok := mapped[i]; ok {
			target = m
		}
		if name == "" {
			if in.opts.IgnoreUnknown {
				cols[i] = column{set: ignore}
			}
			continue
		}
		c, reason := known.find(target)
		if reason != "" && in.opts.IgnoreUnknown && target == name {
			cols[i] = column{name: name, set: ignore}
			in.ignored = append(in.ignored, name)
			continue
		}
		if reason != "" {
			return nil, &FileError{Unknown: name, Reason: fmt.Sprintf("column %d %q %s", i+1, clip(target), reason)}
		}
		if at, twice := first[c.field]; twice {
			return nil, &FileError{Reason: fmt.Sprintf("column %d %q is the same as column %d; remove one", i+1, clip(name), at)}
		}
		first[c.field] = i + 1
		c.name = name
		cols[i] = c
	}
	for _, s := range in.sets {
		first[s.field] = 0
	}
	var missing []string
	for _, p := range tasks.Params() {
		if _, ok := first[p.Name]; p.Required && !ok {
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		return nil, &FileError{Reason: "the header has no column " + strings.Join(missing, " and no column ")}
	}
	return cols, nil
}

func ignore(*tasks.Job, string) {}

// trimName removes invisible characters from the ends of a name: all kinds of space,
// and the byte order marks of concatenated files.
func trimName(name string) string { return tasks.CleanText(name) }

// mapped returns the new names of the columns that [Options].Map renames, by index.
func (in *reader) mapped() (map[int]string, *FileError) {
	out := map[int]string{}
	for _, from := range slices.Sorted(maps.Keys(in.opts.Map)) {
		to, found := in.opts.Map[from], false
		for i, name := range in.header {
			if strings.EqualFold(trimName(name), trimName(from)) {
				out[i], found = to, true
			}
		}
		if !found {
			return nil, &FileError{Mapped: from + "=" + to, Reason: fmt.Sprintf("the file has no column %q, which is to be %s%s", clip(from), clip(to), in.meant(from))}
		}
	}
	return out, nil
}

// meant suggests the column of the file whose name is closest to a missing one.
func (in *reader) meant(name string) string {
	var existing columns
	for _, c := range in.header {
		if c = trimName(c); c != "" {
			existing = append(existing, column{name: c})
		}
	}
	c, d := existing.nearest(name)
	if d > maxTypo {
		var like bool
		if c, like = existing.alike(name); !like {
			return ""
		}
	}
	return fmt.Sprintf("; did you mean %q?", clip(c.name))
}

// checkHeader returns why the first row is not a header, or "".
func (in *reader) checkHeader(known columns) string {
	text := strings.Join(in.header, "")
	if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
		return "the header holds characters that do not fit its encoding; give the encoding, or save the file as CSV UTF-8"
	}
	isKnown := func(name string) bool {
		_, d := known.nearest(name)
		return d <= maxTypo
	}
	for from := range in.opts.Map {
		if slices.ContainsFunc(in.header, func(name string) bool { return strings.EqualFold(trimName(name), trimName(from)) }) {
			return ""
		}
	}
	switch {
	case slices.ContainsFunc(in.header, isKnown):
		return ""
	case len(in.header) == 1 && strings.ContainsAny(text, ",;\t|"):
		return "the header is one column only; is " + delimiterWord(in.table.Format().Delimiter) + " what stands between the columns?"
	case len(in.opts.Map) > 0:
		return "" // its columns are named, and missing
	}
	// Its cells are values then, perhaps personal ones: the reason repeats none.
	return "the first row names no known column; it must be a header, such as ChannelType,InstanceName"
}

func delimiterWord(d rune) string {
	switch d {
	case ',':
		return "a comma"
	case ';':
		return "a semicolon"
	case '\t':
		return "a tab"
	}
	return fmt.Sprintf("%q", d)
}
