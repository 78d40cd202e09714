package enqueue

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a row.
type Problem struct {
	// Column is the column's name as the file's header writes it, or "" where the
	// row as a whole is meant.
	Column string
	// Reason is one clause that says what to do. It repeats no personal value.
	Reason string
}

// RowError says that one row of a file is no job, and everything that is wrong
// with it. The rows after it are read all the same.
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
	return place(e.File, e.Line) + strings.Join(all, "; ")
}

// FileError says that a file cannot be read, or not any further.
type FileError struct {
	// File is the file's name for messages. It may be empty.
	File string
	// Line is where reading stopped, counted from 1.
	Line   int
	Reason string
	// Unknown is the column of the header that is not known, where that is the reason.
	Unknown string
	// Mapped is the entry of [ReadOptions].Map, as FROM=TO, whose column the file does not
	// have, where that is the reason.
	Mapped string
	// Encoding says that the encoding could not be told: it must be given.
	Encoding bool
	// Err is why reading broke off, where it was not for what the file holds.
	Err error
}

// Error is one line: `tenants.csv:1: column 3 "ContactMial" is not known; did you mean ContactMail?`.
func (e *FileError) Error() string {
	text := place(e.File, e.Line) + e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what the reader failed with, if it did.
func (e *FileError) Unwrap() error { return e.Err }

func place(file string, line int) string {
	if file == "" {
		return fmt.Sprintf("line %d: ", line)
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}
