package cmdutil

import (
	"slices"

	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/importer"
)

// Inputs looks at every file before the first is read: a name that is wrong
// stops the command while nothing has happened.
func (f *Factory) Inputs(paths []string, batch string, r importer.ReadFlags, c config.Config) ([]importer.Input, error) {
	options, err := importer.ParseReadFlags(&r, c)
	if err != nil {
		return nil, err
	}
	out := make([]importer.Input, len(paths))
	for i, path := range paths {
		s := importer.Input{Dir: f.Dir, Path: path, Name: path, Batch: importer.BatchOf(path), Reading: r, Options: options}
		if path == importer.StandardInput {
			s.Name = "stdin"
		} else if err := importer.CheckFile(f.Dir, path); err != nil {
			return nil, err
		}
		if slices.Contains(paths[:i], path) {
			return nil, exit.Usagef("%s is given twice", path)
		}
		if batch != "" {
			s.Batch = batch
		}
		if reason := importer.WrongBatch(s.Batch); reason != "" {
			return nil, exit.Usagef("%s: the batch name %q %s; give another with --batch", s.Name, humanize.Sanitize(s.Batch), reason)
		}
		s.Options.File, s.Options.Batch = s.Name, s.Batch
		out[i] = s
	}
	return out, nil
}
