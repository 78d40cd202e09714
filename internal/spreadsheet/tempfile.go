package spreadsheet

import (
	"fmt"
	"io"
	"os"
)

// tempFile is a private file. Where the system allows it the file has no name any
// more, so that it disappears even if the process is killed.
type tempFile struct{ *os.File }

func newTempFile() (tempFile, error) {
	f, err := os.CreateTemp("", "camsq-*") // mode 0600: it holds what customers gave
	if err != nil {
		return tempFile{}, fmt.Errorf("making a temporary file: %w", err)
	}
	_ = os.Remove(f.Name()) // not on Windows: there close does it
	return tempFile{f}, nil
}

func (f tempFile) close() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// copyToTempFile copies a stream into a temporary file, and returns its size.
func copyToTempFile(r io.Reader) (tempFile, int64, error) {
	f, err := newTempFile()
	if err != nil {
		return tempFile{}, 0, err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxTempFile+1))
	if err == nil && n > maxTempFile {
		err = reason("the workbook is larger than 1 GiB; save it as CSV UTF-8")
	}
	if err != nil {
		f.close()
		return tempFile{}, 0, workbookError(err, 1)
	}
	return f, n, nil
}
