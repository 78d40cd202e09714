package cmdutil

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/workdir"
)

// Factory is what every command has at hand.
type Factory struct {
	Env            []string
	Dir            workdir.Dir // where relative paths start
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Open reads the settings and composes an App. It does not talk to Redis.
func (f *Factory) Open(cmd *cobra.Command) (*app.App, error) {
	c, err := f.Config(cmd)
	if err != nil {
		return nil, err
	}
	return app.Open(c)
}

// App opens an App whose Redis answers, for a command that changes no job.
func (f *Factory) App(cmd *cobra.Command) (*app.App, error) {
	return f.AppFor(cmd, app.Reading)
}

// AppFor opens one for a use of the records.
func (f *Factory) AppFor(cmd *cobra.Command, use app.Use) (*app.App, error) {
	a, err := f.Open(cmd)
	if err != nil {
		return nil, err
	}
	a.Use = use
	if err := a.Ready(cmd.Context(), f.Stderr); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}
