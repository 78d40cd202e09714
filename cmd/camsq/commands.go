package main

import "github.com/spf13/cobra"

// commands are camsq's subcommands, in the order in which a newcomer meets them.
func (p *program) commands() []*cobra.Command {
	return []*cobra.Command{
		p.demoCommand(),
		p.enqueueCommand(),
		p.statusCommand(),
		p.resultsCommand(),
		p.failedCommand(),
		p.heldCommand(),
		p.retryCommand(),
		p.resolveCommand(),
		p.cancelCommand(),
		p.pauseCommand(),
		p.resumeCommand(),
		p.limitCommand(),
		p.workerCommand(),
		p.fakeCommand(),
		p.checkCommand(),
		p.proveCommand(),
	}
}
