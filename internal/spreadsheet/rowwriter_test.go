package spreadsheet_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/camsq/camsq/internal/spreadsheet"
)

func TestRowWriter(t *testing.T) {
	for _, tt := range []struct {
		name        string
		want, plain string // with the added column, and without
	}{
		{"out.csv", "\ufeffid;name;state\n1;'=x;created\n", "\ufeffid;name\n1;'=x\n"},
		{"out.ndjson", `{"row":{"id":"1","name":"=x"},"state":"created"}` + "\n", `{"row":{"id":"1","name":"=x"}}` + "\n"},
	} {
		for _, added := range [][]string{{"state"}, nil} {
			form, ok := spreadsheet.FormOf(tt.name)
			if !ok {
				t.Fatalf("%s has no form", tt.name)
			}
			var out bytes.Buffer
			w := spreadsheet.NewRowWriter(form, &out, func() rune { return ';' })
			want, values := tt.want, []string{"created"}
			if added == nil {
				want, values = tt.plain, nil
			}
			for _, err := range []error{w.Header([]string{"id", "name"}, added), w.Row([]string{"1", "=x"}, values), w.Flush(), w.Close()} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := out.String(); got != want {
				t.Errorf("%s: %q, want %q", tt.name, got, want)
			}
		}
	}

	var book bytes.Buffer
	w := spreadsheet.NewRowWriter(spreadsheet.Workbook, &book, nil)
	for _, err := range []error{w.Header([]string{"id", "name"}, []string{"state"}), w.Row([]string{"1", "=x"}, []string{"created"}), w.Flush(), w.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	table, err := spreadsheet.Open(bytes.NewReader(book.Bytes()), spreadsheet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	for _, want := range [][]string{{"id", "name", "state"}, {"1", "=x", "created"}} {
		if row, err := table.Next(); err != nil || !slices.Equal(row.Cells, want) {
			t.Errorf("the workbook has %q, %v; want %q", row.Cells, err, want)
		}
	}
	if _, ok := spreadsheet.FormOf("out.pdf"); ok {
		t.Error("out.pdf has a form")
	}
}
