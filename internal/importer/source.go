package importer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/workdir"
	"github.com/camsq/camsq/tasks"
)

// ResultArgs are the arguments with which results finds the same jobs.
func (s Input) ResultArgs() string {
	return strings.TrimSpace(humanize.ShellQuote(s.Path) + " " + s.Reading.args())
}

// BatchNames are the names of the files' batches, each once.
func BatchNames(files []Input) []string {
	var names []string
	for _, s := range files {
		if !slices.Contains(names, s.Batch) {
			names = append(names, s.Batch)
		}
	}
	return names
}

// Input is one file to be read.
type Input struct {
	Dir  workdir.Dir
	Path string // in dir; "-" is standard input
	Name string // in messages
	// batch is the batch of its rows.
	Batch   string
	Reading ReadFlags
	Options rowfile.Options
}

const StandardInput = "-"

// BatchOf is the name of a file's batch: the file's, without its endings.
// Rows that are given back go into the batch that they were of.
func BatchOf(path string) string {
	if path == StandardInput {
		return "stdin"
	}
	base := filepath.Base(path)
	for inner, ok := strings.CutSuffix(base, rejectedEnding); ok; inner, ok = strings.CutSuffix(base, rejectedEnding) {
		base = inner
	}
	for _, packed := range []string{".gz", ".zst"} {
		base = strings.TrimSuffix(base, packed)
	}
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// CheckFile refuses a path that is no file.
func CheckFile(dir workdir.Dir, path string) error {
	info, err := dir.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return exit.Usagef("%s: there is no such file", path)
	case err != nil:
		return exit.Usagef("%w", err)
	case info.IsDir():
		return exit.Usagef("%s is a folder; name the files in it", path)
	}
	return nil
}

// WrongBatch returns why a name cannot be that of a batch, or "".
func WrongBatch(name string) string {
	if name == "" {
		return "is empty"
	}
	return FaultOf("batch", tasks.Job{Batch: name})
}

// FaultOf returns what is wrong with one field of a job, or "".
func FaultOf(field string, j tasks.Job) string {
	invalid, ok := errors.AsType[*tasks.InvalidError](j.Normalize().Validate(tasks.Rules{}))
	if !ok {
		return ""
	}
	for _, f := range invalid.Fields {
		if f.Field == field {
			return f.Reason
		}
	}
	return ""
}

// Open opens the file so that reading ends with ctx: a pipe or a terminal may
// not give anything for a long time. A file on the disk is given as it is, since a
// workbook is read at many places.
func (s Input) Open(ctx context.Context, stdin io.Reader) (io.ReadCloser, error) {
	file := io.NopCloser(stdin)
	if s.Path != StandardInput {
		f, err := s.Dir.Open(s.Path)
		if err != nil {
			return nil, exit.Usagef("%w", err)
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return f, nil
		}
		file = f
	}
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(w, file)
		_ = w.CloseWithError(err)
		_ = file.Close()
		stop()
	}()
	return r, nil
}

// Rows reads the file. found is called with the format; it may be nil.
func (s Input) Rows(r io.Reader, found func(rowfile.FileInfo)) iter.Seq2[rowfile.Row, error] {
	o := s.Options
	o.OnFormat = found
	return rowfile.Read(r, o)
}
