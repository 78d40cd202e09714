package importer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/humanize"
)

// ReadFlags is how files are to be read: what is not detected, or not to be. The
// same flags find the same jobs again.
type ReadFlags struct {
	Account, Encoding, Delimiter, Sheet string
	Maps, Sets                          []string
	IgnoreUnknown                       bool
}

// rowFlags are the flags that say what the rows are, for a file that has them too.
func (r *ReadFlags) rowFlags() string {
	return (&ReadFlags{Account: r.Account, Maps: r.Maps, Sets: r.Sets, IgnoreUnknown: r.IgnoreUnknown}).args()
}

// args are the flags as they were given, for another command that is to read the
// same file in the same way.
func (r *ReadFlags) args() string {
	var out []string
	for _, f := range []struct{ flag, value string }{
		{"--account", r.Account}, {"--sheet", r.Sheet}, {"--encoding", r.Encoding}, {"--delimiter", r.Delimiter},
	} {
		if f.value != "" {
			out = append(out, f.flag+" "+humanize.ShellQuote(f.value))
		}
	}
	for _, m := range r.Maps {
		out = append(out, "--map "+humanize.ShellQuote(m))
	}
	for _, s := range r.Sets {
		out = append(out, "--set "+humanize.ShellQuote(s))
	}
	if r.IgnoreUnknown {
		out = append(out, "--ignore-unknown")
	}
	return strings.Join(out, " ")
}

// WithFlag is an error of a file's, with the flag that may help.
func WithFlag(err error) error {
	file, ok := errors.AsType[*rowfile.FileError](err)
	switch {
	case ok && file.Unknown != "":
		return fmt.Errorf("%w (or give it a known name: --map %s; or leave out what is not known: --ignore-unknown)", err, humanize.ShellQuote(file.Unknown+"=NAME"))
	case ok && file.Mapped != "":
		return fmt.Errorf("%w (--map %s)", err, humanize.ShellQuote(file.Mapped))
	case ok && file.Encoding:
		return fmt.Errorf("%w (--encoding NAME)", err)
	}
	return err
}
