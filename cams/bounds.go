package cams

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the API returns goes into records, logs, webhooks and terminals, and none of it is
// ours. Every text has its bound here, and invisible characters are taken out of it.
const (
	maxMessage = 512
	// maxField bounds each field of an instance but its ID and its name.
	maxField = 256
	// maxName is more than any name takes that could be asked for (128 characters of four
	// bytes): a longer one is not camsq's, and is cut.
	maxName = 1024
)

// CodeUnreadable stands in [Error.Code] for a code of a form that no code has: of other
// characters, of more than 128 bytes, with what is private in it, or one of camsq's own.
const CodeUnreadable = "UnreadableCode"

var (
	// The codes of the vendor's error pages have letters, digits, dots, underscores and
	// hyphens; a colon and a leading digit are allowed for, since products make their own.
	codeForm      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$`)
	requestIDForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	instanceForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$`)
)

// readableCode returns a code as it is kept. A code is never cut: a part of one may mean
// something else.
func readableCode(code string, private []string) string {
	code = strings.TrimSpace(code)
	switch {
	case code == "":
		return ""
	case !codeForm.MatchString(code), strings.HasPrefix(strings.ToLower(code), "camsq."), redact(code, private) != code:
		return CodeUnreadable
	}
	return code
}

// readableRequestID returns a request ID, or "" for what is none.
func readableRequestID(id string) string {
	if id = strings.TrimSpace(id); requestIDForm.MatchString(id) {
		return id
	}
	return ""
}

// readableID returns an instance ID without the white space around it, or "" for what
// cannot be one: it becomes part of keys, links and tables.
func readableID(id string) string {
	if id = strings.TrimSpace(id); instanceForm.MatchString(id) {
		return notPlaceholder(id)
	}
	return ""
}

// nameWithin returns a name as it was sent, since it is compared: one that is cut ends
// in an ellipsis, so that it equals no name that is whole.
func nameWithin(name string) string {
	if len(name) <= maxName {
		return name
	}
	return cut(name, maxName) + "…"
}

// oneLine makes text from outside fit for a log line: control characters become
// spaces, what cannot be seen or turns the text around is dropped, and it ends after
// limit bytes, on a whole character.
func oneLine(s string, limit int) string {
	return cut(visible(s), limit)
}

// visible is oneLine without its limit.
func visible(s string) string {
	if isPlain(s) {
		return strings.TrimSpace(s)
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.TrimSpace(s)
}

// isPlain says whether text is printable ASCII, as most is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cut ends text after limit bytes, on a whole character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// message is what the API says, in one line, without what is private. It is looked for
// before the text is cleaned, since an address has lines, and after it, since what cannot
// be seen may have hidden it.
func message(s string, private []string) string {
	return cut(redact(visible(redact(s, private)), private), maxMessage)
}
