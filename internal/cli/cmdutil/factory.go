package cmdutil

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/workdir"
)

// Factory is what every command has at hand.
type Factory struct {
	Env            []string
	Dir            workdir.Dir // where relative paths start
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Open reads the settings and makes a node. It does not talk to Redis.
func (p *Factory) Open(cmd *cobra.Command) (*app.App, error) {
	c, err := p.Config(cmd)
	if err != nil {
		return nil, err
	}
	return app.Open(c)
}

// App opens a node whose Redis answers, for a command that changes no job.
func (p *Factory) App(cmd *cobra.Command) (*app.App, error) {
	return p.AppFor(cmd, ledger.Reading)
}

// AppFor opens one for a use.
func (p *Factory) AppFor(cmd *cobra.Command, use ledger.Use) (*app.App, error) {
	n, err := p.Open(cmd)
	if err != nil {
		return nil, err
	}
	n.Use = use
	if err := n.Ready(cmd.Context(), p.Stderr); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}
