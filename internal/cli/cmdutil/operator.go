package cmdutil

import (
	"log/slog"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/operate"
)

// Operator returns the write model on an App. Its warnings go to the Factory's stderr.
func Operator(n *app.App, f *Factory) operate.Operator {
	return operate.Operator{
		Store: n.Ledger, Queue: n.Queue, Lanes: n.Ledger,
		Receiver: func(name string) string {
			for _, a := range n.Config.Accounts {
				if a.Name == name {
					return a.CallbackURL
				}
			}
			return ""
		},
		Log: slog.New(slog.NewTextHandler(f.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}
