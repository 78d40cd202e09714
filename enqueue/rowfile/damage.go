package rowfile

import (
	"regexp"
	"strings"

	"github.com/camsq/camsq/internal/spreadsheet"
)

const (
	reasonRounded       = "looks like a number that a spreadsheet has rounded; format the column as text"
	reasonPrecision     = "is a number of more than 15 digits, which a spreadsheet rounds; format the column as text and enter it again"
	reasonDate          = "is a date, as a spreadsheet makes of names such as Mar-04; format the column as text and type it again"
	reasonQuestionMarks = "is question marks only, as a program writes for characters that its encoding lacks; save the source as UTF-8"
	reasonNoValue       = "is a formula without a value; open the file in a spreadsheet and save it, or type the value"
)

var (
	roundedRule = regexp.MustCompile(`^-?[0-9]+([.,][0-9]+)?[eE]\+[0-9]+$`)
	// cellErrorRule matches the errors that spreadsheet programs write in place of a
	// value, in English, German, French and Spanish, and LibreOffice's; ### is a column
	// that was too narrow.
	cellErrorRule = regexp.MustCompile(`^(#(REF!|N/A|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|SPILL!|CALC!|GETTING_DATA|FIELD!|BLOCKED!|CONNECT!|BUSY!|` +
		`BEZUG!|NV|WERT!|ZAHL!|NOM\?|VALEUR!|NOMBRE!|¡REF!|¿NOMBRE\?|¡VALOR!|¡DIV/0!|¡NUM!|#{2,})|Err:[0-9]{3})$`)
	// dateRule matches what spreadsheet programs convert date-like text into: 2026-03-04, 3/4/2026, 04.03.26, Mar-04, 4-Mar, 04-Mar-26, 4. Mrz, 3月4日.
	dateRule = regexp.MustCompile(`(?i)^(` +
		`[12][0-9]{3}([-/.])[0-9]{1,2}[-/.][0-9]{1,2}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?` +
		`|[0-9]{1,2}[-/.][0-9]{1,2}[-/.]([0-9]{2}|[12][0-9]{3})( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?` +
		`|([0-9]{1,2}(-|\. ))?` + months + `(-[0-9]{2}|-[12][0-9]{3}|-[0-9])?` +
		`|([12][0-9]{3}年)?[0-9]{1,2}月([0-9]{1,2}日)?` +
		`)$`)
)

const months = `(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mrz|Mär|Mai|Okt|Dez)`

// spreadsheetDamage returns how a spreadsheet program has damaged a value, and what to
// do about it, or "". It reports only what is certain or costly; the fields' own rules
// judge the other values.
func (c column) spreadsheetDamage(value string, kind spreadsheet.Kind) string {
	value = strings.TrimSpace(value)
	metadata := strings.HasPrefix(c.field, metadataPrefix)
	switch {
	case c.field == "":
		return "" // the column is ignored, or any value in it is an error
	case kind == spreadsheet.KindFormulaWithoutValue:
		return reasonNoValue
	case kind == spreadsheet.KindCellError, isCellError(value):
		return "holds the spreadsheet's error " + clip(value) + "; correct the formula, or type the value"
	case isQuestionMarks(value):
		return reasonQuestionMarks
	case spreadsheet.Misread(value) != "":
		return "looks like UTF-8 that some program has read as " + spreadsheet.Misread(value) + "; get the source once more and open it as UTF-8"
	case kind == spreadsheet.KindRounded:
		return reasonPrecision
	case kind == spreadsheet.KindDate && !metadata:
		return reasonDate
	case c.field == "InstanceName" && isDate(value):
		return reasonDate
	case metadata && strings.Contains(value, "+") && roundedRule.MatchString(value):
		return reasonRounded
	}
	return ""
}

func isCellError(value string) bool {
	return value != "" && (value[0] == '#' || value[0] == 'E') && cellErrorRule.MatchString(value)
}

// isQuestionMarks reports whether an encoding has lost all characters of a value.
func isQuestionMarks(value string) bool {
	return strings.HasPrefix(value, "??") && strings.Trim(value, "? .,-") == ""
}

// isDate reports whether a value looks like a date. The bare name of a month does not.
func isDate(value string) bool {
	return strings.ContainsAny(value, "0123456789") && strings.ContainsAny(value, "-/.月") && dateRule.MatchString(value)
}
