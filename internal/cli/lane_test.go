package cli

import (
	"github.com/camsq/camsq/tasks"
)

func (d *cliTest) lane(account string) tasks.Lane {
	d.t.Helper()
	lanes, err := d.ledger.Lanes(d.t.Context(), []string{account})
	if err != nil {
		d.t.Fatal(err)
	}
	return lanes[0]
}
