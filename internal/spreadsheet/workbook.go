package spreadsheet

import (
	"archive/zip"
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strings"
)

// Bounds of a workbook, so that a small file cannot unpack into a large memory.
const (
	maxTempFile  = 1 << 30  // a workbook that must wait in a temporary file
	maxDirectory = 2 << 20  // the archive's list of its parts
	maxPart      = 16 << 20 // a part that is read whole: the list of sheets, the styles
	maxSheets    = 10_000
	// A part that is larger than bombSize may be bombRatio times as large as it is
	// packed. Sheets of real workbooks come to 10 to 40 times.
	bombSize  = 8 << 20
	bombRatio = 200
)

// workbook is an open .xlsx (ECMA-376, SpreadsheetML).
type workbook struct {
	size   int64
	parts  map[string]*zip.File
	sheets []sheetEntry
	// strings and styles are the names of the parts, "" if there are none.
	strings, styles string
	from1904        bool
}

// sheetEntry is a sheet: its name, and the part that holds its cells.
type sheetEntry struct {
	name, part string
	hidden     bool
}

// openWorkbook finds a sheet of a workbook and makes ready for its first row.
func (t *Table) openWorkbook(r io.Reader, in *bufio.Reader, name string) error {
	at, size, ok := randomAccess(r)
	if t.format.Packing != "" || !ok {
		f, n, err := copyToTempFile(in)
		if err != nil {
			return err
		}
		t.closes = append(t.closes, f.close)
		at, size = f, n
	}
	b, err := readWorkbook(at, size)
	if err != nil {
		return workbookError(err, 1)
	}
	chosen, err := b.findSheet(name)
	if err != nil {
		return err
	}
	t.format.Sheet = chosen.name
	for _, s := range b.sheets {
		if !s.hidden && s.part != chosen.part {
			t.format.Others = append(t.format.Others, s.name)
		}
	}
	c, err := b.open(chosen.part)
	if err != nil {
		return workbookError(err, 1)
	}
	t.closes = append(t.closes, c.close)
	t.rows = c
	return nil
}

// randomAccess returns a reader that can be read at any place as what it is.
func randomAccess(r io.Reader) (io.ReaderAt, int64, bool) {
	switch r := r.(type) {
	case *os.File:
		if info, err := r.Stat(); err == nil && info.Mode().IsRegular() {
			return r, info.Size(), true
		}
	case interface {
		io.ReaderAt
		Size() int64
	}:
		return r, r.Size(), true
	}
	return nil, 0, false
}

// workbookError words what went wrong at a row.
func workbookError(err error, line int) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if r, ok := errors.AsType[reason](err); ok {
		return &Error{Line: line, Reason: string(r)}
	}
	if damagedZip(err) {
		return &Error{Line: line, Reason: "the workbook is damaged or cut off here; save it again"}
	}
	return asError(err, line)
}

func damagedZip(err error) bool {
	for _, e := range []error{zip.ErrFormat, zip.ErrAlgorithm, zip.ErrChecksum, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	_, syntax := errors.AsType[*xml.SyntaxError](err)
	return syntax || isCorrupt(err)
}

// meter fails when more was read than an archive's list may take.
type meter struct {
	io.ReaderAt
	remaining int64
}

func (m *meter) ReadAt(p []byte, offset int64) (int, error) {
	if m.remaining -= int64(len(p)); m.remaining < 0 {
		return 0, reason("the workbook's archive has far too many parts")
	}
	return m.ReaderAt.ReadAt(p, offset)
}

func readWorkbook(at io.ReaderAt, size int64) (*workbook, error) {
	m := &meter{at, maxDirectory}
	z, err := zip.NewReader(m, size)
	m.remaining = math.MaxInt64
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, err
	}
	b := &workbook{size: size, parts: map[string]*zip.File{}}
	for _, f := range z.File {
		b.parts[partName(f.Name)] = f
	}
	if b.parts["_rels/.rels"] == nil {
		return nil, b.foreign()
	}
	main, err := b.relations("")
	if err != nil {
		return nil, err
	}
	book := main.ofKind("/officeDocument")
	if b.parts[partName(book)] == nil || !strings.HasSuffix(partName(book), ".xml") || strings.HasPrefix(partName(book), "word/") {
		return nil, b.foreign()
	}
	return b, b.readSheets(book)
}

// partName is how the names of parts are compared: without regard to case
// (ECMA-376 part 2, 6.2.2.3).
func partName(name string) string {
	return strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "/"))
}

// foreign says what an archive is that is no workbook.
func (b *workbook) foreign() error {
	has := func(start string) bool {
		for name := range b.parts {
			if strings.HasPrefix(name, start) {
				return true
			}
		}
		return false
	}
	switch {
	case has("xl/workbook.bin"):
		return reason("the file is a binary workbook (.xlsb); " + saveAgain)
	case has("content.xml"):
		return reason("the file is an OpenDocument (.ods); " + saveAgain)
	case has("word/"), has("ppt/"):
		return reason("the file is a document without a table; " + saveAgain)
	case has("xl/"):
		return reason("the workbook is damaged or cut off here; save it again")
	}
	return reason("the file is a ZIP archive; unpack it and give the file in it")
}

// findSheet returns the sheet of a name, or the first visible one.
func (b *workbook) findSheet(name string) (sheetEntry, error) {
	i := slices.IndexFunc(b.sheets, func(s sheetEntry) bool {
		return name != "" && strings.EqualFold(s.name, name) || name == "" && !s.hidden
	})
	if i >= 0 {
		return b.sheets[i], nil
	}
	if name == "" {
		return sheetEntry{}, &Error{Line: 1, Reason: "the workbook has no visible sheet with cells"}
	}
	var names []string
	for _, s := range b.sheets {
		names = append(names, s.name)
	}
	return sheetEntry{}, &Error{Line: 1, Reason: fmt.Sprintf("the workbook has no sheet %q; it has %s", clip(name), listed(names))}
}

// relation is how one part names another.
type relation struct{ id, kind, target string }

type relations []relation

// ofKind returns the target of the first relation whose type ends so, or "".
func (r relations) ofKind(suffix string) string {
	for _, rel := range r {
		if strings.HasSuffix(rel.kind, suffix) {
			return rel.target
		}
	}
	return ""
}

func (r relations) ofID(id, suffix string) string {
	for _, rel := range r {
		if rel.id == id && strings.HasSuffix(rel.kind, suffix) {
			return rel.target
		}
	}
	return ""
}

// relations reads the relations of a part; those of "" are the package's.
func (b *workbook) relations(part string) (relations, error) {
	folder, base := path.Split(strings.TrimPrefix(part, "/"))
	var out relations
	err := b.each(folder+"_rels/"+base+".rels", func(e xml.StartElement) error {
		if e.Name.Local != "Relationship" {
			return nil
		}
		target := attr(e, "Target")
		if !strings.HasPrefix(target, "/") {
			target = path.Join(folder, target)
		}
		if len(out) > 2*maxSheets {
			return reason("the workbook names far too many parts")
		}
		out = append(out, relation{attr(e, "Id"), attr(e, "Type"), target})
		return nil
	})
	return out, err
}

// readSheets reads the list of sheets and where everything is.
func (b *workbook) readSheets(book string) error {
	rels, err := b.relations(book)
	if err != nil {
		return err
	}
	b.strings, b.styles = rels.ofKind("/sharedStrings"), rels.ofKind("/styles")
	return b.each(book, func(e xml.StartElement) error {
		switch e.Name.Local {
		case "workbookPr":
			b.from1904 = isTrue(attr(e, "date1904"))
		case "sheet":
			if len(b.sheets) > maxSheets {
				return reason("the workbook has far too many sheets")
			}
			if part := rels.ofID(attr(e, "id"), "/worksheet"); part != "" {
				b.sheets = append(b.sheets, sheetEntry{attr(e, "name"), part, attr(e, "state") != "" && attr(e, "state") != "visible"})
			}
		}
		return nil
	})
}

func attr(e xml.StartElement, local string) string {
	for _, a := range e.Attr {
		if a.Name.Local == local && a.Name.Space != "xmlns" {
			return a.Value
		}
	}
	return ""
}

func isTrue(value string) bool { return value == "1" || value == "true" }

// openPart opens a part for reading.
func (b *workbook) openPart(name string) (*part, error) {
	f := b.parts[partName(name)]
	if f == nil {
		return nil, reason("the workbook lacks its part " + fmt.Sprintf("%q", clip(name)) + "; save it again")
	}
	if f.Flags&1 != 0 {
		return nil, reason("the workbook has a password; save it without one")
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	return &part{ReadCloser: r, packed: min(int64(min(f.CompressedSize64, math.MaxInt64)), b.size)}, nil
}

// part is a part as it is unpacked. It fails when it unpacks into much more than
// any honest one does.
type part struct {
	io.ReadCloser
	packed, read int64
}

func (p *part) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if p.read += int64(n); p.read > bombSize && p.read/bombRatio > p.packed {
		return 0, reason(fmt.Sprintf("the workbook unpacks into more than %d times its size, as only a trap does; it is not read any further", bombRatio))
	}
	return n, err
}

// each calls f with every element of a part that is small.
func (b *workbook) each(name string, f func(xml.StartElement) error) error {
	p, err := b.openPart(name)
	if err != nil {
		return err
	}
	defer p.Close()
	d := xml.NewDecoder(bufio.NewReader(&limitReader{r: p, end: maxPart}))
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, errTooLong) {
			return reason(fmt.Sprintf("the workbook's part %q is far too large", clip(name)))
		}
		if err != nil {
			return err
		}
		if e, ok := token.(xml.StartElement); ok {
			if err := f(e); err != nil {
				return err
			}
		}
	}
}

// listed names some of many.
func listed(names []string) string {
	const most = 10
	var parts []string
	for _, n := range names[:min(len(names), most)] {
		parts = append(parts, fmt.Sprintf("%q", clip(n)))
	}
	if more := len(names) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

func clip(name string) string {
	const most = 60
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}
