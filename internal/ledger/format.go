package ledger

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Version is the format of the records that this package writes. Every change of a
// record raises it, a new field of the progress too: a process that does not know a
// field would drop it when it writes the record. A version reads the one before, so
// that processes can be upgraded one after another; workers come first, since only
// they raise what is in use (see [Ledger.UseFormat]).
//
// testdata holds records of each version. Version 1 is not read: two incompatible
// shapes of it were written under one number.
const (
	Version = 2
	// oldest is the lowest version that this package reads.
	oldest = 2
)

// versionLua makes the versions known to the scripts, which are each other's on no
// two releases: a script belongs to the process that runs it.
var versionLua = fmt.Sprintf("local newest, oldest = '%d', '%d'\n", Version, oldest)

//go:embed format.lua
var formatLua string

var formatScript = redis.NewScript(formatLua)

// checkVersion says why a record of a version cannot be read, and what to do.
func checkVersion(text string) error {
	v, err := strconv.Atoi(text)
	switch {
	case err != nil || strconv.Itoa(v) != text || v < 1:
		return fmt.Errorf("its version %.10q is none: another program wrote it, or a camsq from before records had one", text)
	case v > Version:
		return fmt.Errorf("a newer camsq wrote it, in format %d, and this one reads up to format %d: upgrade this process", v, Version)
	case v < oldest:
		return fmt.Errorf("an older camsq wrote it, in format %d, and this one reads from format %d on: let a camsq that reads it end the job", v, oldest)
	}
	return nil
}

// Use is what a process does with the records, as far as their format is concerned.
type Use int

// The uses.
const (
	// Reading changes no record.
	Reading Use = iota
	// Producing writes new records, which workers of this version and of the next read.
	Producing
	// Operating changes records on an operator's word.
	Operating
	// Working changes records of every kind. Workers alone raise the format in use.
	Working
)

// FormatError means that the records in Redis are not for this process. Its text says
// what to do.
type FormatError struct {
	// Lowest and Highest are the formats in use, 0 if none is noted.
	Lowest, Highest int
	text            string
}

func (e *FormatError) Error() string { return "ledger: " + e.text }

// formats are the lowest and the highest format in use. The zero value means that
// none is noted.
type formats struct{ lowest, highest int }

// fit says whether a process that reads the formats from oldest on and writes newest
// fits these. It returns a [*FormatError] if not.
func (f formats) fit(use Use, oldest, newest int) error {
	refuse := func(format string, args ...any) error {
		return &FormatError{Lowest: f.lowest, Highest: f.highest, text: fmt.Sprintf(format, args...)}
	}
	switch {
	case f.lowest < oldest:
		return refuse("this Redis holds records of format %d, and this camsq reads from format %d on: "+
			"let a version between the two end those jobs first", f.lowest, oldest)
	case f.highest > newest && use == Producing && f.highest == newest+1 && f.lowest <= newest:
		return nil // the workers are upgraded already, and read what this producer writes
	case f.highest > newest:
		return refuse("a newer camsq writes records of format %d into this Redis, and this one reads up to format %d: "+
			"upgrade this process", f.highest, newest)
	case f.highest < newest && (use == Producing || use == Operating):
		return refuse("the workers of this Redis use records of format %d, and this camsq writes format %d, which they cannot read: "+
			"upgrade the workers first", f.highest, newest)
	}
	return nil
}

// errUnnoted means that there are jobs and no format.
func errUnnoted() error {
	return &FormatError{text: "the jobs in this Redis were written by an earlier, unreleased camsq, whose records this one cannot read: " +
		"let that camsq end them, then empty this database, or name another one"}
}

// format reads the formats in use.
func (l *Ledger) format(ctx context.Context) (formats, error) {
	reply, err := l.rdb.HMGet(ctx, formatKey, "lowest", "highest").Result()
	if err != nil {
		return formats{}, formatFault("looking up the record format in use", err)
	}
	text := make([]string, len(reply))
	for i, v := range reply {
		text[i], _ = v.(string)
	}
	return parseFormats(text)
}

func formatFault(doing string, err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return &FormatError{text: formatKey + " in this Redis is no hash: something else has written it; name a database of camsq's own"}
	}
	return fmt.Errorf("ledger: %s: %w", doing, err)
}

func parseFormats(reply []string) (formats, error) {
	if len(reply) == 2 && reply[0]+reply[1] == "" {
		return formats{}, nil
	}
	if len(reply) == 2 {
		lowest, err1 := strconv.Atoi(reply[0])
		highest, err2 := strconv.Atoi(reply[1])
		if errors.Join(err1, err2) == nil && 0 < lowest && lowest <= highest {
			return formats{lowest, highest}, nil
		}
	}
	return formats{}, &FormatError{text: fmt.Sprintf("%s in this Redis says %.60q and not the lowest and the highest record format in use: "+
		"set both, or name a database of camsq's own", formatKey, strings.Join(reply, " to "))}
}

// sealed says whether a process has sealed a request.
func (l *Ledger) sealed(ctx context.Context) (bool, error) {
	n, err := l.rdb.SCard(ctx, dataKeysKey).Result()
	if err != nil {
		return false, fmt.Errorf("ledger: looking up the data keys in use: %w", err)
	}
	return n > 0, nil
}

// CheckFormat makes sure that the records in Redis are for this process; it changes
// nothing. It returns a [*FormatError] if they are not.
//
// A format is noted before a data key is (see [Ledger.UseKeys]). So if a key is there
// and then no format, no process of a version that notes formats has put jobs in.
func (l *Ledger) CheckFormat(ctx context.Context, use Use) error {
	f, err := l.format(ctx)
	if err != nil {
		return err
	}
	if f == (formats{}) {
		sealed, err := l.sealed(ctx)
		if err != nil || !sealed {
			return err
		}
		if f, err = l.format(ctx); err != nil {
			return err
		}
		if f == (formats{}) {
			return errUnnoted()
		}
	}
	return f.fit(use, oldest, Version)
}

// UseFormat checks the format like [Ledger.CheckFormat] and makes the own one known to
// all, in one step: that of the first process, and that of a worker which is newer than
// the others. It comes before the first record that is written, and before
// [Ledger.UseKeys].
func (l *Ledger) UseFormat(ctx context.Context, use Use) error {
	f, err := l.format(ctx)
	if err != nil {
		return err
	}
	if f != (formats{}) && (use != Working || f.highest >= Version) {
		return f.fit(use, oldest, Version)
	}
	sealed, err := l.sealed(ctx)
	if err != nil {
		return err
	}
	reply, err := formatScript.Run(ctx, l.rdb, []string{formatKey}, oldest, Version, flag(sealed), flag(use == Working)).StringSlice()
	if err != nil {
		return formatFault("noting the record format", err)
	}
	if f, err = parseFormats(reply); err != nil {
		return err
	}
	if f == (formats{}) {
		return errUnnoted()
	}
	return f.fit(use, oldest, Version)
}
