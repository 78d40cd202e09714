package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/spreadsheet"
)

// reading is how files are to be read: what is not detected, or not to be. The
// same flags find the same jobs again.
type reading struct {
	account, encoding, delimiter, sheet string
	maps, sets                          []string
	ignoreUnknown                       bool
}

func (r *reading) addFlags(f *pflag.FlagSet) {
	f.StringVar(&r.account, "account", "", "`name` of the account of rows that name none (default \"default\")")
	f.StringArrayVar(&r.maps, "map", nil, "a column's name in the file and its name here, as `Company=InstanceName`; may be repeated")
	f.StringArrayVar(&r.sets, "set", nil, "the value of rows that have none in a column, or of a file that lacks it, as `ChannelType=VIBER`; may be repeated")
	f.BoolVar(&r.ignoreUnknown, "ignore-unknown", false, "leave out columns that are not known, instead of refusing the file")
	f.StringVar(&r.sheet, "sheet", "", "`name` of the sheet of a workbook (default: the first one that is visible)")
	f.StringVar(&r.encoding, "encoding", "", "`name` of the text's encoding: utf-8, gb18030, windows-1252, big5, … (default: detected)")
	f.StringVar(&r.delimiter, "delimiter", "", "what stands between cells: a `character`, or comma, semicolon, tab, pipe (default: detected)")
}

// options are the flags as the library takes them. What is wrong with them is
// said before a file is opened.
func (r *reading) options(c config) (rowfile.Options, error) {
	o := rowfile.Options{
		Account: r.account, Rules: c.rules(), Encoding: r.encoding, Sheet: r.sheet,
		IgnoreUnknown: r.ignoreUnknown, Map: map[string]string{}, Set: map[string]string{},
	}
	if r.account != "" && !slices.Contains(c.names(), r.account) {
		return o, usage("--account %s: there is no such account; there is %s", r.account, strings.Join(c.names(), ", "))
	}
	if r.encoding != "" {
		if _, ok := spreadsheet.KnownEncoding(r.encoding); !ok {
			return o, usage("--encoding %s is not known; it may be utf-8, utf-16le, gb18030, big5, shift_jis, windows-1252 or another name of the WHATWG's list", plain(r.encoding))
		}
	}
	if r.delimiter != "" {
		var err error
		if o.Delimiter, err = spreadsheet.ParseDelimiter(r.delimiter); err != nil {
			return o, usage("--delimiter %q %w", r.delimiter, err)
		}
	}
	for _, m := range r.maps {
		i := strings.LastIndex(m, "=") // the names that are known hold no =
		if i <= 0 {
			return o, usage("--map %q: write the column's name in the file, =, and its name here: \"Company=InstanceName\"", m)
		}
		from, to := strings.TrimSpace(m[:i]), strings.TrimSpace(m[i+1:])
		if _, err := rowfile.KnownColumn(to); err != nil {
			return o, usage("--map: %w", err)
		}
		if _, twice := o.Map[from]; twice {
			return o, usage("--map: column %q is given twice", from)
		}
		o.Map[from] = to
	}
	for _, s := range r.sets {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return o, usage("--set %q: write the column's name, =, and its value: ChannelType=VIBER", s)
		}
		field, err := rowfile.KnownColumn(name)
		if err != nil {
			return o, usage("--set: %w", err)
		}
		if _, twice := o.Set[field]; twice {
			return o, usage("--set: %s is given twice", field)
		}
		o.Set[field] = value
	}
	return o, checkSet(o)
}

// checkSet finds values that would make every row a bad one.
func checkSet(o rowfile.Options) error {
	if len(o.Set) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(o.Set))
	line := make([]string, len(names))
	for i, n := range names {
		line[i] = `"` + strings.ReplaceAll(o.Set[n], `"`, `""`) + `"`
	}
	const name = "ChannelType,InstanceName"
	header, row := strings.Join(names, ","), strings.Join(line, ",")
	for _, required := range strings.Split(name, ",") {
		if _, set := o.Set[required]; !set {
			header, row = header+","+required, row+",VIBER"
		}
	}
	for _, err := range rowfile.Read(strings.NewReader(header+"\n"+row+"\n"), rowfile.Options{Rules: o.Rules, Account: o.Account}) {
		bad, ok := errors.AsType[*rowfile.RowError](err)
		if !ok {
			continue
		}
		for _, p := range bad.Problems {
			if slices.Contains(names, p.Column) {
				return usage("--set: %s %s", p.Column, p.Reason)
			}
		}
	}
	return nil
}

// rowArgs are the flags that say what the rows are, for a file that has them too.
func (r *reading) rowArgs() string {
	return (&reading{account: r.account, maps: r.maps, sets: r.sets, ignoreUnknown: r.ignoreUnknown}).args()
}

// args are the flags as they were given, for another command that is to read the
// same file in the same way.
func (r *reading) args() string {
	var out []string
	for _, f := range []struct{ flag, value string }{
		{"--account", r.account}, {"--sheet", r.sheet}, {"--encoding", r.encoding}, {"--delimiter", r.delimiter},
	} {
		if f.value != "" {
			out = append(out, f.flag+" "+word(f.value))
		}
	}
	for _, m := range r.maps {
		out = append(out, "--map "+word(m))
	}
	for _, s := range r.sets {
		out = append(out, "--set "+word(s))
	}
	if r.ignoreUnknown {
		out = append(out, "--ignore-unknown")
	}
	return strings.Join(out, " ")
}

// fileFault is an error of a file's, with the flag that may help.
func fileFault(err error) error {
	file, ok := errors.AsType[*rowfile.FileError](err)
	switch {
	case ok && file.Unknown != "":
		return fmt.Errorf("%w (or give it a known name: --map %s; or leave out what is not known: --ignore-unknown)", err, word(file.Unknown+"=NAME"))
	case ok && file.Mapped != "":
		return fmt.Errorf("%w (--map %s)", err, word(file.Mapped))
	case ok && file.Encoding:
		return fmt.Errorf("%w (--encoding NAME)", err)
	}
	return err
}
