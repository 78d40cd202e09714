package app

import (
	"runtime/debug"

	"github.com/camsq/camsq/internal/ledger"
)

// RecordFormat is the version of the records in Redis that this program reads and writes.
const RecordFormat = ledger.Version

// Version is the module's version, or "dev" for a build of a work tree.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// Commit is the commit that the program was built from, with "+changes" if files had
// changed since, or "unknown" if the build did not record it.
func Commit() string {
	commit, changed := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "+changes"
			}
		}
	}
	return commit + changed
}
