package spreadsheet

import "strings"

// dangerous are the characters with which a cell begins that some spreadsheet
// takes for a formula (OWASP, "CSV Injection"); the last ones are those of full width.
const dangerous = "=+-@\t\r\n＝＋－＠"

// Guard makes a cell of a text file safe to be opened in a spreadsheet: it puts an
// apostrophe in front of what could be a formula. [Unguard] takes it away again,
// so a cell that looks as if it were guarded gets one more.
func Guard(cell string) string {
	if isDangerous(cell) {
		return "'" + cell
	}
	return cell
}

// Unguard returns the cell that [Guard] was given.
func Unguard(cell string) string {
	if inner, ok := strings.CutPrefix(cell, "'"); ok && isDangerous(inner) {
		return inner
	}
	return cell
}

// isDangerous looks behind any apostrophes, so that Guard and Unguard are each
// other's inverse.
func isDangerous(cell string) bool {
	cell = strings.TrimLeft(cell, "'")
	for _, r := range cell {
		return strings.ContainsRune(dangerous, r)
	}
	return false
}
