package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/cli/render"
)

func versionCommand(f *cmdutil.Factory) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, Go's version and the record format",
		Args:  cmdutil.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version      string `json:"version"`
				Commit       string `json:"commit"`
				Go           string `json:"go"`
				RecordFormat int    `json:"record_format"`
			}{app.Version(), app.Commit(), runtime.Version(), app.RecordFormat}
			if asJSON {
				return render.PrintJSON(f.Stdout, v)
			}
			_, err := fmt.Fprintf(f.Stdout, "camsq %s\ncommit %s\n%s %s/%s\nrecord format %d\n",
				v.Version, v.Commit, v.Go, runtime.GOOS, runtime.GOARCH, v.RecordFormat)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
