package spreadsheet

import (
	"bytes"
	"net/http"
	"strings"
)

// kindOfFile is a file format, as its first bytes show it.
type kindOfFile string

const (
	plainText kindOfFile = ""
	archive   kindOfFile = "zip"
	ole2      kindOfFile = "ole2"
	noText    kindOfFile = "binary"
	utf32     kindOfFile = "UTF-32"
)

const saveAgain = `save it as .xlsx or as "CSV UTF-8"`

// otherMagic are the first bytes of formats that [http.DetectContentType] does not know.
var otherMagic = map[string]kindOfFile{
	"SQLite format 3": "an SQLite database",
	"{\\rtf":          "a Rich Text document",
}

// otherPackings are the first bytes of compressed files that this package cannot unpack.
var otherPackings = map[string]kindOfFile{
	"BZh":                "a bzip2 archive",
	"\xfd7zXZ\x00":       "an xz archive",
	"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
	"Rar!\x1a\x07":       "a RAR archive",
}

// packedOtherwise returns which of otherPackings a file is, or "".
func packedOtherwise(head []byte) kindOfFile {
	for magic, what := range otherPackings {
		if strings.HasPrefix(string(head), magic) {
			return what
		}
	}
	return ""
}

// sniff returns the kind of a file by its first bytes.
func sniff(head []byte) kindOfFile {
	text := string(head)
	switch {
	case strings.HasPrefix(text, "PK\x03\x04"), strings.HasPrefix(text, "PK\x05\x06"):
		return archive
	case strings.HasPrefix(text, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
		return ole2
	case strings.HasPrefix(text, "\xff\xfe\x00\x00"), strings.HasPrefix(text, "\x00\x00\xfe\xff"):
		return utf32
	}
	for magic, what := range otherMagic {
		if strings.HasPrefix(text, magic) {
			return what
		}
	}
	kind, _, _ := strings.Cut(http.DetectContentType(head), ";")
	switch {
	case kind == "text/html":
		return "a web page, whatever its name"
	case kind == "text/xml":
		return "XML, whatever its name"
	case kind != "text/plain" && kind != "application/octet-stream":
		return kindOfFile("a file of type " + kind)
	case http.DetectContentType(firstLine(head)) == "application/octet-stream" && markOf(head) == "" && unmarkedUTF16(head) == "":
		return noText
	}
	return plainText
}

func firstLine(head []byte) []byte {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return line
}

// maybeUTF16 reports whether binary bytes could be UTF-16 whose header is not ASCII.
func maybeUTF16(head []byte) bool {
	return len(head)%2 == 0 && bytes.Count(head, []byte{0})*16 >= len(head)
}

// refusal returns why this package cannot read a file of this kind, or "".
func (k kindOfFile) refusal(head []byte) string {
	switch k {
	case plainText:
		return ""
	case ole2:
		// [MS-OFFCRYPTO] 2.3.2: what a workbook with a password keeps its parts in.
		if strings.Contains(string(head), "E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00") {
			return "the workbook has a password; save it without one"
		}
		return "the file is an old .xls workbook, or one with a password; " + saveAgain + ", without a password"
	case noText:
		return "the file is binary, not a table; " + saveAgain
	case utf32:
		return "the text is UTF-32; " + saveAgain
	}
	return "the file is " + string(k) + "; " + saveAgain
}
