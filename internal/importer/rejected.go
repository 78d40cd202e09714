package importer

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/spreadsheet"
	"github.com/camsq/camsq/internal/workdir"
)

// rejectedEnding is appended to the name of a file for the file of its rejected rows.
const rejectedEnding = ".rejected.csv"

// rejectedRows is the file of a file's rejected rows: their own columns,
// behind one that says why. It is made with the first of them.
type rejectedRows struct {
	dir       workdir.Dir
	path      string // in dir
	input     string
	delimiter rune
	out       *workdir.Output
	rows      spreadsheet.RowWriter
	err       error // the first one; nothing is written after it
	// kept is the name that what stood there before has now, or "".
	kept string
}

// add writes a row. Its cells are guarded: the file is meant to be opened in a
// spreadsheet program, and [rowfile.RejectedColumn] marks that for the reader.
func (r *rejectedRows) add(header, cells []string, raw, why string) {
	if r.err != nil {
		return
	}
	if r.out == nil {
		if r.out, r.err = r.dir.Create("the rejected rows", "--rejected", r.path, r.input, nil); r.err != nil {
			return
		}
		r.rows = spreadsheet.NewRowWriter(spreadsheet.CSV, r.out, func() rune { return r.delimiter })
		if r.err = r.rows.Header([]string{rowfile.RejectedColumn}, header); r.err != nil {
			return
		}
	}
	if cells == nil {
		cells = []string{raw} // the row cannot be split: its text is in the file as it is
	}
	r.err = r.rows.Row([]string{why}, cells)
}

// save gives the file its name, and returns whether there is one. What stands
// there under that name may hold a user's corrections, so it is kept, with a ~.
func (r *rejectedRows) save() (bool, error) {
	if r.out == nil {
		return false, r.err
	}
	if err := errors.Join(r.err, r.rows.Close()); err != nil {
		r.out.Discard()
		return false, err
	}
	if r.out.Temp != nil {
		if same, err := sameContent(r.dir, r.path, r.out.Temp); err != nil {
			r.out.Discard()
			return false, err
		} else if !same {
			switch err := r.dir.Rename(r.path, r.path+"~"); {
			case err == nil:
				r.kept = r.path + "~"
			case !errors.Is(err, os.ErrNotExist):
				r.out.Discard()
				return false, err
			}
		}
	}
	return true, r.out.Save()
}

// sameContent compares a file, which need not be there, with another.
func sameContent(dir workdir.Dir, path string, other io.ReadSeeker) (bool, error) {
	f, err := dir.Open(path)
	if err != nil {
		return false, nil // then there is nothing to keep, or renaming it returns why
	}
	defer f.Close()
	if _, err := other.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	var a, b [32 << 10]byte
	for {
		n, errA := io.ReadFull(f, a[:])
		m, errB := io.ReadFull(other, b[:])
		if !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			return errA == errB, nil
		}
	}
}
