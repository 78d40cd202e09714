package render_test

import (
	"strings"
	"testing"

	"github.com/camsq/camsq/internal/cli/render"
)

func TestColumnsStandUnderTheirHeaderWhateverTheScript(t *testing.T) {
	var out strings.Builder
	render.PrintTable(&out, 1, [][]string{
		{"ACCOUNT", "JOBS"},
		{"北京分店", "7"},
		{"cafe\u0301", "1,200"},
	})
	want := strings.Join([]string{
		"ACCOUNT    JOBS",
		"北京分店      7",
		"cafe\u0301      1,200",
		"",
	}, "\n")
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
