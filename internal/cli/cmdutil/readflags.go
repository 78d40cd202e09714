package cmdutil

import (
	"github.com/spf13/pflag"

	"github.com/camsq/camsq/internal/importer"
)

// AddReadFlags adds the flags that say how a file is read.
func AddReadFlags(r *importer.ReadFlags, f *pflag.FlagSet) {
	f.StringVar(&r.Account, "account", "", "`name` of the account of rows that name none (default \"default\")")
	f.StringArrayVar(&r.Maps, "map", nil, "a column's name in the file and its name here, as `Company=InstanceName`; may be repeated")
	f.StringArrayVar(&r.Sets, "set", nil, "the value of rows that have none in a column, or of a file that lacks it, as `ChannelType=VIBER`; may be repeated")
	f.BoolVar(&r.IgnoreUnknown, "ignore-unknown", false, "leave out columns that are not known, instead of refusing the file")
	f.StringVar(&r.Sheet, "sheet", "", "`name` of the sheet of a workbook (default: the first visible one)")
	f.StringVar(&r.Encoding, "encoding", "", "`name` of the text's encoding: utf-8, gb18030, windows-1252, big5, … (default: detected)")
	f.StringVar(&r.Delimiter, "delimiter", "", "what stands between cells: a `character`, or comma, semicolon, tab, pipe (default: detected)")
}
