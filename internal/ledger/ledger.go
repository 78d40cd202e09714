package ledger

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// DefaultKeep is how long the record of a job that ended is kept.
const DefaultKeep = 90 * 24 * time.Hour

var (
	//go:embed record.lua
	recordText string
	// recordLua is in front of every script that meets a record.
	recordLua = versionLua + recordText

	//go:embed get.lua
	getLua    string
	getScript = redis.NewScript(recordLua + getLua)

	//go:embed transition.lua
	transitionLua    string
	transitionScript = redis.NewScript(recordLua + batchLua + transitionLua)

	//go:embed claim.lua
	claimLua    string
	claimScript = redis.NewScript(claimLua)

	//go:embed keys.lua
	keysLua    string
	keysScript = redis.NewScript(keysLua)

	//go:embed prune.lua
	pruneLua    string
	pruneScript = redis.NewScript(pruneLua)
)

// Config is what a [Ledger] needs.
type Config struct {
	// Redis holds the records. Required.
	Redis redis.UniversalClient
	// Keys seal the requests. Required.
	Keys seal.Keyring
	// Keep is how long a final record is kept. Defaults to [DefaultKeep].
	Keep time.Duration
}

// Ledger reads and changes job records. It is safe for concurrent use.
type Ledger struct {
	rdb  redis.UniversalClient
	keys seal.Keyring
	keep time.Duration
	// self is who this process is to the sweeper's lock.
	self string
}

// New returns a ledger. It does not talk to Redis: see [Ledger.UseKeys].
func New(c Config) (*Ledger, error) {
	if c.Redis == nil {
		return nil, errors.New("ledger: Config.Redis is missing")
	}
	if c.Keys.Zero() {
		return nil, errors.New("ledger: Config.Keys is missing: requests hold personal data and are kept sealed")
	}
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	if c.Keep < time.Second {
		return nil, fmt.Errorf("ledger: Config.Keep is %v; it must be a second or more", c.Keep)
	}
	return &Ledger{rdb: c.Redis, keys: c.Keys, keep: c.Keep, self: newVersion()}, nil
}

// WrongKeyError means that the requests in Redis are sealed with other data keys
// than this process was given.
type WrongKeyError struct {
	Have, Want []string
}

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("ledger: the requests in this Redis are sealed with data key %v, but this process was given %v", e.Want, e.Have)
}

// CheckKeys makes sure that this process shares a data key with those that have
// sealed something; it changes nothing. It returns a [*WrongKeyError] if it
// shares none.
func (l *Ledger) CheckKeys(ctx context.Context) error {
	known, err := l.rdb.SMembers(ctx, dataKeysKey).Result()
	if err != nil {
		return fmt.Errorf("ledger: looking up the data keys in use: %w", err)
	}
	ids := l.keys.IDs()
	if len(known) == 0 || slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(known, id) }) {
		return nil
	}
	slices.Sort(known)
	return &WrongKeyError{Have: ids, Want: known}
}

// UseKeys checks the keys like [Ledger.CheckKeys] and makes the sealing one known
// to all, in one step. It comes before the first request that is sealed, and after
// [Ledger.UseFormat].
func (l *Ledger) UseKeys(ctx context.Context) error {
	ids := l.keys.IDs()
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	others, err := keysScript.Run(ctx, l.rdb, []string{dataKeysKey}, args...).StringSlice()
	if err != nil {
		return fmt.Errorf("ledger: making the data key known: %w", err)
	}
	if len(others) > 0 {
		slices.Sort(others)
		return &WrongKeyError{Have: ids, Want: others}
	}
	return nil
}

// Get reads one record. Its errors wrap [tasks.ErrNotFound] and
// [tasks.ErrUnreadable].
func (l *Ledger) Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error) {
	found, err := l.GetMany(ctx, ref.Account, []string{ref.ID})
	if err != nil {
		return tasks.Record{}, err
	}
	return found[0].Record, found[0].Err
}

// GetMany reads the records of one account's jobs in one round trip, in the
// order of the IDs. Some hundreds at a time are a good number.
func (l *Ledger) GetMany(ctx context.Context, account string, ids []string) ([]tasks.Lookup, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	lane := laneOf(account)
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = lane.job(id)
	}
	reply, err := getScript.Run(ctx, l.rdb, keys).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("ledger: reading %d jobs of account %s: %w", len(ids), account, err)
	}
	if len(reply) != 1+len(ids) {
		return nil, fmt.Errorf("ledger: reading %d jobs of account %s: Redis returned %d values", len(ids), account, len(reply))
	}
	now := millis(reply[0])
	out := make([]tasks.Lookup, len(ids))
	for i, id := range ids {
		ref, record := tasks.Ref{Account: account, ID: id}, reply[1+i]
		if record == "" {
			out[i].Err = fmt.Errorf("ledger: job %s: %w", ref, tasks.ErrNotFound)
		} else {
			out[i].Record, out[i].Err = l.decode(ref, now, split(record))
		}
		if out[i].Err != nil {
			out[i].Record.Account, out[i].Record.ID, out[i].Record.State = account, id, HeadState(split(record).head)
		}
	}
	return out, nil
}

// Transition moves the record by a step, with the progress that it carries, and
// returns it as it then stands. due is how long it needs no processing. If it
// ends the last job of a batch that is closed, it notes in the same step that the
// batch is completed and that this is to be delivered: see [tasks.Record.Completes].
//
// The write is durable as far as Redis is when Transition returns nil. It
// tries for as long as ctx allows (and at most [writeTime]) while Redis cannot be reached;
// however often it tries, the write is applied at most once. Its errors wrap
// [*tasks.StepError] (not an edge), [tasks.ErrNotFound], and [tasks.ErrClaimed] if
// another job has the instance: then nothing was written. After
// [tasks.ErrConflict] the record is not what this write would have made of it: it
// was refused, or its reply was lost and another write came after it. After any
// other error it may or may not have been written, or may be written later, as long as
// the record has the revision that was read: then the record that comes with the error
// is what the write makes of it, with the revision that it writes.
func (l *Ledger) Transition(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
	to, err := tasks.Next(r.State, by)
	if err != nil {
		return tasks.Record{}, fmt.Errorf("ledger: job %s: %w", r.Ref(), err)
	}
	return l.write(ctx, r, to, due)
}

// UpdateProgress writes the record's progress without leaving its state. Its errors are
// those of [Ledger.Transition].
func (l *Ledger) UpdateProgress(ctx context.Context, r tasks.Record, due time.Duration) (tasks.Record, error) {
	return l.write(ctx, r, r.State, due)
}

const (
	writeTime = time.Minute
	// writePause is between two tries of a write.
	writePause = 200 * time.Millisecond
)

func (l *Ledger) write(ctx context.Context, r tasks.Record, to tasks.State, due time.Duration) (tasks.Record, error) {
	lane := laneOf(r.Account)
	if r.Baseline != nil && *r.Baseline == nil {
		r.Baseline = &[]string{} // null would be read as a baseline that is not there
	}
	progress, err := json.Marshal(r.Progress)
	if err != nil {
		return tasks.Record{}, fmt.Errorf("ledger: encoding the progress of %s: %w", r.Ref(), err)
	}
	keep, instance := time.Duration(0), ""
	if to.Final() {
		keep = l.keep
	}
	if to == tasks.StateCreated && r.Instance != nil {
		instance = r.Instance.InstanceID
	}
	keys := []string{
		lane.job(r.ID), lane.state(r.State), lane.state(to), lane.count(), lane.batch(r.Batch),
		lane.name(r.Request.NameKey()), lane.owed(), lane.dead(), lane.instance(instance),
		lane.completions(r.Batch), lane.owedBatches(), lane.deadBatches(),
	}
	// The revision is new for each intended write and the same for each try of it:
	// so a try whose reply was lost is recognised, and another worker's is not.
	made := r
	made.State, made.Version = to, newVersion()
	args := []any{
		r.ID, r.Version, made.Version, string(r.State), string(to), progress,
		due.Milliseconds(), keep.Milliseconds(), flag(indexed(to)), flag(r.Batch != ""),
		string(r.Callback.State), flag(instance != ""),
	}
	args = append(args, stateArgs()...)
	reply, err := persist(ctx, func(ctx context.Context) ([]string, error) {
		return transitionScript.Run(ctx, l.rdb, keys, args...).StringSlice()
	})
	if err != nil {
		return made, fmt.Errorf("ledger: writing job %s as %s: %w", r.Ref(), to, err)
	}
	switch reply[0] {
	case "ok":
		r.Now = millis(reply[2])
		if err := decodeHead(reply[1], &r); err != nil {
			return made, unreadable(r.Ref(), err)
		}
		r.Completes, _ = strconv.ParseInt(reply[3], 10, 64)
		return r, nil
	case "missing":
		err = tasks.ErrNotFound
	case "claimed":
		err = tasks.ErrClaimed
	default:
		err = tasks.ErrConflict
	}
	return tasks.Record{}, fmt.Errorf("ledger: writing job %s as %s: %w", r.Ref(), to, err)
}

// persist asks again until it has an answer or ctx ends, and returns the last error.
func persist(ctx context.Context, ask func(context.Context) ([]string, error)) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	for {
		reply, err := ask(ctx)
		if err == nil {
			return reply, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(writePause):
		}
	}
}

func newVersion() string {
	b := make([]byte, 9)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func millis(s string) time.Time {
	ms, _ := strconv.ParseInt(s, 10, 64)
	return time.UnixMilli(ms)
}
