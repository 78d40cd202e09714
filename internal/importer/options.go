package importer

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/spreadsheet"
)

// ParseReadFlags are the flags as the library takes them. What is wrong with them is
// said before a file is opened.
func ParseReadFlags(r *ReadFlags, c config.Config) (rowfile.Options, error) {
	o := rowfile.Options{
		Account: r.Account, Rules: c.Rules(), Encoding: r.Encoding, Sheet: r.Sheet,
		IgnoreUnknown: r.IgnoreUnknown, Map: map[string]string{}, Set: map[string]string{},
	}
	if r.Account != "" && !slices.Contains(c.Names(), r.Account) {
		return o, exit.Usagef("--account %s: there is no such account; there is %s", r.Account, strings.Join(c.Names(), ", "))
	}
	if r.Encoding != "" {
		if _, ok := spreadsheet.KnownEncoding(r.Encoding); !ok {
			return o, exit.Usagef("--encoding %s is not known; it may be utf-8, utf-16le, gb18030, big5, shift_jis, windows-1252 or another name of the WHATWG's list", humanize.Sanitize(r.Encoding))
		}
	}
	if r.Delimiter != "" {
		var err error
		if o.Delimiter, err = spreadsheet.ParseDelimiter(r.Delimiter); err != nil {
			return o, exit.Usagef("--delimiter %q %w", r.Delimiter, err)
		}
	}
	for _, m := range r.Maps {
		i := strings.LastIndex(m, "=") // the names that are known hold no =
		if i <= 0 {
			return o, exit.Usagef("--map %q: write the column's name in the file, =, and its name here: \"Company=InstanceName\"", m)
		}
		from, to := strings.TrimSpace(m[:i]), strings.TrimSpace(m[i+1:])
		if _, err := rowfile.KnownColumn(to); err != nil {
			return o, exit.Usagef("--map: %w", err)
		}
		if _, twice := o.Map[from]; twice {
			return o, exit.Usagef("--map: column %q is given twice", from)
		}
		o.Map[from] = to
	}
	for _, s := range r.Sets {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return o, exit.Usagef("--set %q: write the column's name, =, and its value: ChannelType=VIBER", s)
		}
		field, err := rowfile.KnownColumn(name)
		if err != nil {
			return o, exit.Usagef("--set: %w", err)
		}
		if _, twice := o.Set[field]; twice {
			return o, exit.Usagef("--set: %s is given twice", field)
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
				return exit.Usagef("--set: %s %s", p.Column, p.Reason)
			}
		}
	}
	return nil
}
