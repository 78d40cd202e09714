package spreadsheet

import (
	"encoding/xml"
	"strconv"
	"strings"
)

// style is what a cell's format says about its number.
type style struct {
	date bool
	// zeros is how many digits are shown at least: a format of 0000 keeps zeros in front.
	zeros int
}

const maxStyles = 1 << 16 // as many as a workbook may have

// readStyles returns the style of each cell format.
func (b *workbook) readStyles() ([]style, error) {
	if b.styles == "" {
		return nil, nil
	}
	var out []style
	custom := map[int]string{}
	inCells := false
	err := b.each(b.styles, func(e xml.StartElement) error {
		switch e.Name.Local {
		case "numFmt":
			if id, err := strconv.Atoi(attr(e, "numFmtId")); err == nil && len(custom) < maxStyles {
				custom[id] = attr(e, "formatCode")
			}
		case "cellXfs":
			inCells = true
		case "cellStyles", "dxfs":
			inCells = false
		case "xf":
			if inCells && len(out) < maxStyles {
				id, _ := strconv.Atoi(attr(e, "numFmtId"))
				out = append(out, styleOf(id, custom[id]))
			}
		}
		return nil
	})
	return out, err
}

// styleOf reads a number format: one that Excel knows by its number (ECMA-376 part 1,
// 18.8.30), or one that is written out.
func styleOf(id int, code string) style {
	if code == "" {
		return style{date: 14 <= id && id <= 22 || 27 <= id && id <= 36 || 45 <= id && id <= 47 || 50 <= id && id <= 58}
	}
	code, _, _ = strings.Cut(code, ";") // the part for positive numbers
	if code != "" && strings.Trim(code, "0") == "" {
		return style{zeros: len(code)}
	}
	return style{date: isDateFormat(code)}
}

// isDateFormat looks for a letter of a date or a time outside of what is text.
func isDateFormat(code string) bool {
	for i := 0; i < len(code); i++ {
		switch c := code[i]; c {
		case '"':
			end := strings.IndexByte(code[i+1:], '"')
			if end < 0 {
				return false
			}
			i += end + 1
		case '\\', '_', '*':
			i++ // the next character stands for itself
		case '[':
			end := strings.IndexByte(code[i:], ']')
			if end < 0 {
				return false
			}
			// [h], [mm] and [s] are times; [Red], [$-409] and [>100] are not.
			if inner := strings.ToLower(code[i+1 : i+end]); inner != "" && strings.Trim(inner, inner[:1]) == "" && strings.Contains("hms", inner[:1]) {
				return true
			}
			i += end
		case 'G', 'g':
			if len(code) >= i+7 && strings.EqualFold(code[i:i+7], "General") {
				return false
			}
		case 'y', 'Y', 'm', 'M', 'd', 'D', 'h', 'H', 's', 'S':
			return true
		}
	}
	return false
}
