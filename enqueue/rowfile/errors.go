package rowfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/camsq/camsq/internal/spreadsheet"
)

// Problem is one fault of a row.
type Problem struct {
	// Column is the column's name as written in the header, or "" for the row as a whole.
	Column string
	// Reason is one clause that says what to do. It repeats no personal value.
	Reason string
}

// RowError means that a row is not a valid job. It has all faults of the row. [Read]
// goes on with the next row.
type RowError struct {
	// File is the file's name for messages. It may be empty.
	File string
	// Line is where the row begins, counted from 1.
	Line     int
	Problems []Problem
}

// Error is one line: "tenants.csv:17: ContactMail: is not a mail address".
func (e *RowError) Error() string {
	all := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		all[i] = p.Reason
		if p.Column != "" {
			all[i] = p.Column + ": " + p.Reason
		}
	}
	return position(e.File, e.Line) + strings.Join(all, "; ")
}

// FileError means that a file, or the rest of it, cannot be read.
type FileError struct {
	// File is the file's name for messages. It may be empty.
	File string
	// Line is where reading stopped, counted from 1.
	Line   int
	Reason string
	// Unknown is the header's unknown column, if that is the reason.
	Unknown string
	// Mapped is the entry of [Options].Map, as FROM=TO, whose column the file lacks, if
	// that is the reason.
	Mapped string
	// Encoding means that the encoding cannot be detected, and must be given.
	Encoding bool
	// Err is the error of the underlying reader, or nil.
	Err error
}

// Error is one line: `tenants.csv:1: column 3 "ContactMial" is not known; did you mean ContactMail?`.
func (e *FileError) Error() string {
	text := position(e.File, e.Line) + e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

func position(file string, line int) string {
	if file == "" {
		return fmt.Sprintf("line %d: ", line)
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}

// fileError adds the file's name to an error of package spreadsheet.
func fileError(file string, err error) *FileError {
	e, ok := errors.AsType[*spreadsheet.Error](err)
	if !ok {
		e = &spreadsheet.Error{Line: 1, Reason: "reading the file broke off", Err: err}
	}
	return &FileError{File: file, Line: e.Line, Reason: e.Reason, Encoding: e.Encoding, Err: e.Err}
}
