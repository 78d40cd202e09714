package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

// batchStatus is one batch of one account. Its JSON is public.
type batchStatus struct {
	Batch   string `json:"batch"`
	Account string `json:"account"`
	Jobs    tally  `json:"jobs"`
	// Codes counts the failed jobs by their code.
	Codes map[string]int64 `json:"codes"`
	// ClosedAt is when the producer had sent the last job, CompletedAt when every one
	// had ended besides; each is left out while that is not so. Completions is how
	// often it was.
	ClosedAt    time.Time `json:"closed_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	Completions int64     `json:"completions"`
	// Callback is how far telling the last completion got.
	Callback *callbackStatus `json:"callback,omitempty"`
	// Rest is how long the open jobs need; left out if there are none, if the account
	// is held back, or if no worker is running.
	Rest *restStatus `json:"rest,omitempty"`
	// Lane is how the account is paced, and what holds it back, if jobs are open.
	Lane *laneStatus `json:"lane,omitempty"`

	now      time.Time `json:"-"`
	prospect prospect  `json:"-"`
}

// restStatus is how long open jobs need at the pace in force: at least, and at most
// if the account's others go first.
type restStatus struct {
	LeastSeconds int64 `json:"least_seconds"`
	MostSeconds  int64 `json:"most_seconds"`
}

func newBatchStatus(b *tasks.Batch) batchStatus {
	return batchStatus{
		Batch: b.Name, Account: b.Account, Jobs: b.Jobs, Codes: b.Codes,
		ClosedAt: utc(b.Closed), CompletedAt: utc(b.Completed), Completions: b.Completions, now: b.Now,
	}
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// batchesOf reads the batches of that name in every account that has one.
func (n *model) batchesOf(ctx context.Context, name string) ([]*tasks.Batch, error) {
	accounts, err := n.accounts(ctx)
	if err != nil {
		return nil, err
	}
	found, err := n.ledger.BatchIn(ctx, accounts, name)
	if n.partly(ctx, err) {
		found, err = n.batchInReach(ctx, accounts, name)
	}
	return slices.DeleteFunc(found, func(b *tasks.Batch) bool { return b == nil }), err
}

// batchInReach reads the batch of each account that can be asked, and notes the others.
func (n *model) batchInReach(ctx context.Context, accounts []string, name string) ([]*tasks.Batch, error) {
	found := make([]*tasks.Batch, len(accounts))
	errs := eachAccount(ctx, accounts, func(ctx context.Context, i int) (err error) {
		found[i], err = n.ledger.Batch(ctx, accounts[i], name)
		return err
	})
	for i, err := range errs {
		if err != nil && !n.miss(ctx, accounts[i], err) {
			return nil, err
		}
	}
	return found, nil
}

// batchStatus is all that is told of one batch.
func (n *model) batchStatus(ctx context.Context, b *tasks.Batch) (batchStatus, error) {
	s := newBatchStatus(b)
	if b.Completions > 0 {
		c, err := n.ledger.Completion(ctx, tasks.BatchRef{Account: b.Account, Batch: b.Name, Completion: b.Completions})
		switch {
		case err == nil:
			s.Callback = &callbackStatus{State: c.Callback.State, Tries: c.Callback.Tries, Reason: c.Callback.Reason}
		case !isNotFound(err) && !errors.Is(err, tasks.ErrUnreadable):
			return s, err
		}
	}
	if unsettled(s.Jobs) == 0 {
		return s, nil
	}
	var err error
	if s.prospect, err = n.prospect(ctx, b.Account, unsettled(s.Jobs)); err != nil {
		return s, err
	}
	lane := s.prospect.status()
	s.Lane = &lane
	if least, most, ok := s.prospect.rest(unsettled(s.Jobs)); ok {
		s.Rest = &restStatus{int64(least.Seconds()), int64(most.Seconds())}
	}
	return s, nil
}

// printBatches shows the batches of one name: the counts, then what is to be said of
// each, then why jobs failed.
func printBatches(w io.Writer, batches []batchStatus) {
	rows := [][]string{stateColumns("BATCH", "ACCOUNT")}
	for _, b := range batches {
		rows = append(rows, stateCells(b.Jobs, plain(b.Batch), b.Account))
	}
	printTable(w, 2, rows)
	fmt.Fprintln(w)
	for _, b := range batches {
		for _, note := range b.notes() {
			fmt.Fprintf(w, "%s: %s\n", b.Account, note)
		}
	}
	rows = [][]string{{"WHY JOBS FAILED", "ACCOUNT", "JOBS"}}
	for _, b := range batches {
		for _, c := range tasks.TopCodes(b.Codes, topCodes) {
			rows = append(rows, []string{plain(c.Code), b.Account, thousands(c.Jobs)})
		}
	}
	if len(rows) > 1 {
		fmt.Fprintln(w)
		printTable(w, 2, rows)
	}
}

// notes are what a person should know of the batch beside the numbers.
func (b batchStatus) notes() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	open, held := unsettled(b.Jobs), b.Jobs[tasks.StateHeld]
	switch {
	case !b.CompletedAt.IsZero():
		again := ""
		if b.Completions > 1 {
			again = fmt.Sprintf(", completion %d", b.Completions)
		}
		add("completed %s%s; %s", stamp(b.CompletedAt, b.now), again, b.told())
	case b.ClosedAt.IsZero():
		add("not closed: its producer may send more; %s", b.closing())
	default:
		add("closed %s: its producer has sent the last job", stamp(b.ClosedAt, b.now))
	}
	if b.CompletedAt.IsZero() && b.Completions > 0 {
		add("open again after completion %d; %s", b.Completions, b.told())
	}
	if open > 0 {
		add("%s to go%s", plural(open, "job"), b.prospect.toGo(b.Jobs))
		for _, hold := range b.prospect.holds() {
			add("%s", hold)
		}
	}
	if held > 0 {
		add("%s held until a person decides, and not completed before: camsq held --batch %s", plural(held, "job"), word(b.Batch))
	}
	return out
}

// closing says what the same file would do to a batch that is not closed.
func (b batchStatus) closing() string {
	if n := b.Jobs[tasks.StateCancelled]; n > 0 {
		return fmt.Sprintf("%s cancelled, but the same file again would queue its rows that were never sent, and close it", verb(n, "job", "was", "were"))
	}
	return "the same file again closes it"
}

// told says how far telling the last completion got.
func (b batchStatus) told() string {
	if b.Callback == nil {
		return "whether that was told is not known any more"
	}
	if b.Callback.State == tasks.CallbackNone {
		return "nobody is told, since the account has no receiver"
	}
	return "callback " + b.Callback.String()
}

// waitForBatches follows the batches of these names until nothing of them goes
// further by itself, and shows how they stand then. hints say how to go on.
func (p *program) waitForBatches(ctx context.Context, n *node, names []string, asJSON bool, hints func()) error {
	c := &batchCrowd{ledger: n.ledger, moved: time.Now()}
	for _, name := range names {
		batches, err := n.batchesOf(ctx, name)
		if err != nil {
			return n.noAnswer(ctx, err)
		}
		c.batches = append(c.batches, batches...)
	}
	f := p.newFollower(n, c)
	begin := time.Now()
	err := f.follow(ctx)
	f.progress.close()
	if err != nil {
		return p.noLonger(n, err, time.Since(begin), together(c.stand()), hints)
	}
	var all []batchStatus
	well := true
	for _, b := range c.batches {
		s, err := n.batchStatus(ctx, b)
		if err != nil {
			return n.noAnswer(ctx, err)
		}
		all = append(all, s)
		well = well && s.Jobs[tasks.StateCreated] == s.Jobs.sum()
	}
	if asJSON {
		if err := encodeJSON(p.stdout, map[string]any{"jobs": []jobStatus{}, "batches": all}); err != nil {
			return err
		}
	} else {
		printBatches(p.stdout, all)
	}
	if !well {
		return errSomeFailed
	}
	return nil
}

// closeBatch says that files were sent whole, and that no more jobs of their batch
// are to come for the accounts in them, unless one of the files after goes on with it.
func (n *node) closeBatch(ctx context.Context, batch string, accounts map[string]bool, after []source) error {
	if len(accounts) == 0 || slices.ContainsFunc(after, func(s source) bool { return s.batch == batch }) {
		return nil
	}
	err := n.client.CloseBatch(ctx, batch, slices.Sorted(maps.Keys(accounts))...)
	if err != nil && ctx.Err() == nil {
		return worded(redisExit(err), fmt.Sprintf("Redis at %s did not take the end of batch %s: it %s",
			n.config.redisHost(), plain(batch), redisconn.Told(err)), err)
	}
	return err
}
