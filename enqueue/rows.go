package enqueue

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/camsq/camsq/internal/spreadsheet"
	"github.com/camsq/camsq/tasks"
)

// RejectedColumn is the name of the first column of a file of rows that were
// refused: why, for people. [ReadRows] leaves that column out, and takes the
// apostrophes away that guard the other cells, so that such a file can be given
// back once it is corrected.
const RejectedColumn = "camsq_rejected"

// ReadOptions are for [ReadRows]. The zero value is good.
type ReadOptions struct {
	// File is the file's name for messages. Defaults to none.
	File string
	// Account is the account of rows that name none. Defaults to "default".
	Account string
	// Batch is the batch of every row. Defaults to none.
	Batch string
	// Priority is the priority of rows that name none. Defaults to the normal one.
	Priority tasks.Priority
	// Rules are what every row is held to. Defaults to those of [tasks.Rules].
	Rules tasks.Rules

	// Encoding is the text's, under its name in the WHATWG's list (gb18030,
	// windows-1252). Defaults to what the file's mark says, or else to what fits:
	// strict UTF-8, then GB18030.
	Encoding string
	// Delimiter stands between the cells of text. Defaults to the one of comma,
	// semicolon, tab and vertical bar that the header has most of.
	Delimiter rune
	// Sheet is the name of a workbook's sheet. Defaults to the first visible one.
	Sheet string

	// Map gives columns of the file, by their name there, the name of a known one.
	Map map[string]string
	// Set holds the values, by the name of the column, of rows that have none.
	Set map[string]string
	// IgnoreUnknown leaves columns out that are not known, which are an error otherwise.
	IgnoreUnknown bool

	// Found is told what the file is when its header is read, and again when its
	// encoding shows itself later. It may be nil.
	Found func(Found)
}

// Found is what a file was found to be.
type Found struct {
	// Format is for people: "GB18030, semicolons".
	Format string
	// Delimiter is what stands between the cells of text; 0 for a workbook.
	Delimiter rune
	// Ignored are the columns that [ReadOptions].IgnoreUnknown leaves out.
	Ignored []string
	// Guessed is the encoding if nothing but the look of the text says so: GB18030,
	// which takes nearly any pair of bytes for a character. "" otherwise.
	Guessed string
}

// Row is a job, and where it stands in its file.
type Row struct {
	// Line is where the row begins, counted from 1; in a workbook it is the row.
	Line int
	// Header and Cells are the file's first row and this one, as they are written.
	// Cells may be more or fewer than the header; it is nil where the row cannot be
	// split into cells. The rows of a file share their Header.
	Header, Cells []string
	// Raw is the row's text where it cannot be split into cells.
	Raw string
	// Job is normalised and valid; it is empty where the row has an error.
	Job tasks.Job
	// Name is the job's InstanceName as the file has it. It differs from the job's in
	// nothing that can be seen: see [tasks.Job.Normalize].
	Name string
}

// ReadRows reads jobs from a table: text with separators in any common encoding,
// or a workbook (.xlsx), each also packed with gzip or zstd; the file's name plays
// no part. It holds one row at a time, and never more than a row of 1 MiB. A
// workbook is read where it is if r is an *os.File or has Size and ReadAt; otherwise
// it waits in a temporary file, as a workbook's shared strings do. The sequence can
// be used once.
//
// The first row names the columns: the parameters of CreateInstance, of which
// ChannelType and InstanceName are required, and job_id, account, priority (high
// or normal), callback_url and metadata.KEY. Case and underscores do not matter
// (instance_name), but the KEY is taken as it is written. Rows that are blank are
// skipped.
//
// A row that is no valid job comes as a [*RowError] and reading goes on; what a
// spreadsheet has made of a value (a date of a name, 3.9E+08 of an ID) is no valid
// value. A [*FileError] is always the last element: the file or its header cannot
// be understood, it has no rows, or reading broke off. Two rows that are the same
// job are both returned: they have the same ID. So are rows whose names differ only in
// what cannot be seen; [Row].Name tells them apart.
func ReadRows(r io.Reader, opts ReadOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		table, err := spreadsheet.Open(r, spreadsheet.Options{Encoding: opts.Encoding, Delimiter: opts.Delimiter, Sheet: opts.Sheet})
		if err != nil {
			yield(Row{Line: 1}, fileError(opts.File, err))
			return
		}
		defer table.Close()
		in := &reader{opts: opts, table: table}
		if line, err := in.begin(); err != nil {
			yield(Row{Line: line}, err)
			return
		}
		rows := 0
		for {
			row, err := in.next()
			if errors.Is(err, io.EOF) {
				break
			}
			rows++
			if !yield(row, err) {
				return
			}
			if _, fatal := errors.AsType[*FileError](err); fatal {
				return
			}
		}
		if rows == 0 {
			yield(Row{Line: in.line}, &FileError{File: opts.File, Line: in.line, Reason: "the file has a header but no rows"})
		}
	}
}

// fileError is the reading layer's error with the file's name.
func fileError(file string, err error) *FileError {
	e, ok := errors.AsType[*spreadsheet.Error](err)
	if !ok {
		e = &spreadsheet.Error{Line: 1, Reason: "reading the file broke off", Err: err}
	}
	return &FileError{File: file, Line: e.Line, Reason: e.Reason, Encoding: e.Encoding, Err: e.Err}
}

// reader makes jobs of a table's rows.
type reader struct {
	opts    ReadOptions
	table   *spreadsheet.Table
	line    int // of the header
	header  []string
	cols    columns
	sets    []set
	ignored []string
	// rejected says that the file holds rows that were refused, with reasons and guards.
	rejected bool
	zeros    []zeros // by column
	told     bool
	encoding string // that was told
}

// set is a value for rows that have none in a column.
type set struct {
	column
	value string
}

// begin reads the header. Its error is a [*FileError].
func (in *reader) begin() (line int, err error) {
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
	in.header = in.plain(row.Cells)
	for n := len(in.header); n > 0 && row.Kinds != nil && in.header[n-1] == ""; n-- {
		in.header = in.header[:n-1] // a workbook has cells beside the table that are empty
	}
	if in.rejected = len(in.header) > 0 && trimName(in.header[0]) == RejectedColumn; in.rejected {
		in.header = in.plain(in.header)
	}
	for _, name := range slices.Sorted(maps.Keys(in.opts.Set)) {
		c, reason := knownColumns().find(trimName(name))
		if reason != "" {
			return fail(fmt.Sprintf("the column %q that is set %s", clip(name), reason))
		}
		in.sets = append(in.sets, set{c, in.opts.Set[name]})
	}
	cols, problem := in.readHeader()
	if problem != nil {
		problem.File, problem.Line = in.opts.File, in.line
		return in.line, problem
	}
	in.cols, in.zeros = cols, make([]zeros, len(cols))
	in.tell()
	return in.line, nil
}

// tell says what the file was found to be, if that is new.
func (in *reader) tell() {
	if f := in.table.Format(); in.opts.Found != nil && (!in.told || f.Encoding != in.encoding) {
		in.told, in.encoding = true, f.Encoding
		found := Found{Format: f.String(), Delimiter: f.Delimiter, Ignored: in.ignored}
		if f.Guessed {
			found.Guessed = f.Encoding
		}
		in.opts.Found(found)
	}
}

// plain takes away what was added to rows that were refused.
func (in *reader) plain(cells []string) []string {
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
		in.tell()
		row := Row{Line: got.Line, Header: in.header, Raw: got.Raw}
		switch bad, isRow := errors.AsType[*spreadsheet.RowError](err); {
		case errors.Is(err, io.EOF):
			return Row{}, io.EOF
		case isRow:
			return row, in.rowError(got.Line, Problem{Reason: bad.Reason})
		case err != nil:
			return row, fileError(in.opts.File, err)
		}
		row.Cells = in.plain(got.Cells)
		kinds := got.Kinds
		if in.rejected && len(kinds) > 0 {
			kinds = kinds[1:]
		}
		if kinds != nil {
			row.Cells, kinds = fit(row.Cells, kinds, len(in.header))
		}
		if in.rejected && !slices.ContainsFunc(row.Cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
			continue // only its reason is left
		}
		if row.Job, err = in.job(row.Cells, spreadsheet.Row{Line: got.Line, Kinds: kinds}); err == nil {
			row.Name = in.typedName(row)
		}
		return row, err
	}
}

// typedName is the name of a row's job before it was normalised.
func (in *reader) typedName(row Row) string {
	for i, c := range in.cols {
		if c.field == "InstanceName" && row.Cells[i] != "" {
			return row.Cells[i]
		}
	}
	return row.Job.Request.InstanceName // it was set for all rows
}

// fit gives a workbook's row the width of its header. Cells beyond it stay where
// they hold something.
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

// readHeader returns the file's columns, or why it cannot.
func (in *reader) readHeader() (columns, *FileError) {
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

// trimName takes away what cannot be seen at the ends of a name: spaces of all
// kinds, and marks that were left when files were put together.
func trimName(name string) string { return tasks.CleanText(name) }

// mapped returns the names that columns of the file are given, by where they stand.
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

// meant asks for the column of the file whose name is most like one that it lacks.
func (in *reader) meant(name string) string {
	var there columns
	for _, c := range in.header {
		if c = trimName(c); c != "" {
			there = append(there, column{name: c})
		}
	}
	c, d := there.nearest(name)
	if d > maxTypo {
		var like bool
		if c, like = there.alike(name); !like {
			return ""
		}
	}
	return fmt.Sprintf("; did you mean %q?", clip(c.name))
}

// checkHeader recognises by its first row a file that is no table with a header.
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
	// Its cells are values then, perhaps personal ones: none is repeated.
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

// job makes the job of a row. Its error is a [*RowError].
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
		if reason := c.spoiled(value, row.Kind(i), &in.zeros[i]); reason != "" {
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
	if job.Priority == "" { // a row that says "normal" says something
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
