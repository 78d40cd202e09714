package oracle

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/camsq/camsq/internal/spreadsheet"
)

const packages = "node/node_modules"

// node answers the questions of one test.
type node struct {
	t   *testing.T
	in  *json.Encoder
	out *bufio.Scanner
}

// newNode starts Node.js with the installed packages, or skips; in CI both must be there.
func newNode(t *testing.T) *node {
	t.Helper()
	missing := t.Skip
	if os.Getenv("CI") == "true" {
		missing = t.Fatal
	}
	bin, err := exec.LookPath("node")
	if err != nil {
		missing("node is not on PATH")
	}
	if _, err := os.Stat(filepath.Join(packages, "papaparse")); err != nil {
		missing(`the Node.js packages are missing: run "npm ci" in internal/spreadsheet/oracle/node`)
	}
	cmd := exec.CommandContext(t.Context(), bin, "oracle.mjs")
	cmd.Dir, cmd.Stderr = "node", os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	s := bufio.NewScanner(out)
	s.Buffer(nil, 64<<20)
	return &node{t: t, in: json.NewEncoder(in), out: s}
}

func (n *node) ask(question map[string]any, answer any) {
	n.t.Helper()
	if err := n.in.Encode(question); err != nil {
		n.t.Fatal(err)
	}
	if !n.out.Scan() {
		n.t.Fatalf("node gave no answer: %v", n.out.Err())
	}
	if err := json.Unmarshal(n.out.Bytes(), answer); err != nil {
		n.t.Fatal(err)
	}
}

// encode returns a text in an encoding, as iconv-lite writes it.
func (n *node) encode(text, as string) []byte {
	n.t.Helper()
	var raw []byte
	n.ask(map[string]any{"encode": text, "as": as}, &raw)
	return raw
}

// read returns the rows of a table, and the error that ended it. Rows that cannot
// be split are counted.
func read(r io.Reader, opts spreadsheet.Options) (rows [][]string, format spreadsheet.Format, unsplit int, err error) {
	table, err := spreadsheet.Open(r, opts)
	if err != nil {
		return nil, spreadsheet.Format{}, 0, err
	}
	defer table.Close()
	for {
		row, err := table.Next()
		switch _, one := errors.AsType[*spreadsheet.RowError](err); {
		case errors.Is(err, io.EOF):
			return rows, table.Format(), unsplit, nil
		case one:
			unsplit++
		case err != nil:
			return rows, table.Format(), unsplit, err
		default:
			rows = append(rows, row.Cells)
		}
	}
}

func file(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(packages, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
