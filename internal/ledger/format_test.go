package ledger_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
)

const formatKey = "camsq:format"

// A process that the records in Redis are not for is told so before it does anything:
// what is wrong, and what to do.
func TestAProcessIsLetInToRecordsThatAreForIt(t *testing.T) {
	const (
		upgrade = "upgrade this process"
		older   = "unreleased camsq"
	)
	type in map[ledger.Use]string // for each use what a refusal says, "" if it is let in
	all := func(says string) in {
		return in{ledger.Reading: says, ledger.Producing: says, ledger.Operating: says, ledger.Working: says}
	}
	for name, tt := range map[string]struct {
		plant func(context.Context, redis.UniversalClient)
		want  in
		after []any // the formats after all of them have come to use them
	}{
		"nothing is there": {func(context.Context, redis.UniversalClient) {}, all(""), []any{"2", "2"}},
		"jobs of this format": {func(ctx context.Context, c redis.UniversalClient) {
			c.HSet(ctx, formatKey, "lowest", 2, "highest", 2)
			c.SAdd(ctx, "camsq:data-keys", "0a0b0c0d")
		}, all(""), []any{"2", "2"}},
		"jobs from before formats": {func(ctx context.Context, c redis.UniversalClient) {
			c.SAdd(ctx, "camsq:data-keys", "0a0b0c0d")
		}, all(older), []any{nil, nil}},
		"jobs of an older format": {func(ctx context.Context, c redis.UniversalClient) {
			c.HSet(ctx, formatKey, "lowest", 1, "highest", 1)
		}, all("format 1, and this camsq reads from format 2 on"), []any{"1", "1"}},
		"workers are one version ahead": {func(ctx context.Context, c redis.UniversalClient) {
			c.HSet(ctx, formatKey, "lowest", 2, "highest", 3)
		}, in{ledger.Reading: upgrade, ledger.Producing: "", ledger.Operating: upgrade, ledger.Working: upgrade}, []any{"2", "3"}},
		"workers are one version ahead, and nothing of this one is left": {func(ctx context.Context, c redis.UniversalClient) {
			c.HSet(ctx, formatKey, "lowest", 3, "highest", 3)
		}, all(upgrade), []any{"3", "3"}},
		"workers are two versions ahead": {func(ctx context.Context, c redis.UniversalClient) {
			c.HSet(ctx, formatKey, "lowest", 2, "highest", 4)
		}, all(upgrade), []any{"2", "4"}},
		"half a format": {func(ctx context.Context, c redis.UniversalClient) {
			c.HSet(ctx, formatKey, "lowest", 2)
		}, all("set both"), []any{"2", nil}},
		"a format that is none": {func(ctx context.Context, c redis.UniversalClient) {
			c.HSet(ctx, formatKey, "lowest", "two", "highest", "2")
		}, all("set both"), []any{"two", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
				tt.plant(t.Context(), c)
				before := c.Keys(t.Context(), "*").Val()
				l := open(t, c, 0)
				for use, says := range tt.want {
					wantFit(t, l.CheckFormat(t.Context(), use), use, says)
				}
				if diff := cmp.Diff(before, c.Keys(t.Context(), "*").Val()); diff != "" {
					t.Errorf("a check has changed the keys:\n%s", diff)
				}
				for use, says := range tt.want {
					wantFit(t, l.UseFormat(t.Context(), use), use, says)
				}
				if diff := cmp.Diff(tt.after, c.HMGet(t.Context(), formatKey, "lowest", "highest").Val()); diff != "" {
					t.Errorf("the formats in use (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func wantFit(t *testing.T, err error, use ledger.Use, says string) {
	t.Helper()
	var unfit *ledger.FormatError
	switch {
	case says == "" && err != nil:
		t.Errorf("use %d: %v, want it to be let in", use, err)
	case says != "" && (!errors.As(err, &unfit) || !strings.Contains(err.Error(), says)):
		t.Errorf("use %d: %v, want a FormatError that says %q", use, err, says)
	}
}

func TestAKeyOfAnotherKindIsNoFormat(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		c.Set(t.Context(), formatKey, "2", 0)
		l := open(t, c, 0)
		wantFit(t, l.CheckFormat(t.Context(), ledger.Working), ledger.Working, "name a database of camsq's own")
		wantFit(t, l.UseFormat(t.Context(), ledger.Working), ledger.Working, "name a database of camsq's own")
	})
}

// The format stands there before the first job does, whichever process comes first.
func TestTheFirstJobNotesItsFormat(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		insert(t, c, job("a"))
		want := map[string]string{"lowest": "2", "highest": "2"}
		if diff := cmp.Diff(want, c.HGetAll(t.Context(), formatKey).Val()); diff != "" {
			t.Error(diff)
		}
	})
}

// A producer is refused before it writes anything, each time it is asked.
func TestAProducerOfAnotherFormatWritesNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		c.HSet(t.Context(), formatKey, "lowest", 3, "highest", 3)
		in, err := enqueue.New(enqueue.Config{Redis: c, DataKeys: dataKey})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err := in.Create(t.Context(), job("a"))
			wantFit(t, err, ledger.Producing, "upgrade this process")
		}
		if keys := c.Keys(t.Context(), "*").Val(); len(keys) != 1 {
			t.Errorf("keys in Redis: %v", keys)
		}
		c.HSet(t.Context(), formatKey, "lowest", 2)
		if _, err := in.Create(t.Context(), job("a")); err != nil {
			t.Errorf("before upgraded workers: %v", err)
		}
	})
}

// However many come first at once, none of them takes another's first job for an
// earlier camsq's.
func TestFirstProcessesDoNotRefuseEachOther(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		for range 10 {
			c.FlushAll(t.Context())
			var wg sync.WaitGroup
			errs := make([]error, 12)
			for i := range errs {
				l := open(t, c, 0)
				wg.Go(func() {
					switch i % 3 {
					case 0:
						errs[i] = l.CheckFormat(t.Context(), ledger.Reading)
					case 1:
						errs[i] = l.UseFormat(t.Context(), ledger.Working)
					default:
						errs[i] = errors.Join(l.UseFormat(t.Context(), ledger.Producing), l.UseKeys(t.Context()))
					}
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		}
	})
}
