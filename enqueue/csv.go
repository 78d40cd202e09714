package enqueue

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/camsq/camsq/tasks"
)

// maxRecord bounds what one row may take in the file, so that a quotation mark
// which is never closed does not pull the rest of a large file into memory.
const maxRecord = 1 << 20

const saveAsUTF8 = `save it as "CSV UTF-8"`

// CSVOptions are for [ReadCSV]. The zero value is good.
type CSVOptions struct {
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
}

// Row is a job, and where it stands in its file.
type Row struct {
	// Line is where the row begins, counted from 1.
	Line int
	// Header and Cells are the file's first row and this one, as they are written.
	// Cells may be more or fewer than the header; it is nil where the row cannot be
	// split into cells. The rows of a file share their Header.
	Header, Cells []string
	// Job is normalised and valid; it is empty where the row has an error.
	Job tasks.Job
}

// ReadCSV reads jobs from a file of comma-separated values in UTF-8, with or
// without a byte order mark. It holds one row at a time, and never more than a
// row of 1 MiB. The sequence can be used once.
//
// The first row names the columns: the parameters of CreateInstance, of which
// ChannelType and InstanceName are required, and job_id, account, priority (high
// or normal), callback_url and metadata.KEY. Case and underscores do not matter
// (instance_name), but the KEY is taken as it is written. Rows that are blank are
// skipped.
//
// A row that is no valid job comes as a [*RowError] and reading goes on. A
// [*FileError] is always the last element: the file or its header cannot be
// understood, it has no rows, or reading broke off. Two rows that are the same
// job are both returned: they have the same ID.
func ReadCSV(r io.Reader, opts CSVOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		source, cols, headerLine, err := openCSV(r, opts.File)
		if err != nil {
			yield(Row{Line: headerLine}, err)
			return
		}
		rows := 0
		for {
			record, line, err := source.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil && isBlank(record) {
				continue
			}
			rows++
			row := Row{Line: line, Header: source.header}
			if err == nil {
				row.Cells = slices.Clone(record)
				row.Job, err = cols.job(record, line, opts)
			}
			if !yield(row, err) {
				return
			}
			if _, fatal := errors.AsType[*FileError](err); fatal {
				return
			}
		}
		if rows == 0 {
			yield(Row{Line: headerLine}, &FileError{File: opts.File, Line: headerLine, Reason: "the file has a header but no rows"})
		}
	}
}

// openCSV reads up to the end of the header. Its error is a [*FileError].
func openCSV(r io.Reader, file string) (source *records, cols columns, line int, err error) {
	in := bufio.NewReader(r)
	head, _ := in.Peek(4) // what cannot be read now cannot be read below either
	if reason := foreign(head); reason != "" {
		return nil, nil, 1, &FileError{File: file, Line: 1, Reason: reason}
	}
	source = newRecords(in, file)
	header, line, err := source.next()
	if errors.Is(err, io.EOF) {
		return nil, nil, 1, &FileError{File: file, Line: 1, Reason: "the file is empty; its first row must name the columns"}
	}
	if row, ok := errors.AsType[*RowError](err); ok {
		return nil, nil, line, &FileError{File: file, Line: line, Reason: "the header " + row.Problems[0].Reason}
	}
	if err != nil {
		return nil, nil, line, err
	}
	source.header = slices.Clone(header)
	cols, reason := readHeader(header)
	if reason != "" {
		return nil, nil, line, &FileError{File: file, Line: line, Reason: reason}
	}
	return source, cols, line, nil
}

// foreign recognises by its first bytes a file that is no CSV in UTF-8.
func foreign(head []byte) string {
	for _, magic := range []struct{ begin, what string }{
		{"\xff\xfe", "UTF-16"},
		{"\xfe\xff", "UTF-16"},
		{"PK\x03\x04", "a workbook or an archive"},
	} {
		if strings.HasPrefix(string(head), magic.begin) {
			return "the file is " + magic.what + "; " + saveAsUTF8
		}
	}
	return ""
}

// records reads the rows of a file as they are written, each with its place.
type records struct {
	file  string
	limit *limitReader
	csv   *csv.Reader
	// header is the first row.
	header []string
	// last is the line on which the last row ended.
	last int
}

func newRecords(in *bufio.Reader, file string) *records {
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		_, _ = in.Discard(len(mark)) // cannot fail: it is in the buffer
	}
	limit := &limitReader{r: in}
	reader := csv.NewReader(limit)
	reader.FieldsPerRecord = -1 // counted by columns.job, which knows what to say
	reader.ReuseRecord = true
	return &records{file: file, limit: limit, csv: reader}
}

// next returns a row and the line on which it begins. Its error is io.EOF, a
// [*RowError] after which it may be called again, or a [*FileError].
func (s *records) next() ([]string, int, error) {
	s.limit.end = s.csv.InputOffset() + maxRecord
	record, err := s.csv.Read()
	if err == nil {
		line, _ := s.csv.FieldPos(0)
		end, _ := s.csv.FieldPos(len(record) - 1)
		s.last = end + strings.Count(record[len(record)-1], "\n")
		return record, line, nil
	}
	if errors.Is(err, io.EOF) {
		return nil, 0, io.EOF
	}
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		s.last = parse.Line
		return nil, parse.StartLine, s.misquoted(parse)
	}
	line := s.last + 1
	if errors.Is(err, errTooLong) {
		const reason = "the row that begins here is longer than 1 MiB; is there a quotation mark that is not closed?"
		return nil, line, &FileError{File: s.file, Line: line, Reason: reason}
	}
	return nil, line, &FileError{File: s.file, Line: line, Reason: "reading the file broke off", Err: err}
}

// misquoted words a quotation mark that stands where none may. Reading goes on
// with the line after it; which lines were lost until there, it says.
func (s *records) misquoted(parse *csv.ParseError) error {
	const stray = "has a stray quotation mark, or one that is not closed"
	row := func(reason string) error {
		return &RowError{File: s.file, Line: parse.StartLine, Problems: []Problem{{Reason: reason}}}
	}
	switch {
	case parse.Line == parse.StartLine:
		return row(fmt.Sprintf(`%s, at byte %d; write a mark inside a quoted field twice ("")`, stray, parse.Column))
	case errors.Is(s.limit.err, io.EOF) && s.csv.InputOffset() == s.limit.read:
		return &FileError{File: s.file, Line: parse.StartLine, Reason: "the row " + stray + "; from here to its end the file was not read"}
	}
	return row(fmt.Sprintf("%s; lines %d to %d were not read", stray, parse.StartLine, parse.Line))
}

var errTooLong = errors.New("enqueue: row too long")

// limitReader fails once a byte beyond end is asked for, and then for good: the
// CSV reader may put a complaint of its own before an error, and read on.
type limitReader struct {
	r         io.Reader
	read, end int64
	err       error
}

func (l *limitReader) Read(p []byte) (n int, err error) {
	if l.err == nil && l.read >= l.end {
		l.err = errTooLong
	}
	if l.err != nil {
		return 0, l.err
	}
	n, l.err = l.r.Read(p[:min(int64(len(p)), l.end-l.read)])
	l.read += int64(n)
	return n, l.err
}

// column is one column of a file: its name as it is written, and where a job
// keeps its values. A column without a name has no place.
type column struct {
	name  string
	field string // as in tasks.FieldError
	set   func(*tasks.Job, string)
}

type columns []column

const metadataPrefix = "metadata."

// maxTypo is how many letters a name may be off to be taken for a slip.
const maxTypo = 3

// knownColumns are the columns that a file may have, beside metadata.KEY.
func knownColumns() columns {
	var known columns
	for _, p := range tasks.Params() {
		known = append(known, column{p.Name, p.Name, func(j *tasks.Job, v string) { *p.Field(&j.Request) = v }})
	}
	return append(known,
		column{"job_id", "job_id", func(j *tasks.Job, v string) { j.ID = v }},
		column{"account", "account", func(j *tasks.Job, v string) { j.Account = v }},
		column{"priority", "priority", func(j *tasks.Job, v string) { j.Priority = tasks.Priority(v) }},
		column{"callback_url", "callback_url", func(j *tasks.Job, v string) { j.CallbackURL = v }},
	)
}

// readHeader returns the file's columns, or the reason why it cannot.
func readHeader(header []string) (columns, string) {
	if reason := checkHeaderText(header); reason != "" {
		return nil, reason
	}
	known := knownColumns()
	if !slices.ContainsFunc(header, func(name string) bool { _, d := known.nearest(name); return d <= maxTypo }) {
		// Its cells are values then, perhaps personal ones: none is repeated.
		return nil, "the first row names no known column; it must be a header, such as ChannelType,InstanceName"
	}
	cols := make(columns, len(header))
	first := map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		c, reason := known.find(name)
		if reason != "" {
			return nil, fmt.Sprintf("column %d %q %s", i+1, clip(name), reason)
		}
		if at, twice := first[c.field]; twice {
			return nil, fmt.Sprintf("column %d %q is the same as column %d; remove one", i+1, clip(name), at)
		}
		first[c.field] = i + 1
		cols[i] = c
	}
	var missing []string
	for _, p := range tasks.Params() {
		if _, ok := first[p.Name]; p.Required && !ok {
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		return nil, "the header has no column " + strings.Join(missing, " and no column ")
	}
	return cols, ""
}

// checkHeaderText recognises by its first row a file that is no CSV in UTF-8.
func checkHeaderText(header []string) string {
	text := strings.Join(header, ",")
	switch {
	case !utf8.ValidString(text), strings.Contains(text, "\x00"):
		return "the file is not UTF-8; " + saveAsUTF8
	case strings.Contains(strings.TrimSpace(text), "\r"):
		return "the file's lines end in carriage returns alone; " + saveAsUTF8
	case len(header) == 1 && strings.ContainsAny(text, ";\t|"):
		return "the columns are not separated by commas; save it with commas between them"
	}
	return ""
}

// find returns the column of a name in a header, or the reason why there is none.
func (known columns) find(name string) (column, string) {
	if len(name) > len(metadataPrefix) && strings.EqualFold(name[:len(metadataPrefix)], metadataPrefix) {
		key := name[len(metadataPrefix):]
		if !tasks.ValidMetadataKey(key) {
			return column{}, "must be metadata. and 1 to 40 of A-Z a-z 0-9 . _ -"
		}
		return column{name, metadataPrefix + key, func(j *tasks.Job, v string) {
			if j.Metadata == nil {
				j.Metadata = map[string]string{}
			}
			j.Metadata[key] = v
		}}, ""
	}
	c, d := known.nearest(name)
	switch {
	case d == 0:
		c.name = name
		return c, ""
	case d <= maxTypo:
		return column{}, "is not known; did you mean " + c.name + "?"
	}
	return column{}, "is not known; remove it, or name it metadata.KEY to get it back with the result"
}

// nearest returns the known column whose name is most like the given one, and
// how far it is from it; 0 is the same, and more than maxTypo is nothing like it.
func (known columns) nearest(name string) (column, int) {
	name = fold(strings.TrimSpace(name))
	var best column
	least := maxTypo + 1
	for _, c := range known {
		if d := distance(name, fold(c.name), least); d < least {
			best, least = c, d
		}
	}
	return best, least
}

// job makes the job of a row. Its error is a [*RowError].
func (cols columns) job(record []string, line int, opts CSVOptions) (tasks.Job, error) {
	fail := func(problems ...Problem) (tasks.Job, error) {
		return tasks.Job{}, &RowError{File: opts.File, Line: line, Problems: problems}
	}
	if len(record) != len(cols) {
		return fail(Problem{Reason: fmt.Sprintf("has %s, but the header has %d; put a field that holds a comma in quotation marks", fields(len(record)), len(cols))})
	}
	job := tasks.Job{Batch: opts.Batch}
	var problems []Problem
	for i, value := range record {
		switch {
		case strings.TrimSpace(value) == "":
		case cols[i].set == nil:
			problems = append(problems, Problem{Reason: fmt.Sprintf("has a value in column %d, which has no name", i+1)})
		default:
			cols[i].set(&job, value)
		}
	}
	if job.Account == "" {
		job.Account = opts.Account
	}
	if job.Priority == "" { // a row that says "normal" says something
		job.Priority = opts.Priority
	}
	job = job.Normalize()
	if invalid, ok := errors.AsType[*tasks.InvalidError](job.Validate(opts.Rules)); ok {
		for _, f := range invalid.Fields {
			problems = append(problems, Problem{Column: cols.nameOf(f.Field), Reason: f.Reason})
		}
	}
	if len(problems) > 0 {
		return fail(problems...)
	}
	return job, nil
}

// nameOf returns the name that the file has for a field.
func (cols columns) nameOf(field string) string {
	if i := slices.IndexFunc(cols, func(c column) bool { return c.field == field }); i >= 0 {
		return cols[i].name
	}
	return field
}

func fields(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}

func isBlank(record []string) bool {
	return !slices.ContainsFunc(record, func(v string) bool { return strings.TrimSpace(v) != "" })
}

func fold(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "_", "")
}

func clip(name string) string {
	const most = 60
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// distance is Levenshtein's, in bytes. Names whose lengths alone differ by the
// limit are that far apart.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
