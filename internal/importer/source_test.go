package importer

import (
	"testing"
)

func TestABatchHasTheFilesNameWithoutItsForm(t *testing.T) {
	for path, want := range map[string]string{
		"a/march.csv": "march", "march.csv.gz": "march", "march.xlsx": "march", "march.tsv.zst": "march", "march": "march", "v1.2.csv": "v1.2", "-": "stdin",
		"march.csv.rejected.csv": "march", "march.xlsx.rejected.csv.rejected.csv": "march", "stdin.rejected.csv": "stdin",
	} {
		if got := BatchOf(path); got != want {
			t.Errorf("%s: batch %q, want %q", path, got, want)
		}
	}
}
