package rowfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/camsq/camsq/tasks"
)

// column is a column of a file: its name as written, and the job's field that its
// values set. A column without a name sets none.
type column struct {
	name  string
	field string // as in tasks.FieldError
	set   func(*tasks.Job, string)
}

type columns []column

const metadataPrefix = "metadata."

// maxTypo is the largest edit distance of a typo. It is also at most a third of the
// name's letters.
const maxTypo = 3

// KnownColumn returns the field of a column by its name in a file: InstanceName for
// instance_name. The error has the reason, and suggests a name.
func KnownColumn(name string) (string, error) {
	c, reason := knownColumns().find(trimName(name))
	if reason != "" {
		return "", fmt.Errorf("column %q %s", clip(name), reason)
	}
	return c.field, nil
}

// knownColumns are the columns that a file may have, beside metadata.KEY.
func knownColumns() columns {
	var known columns
	for _, p := range tasks.Params() {
		known = append(known, column{p.Name, p.Name, func(j *tasks.Job, v string) { *p.Field(&j.Request) = v }})
	}
	return append(known,
		column{"job_id", "job_id", func(j *tasks.Job, v string) { j.ID = v }},
		column{"account", "account", func(j *tasks.Job, v string) { j.Account = v }},
		column{"priority", "priority", func(j *tasks.Job, v string) { j.Priority = tasks.Priority(v) }},
		column{"callback_url", "callback_url", func(j *tasks.Job, v string) { j.CallbackURL = v }},
	)
}

// find returns the column of a name in a header, or the reason why there is none.
func (known columns) find(name string) (column, string) {
	if len(name) > len(metadataPrefix) && strings.EqualFold(name[:len(metadataPrefix)], metadataPrefix) {
		key := name[len(metadataPrefix):]
		if !tasks.ValidMetadataKey(key) {
			return column{}, "must be metadata. and 1 to 40 of A-Z a-z 0-9 . _ -"
		}
		return column{name, metadataPrefix + key, func(j *tasks.Job, v string) {
			if j.Metadata == nil {
				j.Metadata = map[string]string{}
			}
			j.Metadata[key] = v
		}}, ""
	}
	c, d := known.nearest(name)
	switch {
	case d == 0:
		c.name = name
		return c, ""
	case d <= maxTypo:
		return column{}, "is not known; did you mean " + c.name + "?"
	}
	const rest = "remove it, or name it metadata.KEY to get it back with the result"
	if like, ok := known.alike(name); ok {
		return column{}, "is not known; is it " + like.name + "? If not, " + rest
	}
	return column{}, "is not known; " + rest
}

// nearest returns the known column with the closest name, and its edit distance: 0 is
// the same name, above maxTypo is another one.
func (known columns) nearest(name string) (column, int) {
	name = fold(trimName(name))
	var best column
	least := maxTypo + 1
	most := len(name) / 3
	for _, c := range known {
		if d := distance(name, fold(c.name), least); d < least && d <= most {
			best, least = c, d
		}
	}
	return best, least
}

// minAlike is how many successive letters two similar names share.
const minAlike = 4

// alike returns the known column that shares the longest run of letters with a name.
func (known columns) alike(name string) (column, bool) {
	name = fold(name)
	var best column
	most := minAlike - 1
	for _, c := range known {
		if n := sharedRun(name, fold(c.name)); n > most {
			best, most = c, n
		}
	}
	return best, most >= minAlike
}

// sharedRun returns the length of the longest common substring.
func sharedRun(a, b string) int {
	most := 0
	for i := range len(a) {
		for i+most < len(a) && strings.Contains(b, a[i:i+most+1]) {
			most++
		}
	}
	return most
}

// nameOf returns the file's name for a field.
func (cols columns) nameOf(field string) string {
	if i := slices.IndexFunc(cols, func(c column) bool { return c.field == field }); i >= 0 {
		return cols[i].name
	}
	return field
}

// fold normalises a name for comparison: case and underscores do not matter.
func fold(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "_", "")
}

func clip(name string) string {
	const most = 60
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// distance is Levenshtein's, in bytes. Names whose lengths alone differ by the
// limit are that far apart.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
