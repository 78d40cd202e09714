package main

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
	"github.com/camsq/camsq/tasks"
)

// source is one file to be read.
type source struct {
	dir  folder
	path string // in dir; "-" is standard input
	name string // in messages
	// batch is the batch of its rows.
	batch   string
	reading reading
	options rowfile.Options
}

const standardInput = "-"

// sources looks at every file before the first is read: a name that is wrong
// stops the command while nothing has happened.
func (p *program) sources(paths []string, batch string, r reading, c config) ([]source, error) {
	options, err := r.options(c)
	if err != nil {
		return nil, err
	}
	out := make([]source, len(paths))
	for i, path := range paths {
		s := source{dir: p.dir, path: path, name: path, batch: batchOf(path), reading: r, options: options}
		if path == standardInput {
			s.name = "stdin"
		} else if err := checkFile(p.dir, path); err != nil {
			return nil, err
		}
		if slices.Contains(paths[:i], path) {
			return nil, usage("%s is given twice", path)
		}
		if batch != "" {
			s.batch = batch
		}
		if reason := wrongBatch(s.batch); reason != "" {
			return nil, usage("%s: the batch name %q %s; give another with --batch", s.name, plain(s.batch), reason)
		}
		s.options.File, s.options.Batch = s.name, s.batch
		out[i] = s
	}
	return out, nil
}

// batchOf is the name of a file's batch: the file's, without what tells its form.
// Rows that are given back go into the batch that they were of.
func batchOf(path string) string {
	if path == standardInput {
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

func checkFile(dir folder, path string) error {
	info, err := dir.stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usage("%s: there is no such file", path)
	case err != nil:
		return usage("%w", err)
	case info.IsDir():
		return usage("%s is a folder; name the files in it", path)
	}
	return nil
}

// wrongBatch returns why a name cannot be that of a batch, or "".
func wrongBatch(name string) string {
	if name == "" {
		return "is empty"
	}
	return faultOf("batch", tasks.Job{Batch: name})
}

// faultOf returns what is wrong with one field of a job, or "".
func faultOf(field string, j tasks.Job) string {
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

// open opens the file so that reading ends with ctx: a pipe or a terminal may
// not give anything for a long time. A file on the disk is given as it is, since a
// workbook is read at many places.
func (s source) open(ctx context.Context, stdin io.Reader) (io.ReadCloser, error) {
	file := io.NopCloser(stdin)
	if s.path != standardInput {
		f, err := s.dir.open(s.path)
		if err != nil {
			return nil, usage("%w", err)
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

// rows reads the file. found is told what it is; it may be nil.
func (s source) rows(r io.Reader, found func(rowfile.FileInfo)) iter.Seq2[rowfile.Row, error] {
	o := s.options
	o.OnFormat = found
	return rowfile.Read(r, o)
}
