package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// personal is a job whose every sealed value can be told apart.
func personal(id string) (tasks.Job, []string) {
	secrets := []string{
		"Mx-mail@tenant.example", "Mx Street 17", "Mx description", "390000000000017",
		"https://terms.example/mx.pdf", "Mx-metadata", "https://hook.example/mx", "rg-mxmxmx",
	}
	return tasks.Job{
		ID: id, Account: account, Batch: "march.csv", CallbackURL: secrets[6],
		Metadata: map[string]string{"tenant": secrets[5]},
		Request: tasks.Request{
			ChannelType: "WHATSAPP", InstanceName: "shop of " + id, ContactMail: secrets[0], OfficeAddress: secrets[1],
			InstanceDescription: secrets[2], FacebookBmID: secrets[3], IsvTerms: secrets[4], ResourceGroupID: secrets[7],
		},
	}, secrets
}

// dump is every key and value in Redis.
func dump(t *testing.T, c redis.UniversalClient) string {
	t.Helper()
	ctx := t.Context()
	var all strings.Builder
	for _, key := range c.Keys(ctx, "*").Val() {
		var value any
		switch kind := c.Type(ctx, key).Val(); kind {
		case "hash":
			value = c.HGetAll(ctx, key).Val()
		case "zset":
			value = c.ZRangeWithScores(ctx, key, 0, -1).Val()
		case "list":
			value = c.LRange(ctx, key, 0, -1).Val()
		case "set":
			value = c.SMembers(ctx, key).Val()
		case "string":
			value = c.Get(ctx, key).Val()
		default:
			t.Fatalf("%s is a %s", key, kind)
		}
		fmt.Fprintln(&all, key, value)
	}
	return all.String()
}

func TestRedisNeverSeesARequestInClear(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		var secrets []string
		for _, s := range tasks.States() {
			var j tasks.Job
			j, secrets = personal("job-" + string(s))
			insert(t, c, j)
			r := get(t, l, j.ID)
			if diff := cmp.Diff(j, r.Job); diff != "" {
				t.Errorf("the request did not come back (-sent +read):\n%s", diff)
			}
			if _, err := l.LockName(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			for _, by := range route(s) {
				r.Callback.State = tasks.CallbackOwed
				r = step(t, l, r, by)
			}
		}
		all := dump(t, c)
		for _, seen := range []string{"march.csv", "job-held", "asynq:{provision:acme}:t:job-created"} {
			if !strings.Contains(all, seen) {
				t.Errorf("the dump lacks %q: it cannot prove anything", seen)
			}
		}
		for _, s := range secrets {
			if strings.Contains(strings.ToLower(all), strings.ToLower(s)) {
				t.Errorf("%q stands in Redis in clear", s)
			}
		}
	})
}

func TestARecordThatCannotBeReadIsNamedAndHarmsNoOther(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		a, secrets := personal("a")
		b, _ := personal("b")
		insert(t, c, a, b)
		step(t, l, get(t, l, "a"), tasks.StepBegin)
		whole := partsOf(c.Get(t.Context(), prefix+"job:a").Val())
		stranger := partsOf(c.Get(t.Context(), prefix+"job:b").Val())
		flipped := []byte(whole[request])
		flipped[len(flipped)-1] ^= 1
		fields := strings.Fields(whole[head])

		for name, change := range map[string]struct {
			part int
			text string
		}{
			"a newer version":          {head, "3 " + strings.Join(fields[1:], " ")},
			"an older version":         {head, "1 " + strings.Join(fields[1:], " ")},
			"a version with a sign":    {head, "+2 " + strings.Join(fields[1:], " ")},
			"a version without end":    {head, strings.Repeat("9", 300)},
			"half a head":              {head, strings.Join(fields[:3], " ")},
			"a head of spaces":         {head, "2      "},
			"a head without revision":  {head, "2 calling  0 0 0 "},
			"a time that is none":      {head, "2 calling " + fields[2] + " noon 0 0 "},
			"a time before time":       {head, "2 calling " + fields[2] + " 0 -1 0 "},
			"a state of later days":    {head, "2 paused " + fields[2] + " 0 0 0 "},
			"a head of two lines":      {head, whole[head] + "\n"},
			"a changed request":        {request, string(flipped)},
			"half a request":           {request, whole[request][:20]},
			"no request":               {request, ""},
			"another job's request":    {request, stranger[request]},
			"a request that is clear":  {request, `{"e":"` + secrets[0] + `"}`},
			"broken progress":          {progress, `{"tries":`},
			"a priority of later days": {priority, "urgent"},
			"a priority without end":   {priority, strings.Repeat("high ", 100)},
			"a progress below zero":    {progress, `{"tries":-1}`},
			"a callback below zero":    {progress, `{"callback":{"tries":-1}}`},
			"a callback of later days": {progress, `{"callback":{"state":"paused"}}`},
			"a progress of later days": {progress, `{"tries":1,"unknown":"Mx Street 17"}`},
			"a later callback":         {progress, `{"callback":{"state":"owed","unknown":1}}`},
			"two progresses":           {progress, `{"tries":1}{"tries":2}`},
			"a progress of nothing":    {progress, `null`},
			"progress of other types":  {progress, `{"tries":"Mx Street 17"}`},
		} {
			t.Run(name, func(t *testing.T) {
				changed := whole
				changed[change.part] = change.text
				c.Set(t.Context(), prefix+"job:a", changed.String(), 0)
				found, err := l.GetMany(t.Context(), account, []string{"a", "b", "none"})
				if err != nil {
					t.Fatal(err)
				}
				err = found[0].Err
				if !errors.Is(err, tasks.ErrUnreadable) || !strings.Contains(err.Error(), "acme/a") || len(err.Error()) > 300 {
					t.Errorf("got %v, want ErrUnreadable with the job's name", err)
				}
				if ref := found[0].Record.Ref(); ref != a.Ref() {
					t.Errorf("the record is named %s", ref)
				}
				for _, s := range secrets {
					if err != nil && strings.Contains(err.Error(), s) {
						t.Errorf("the error repeats the request: %v", err)
					}
				}
				if found[1].Err != nil || found[1].Record.ID != "b" || !errors.Is(found[2].Err, tasks.ErrNotFound) {
					t.Errorf("the others: %v, %v", found[1].Err, found[2].Err)
				}
			})
		}

		// Nor is such a record written over.
		c.Set(t.Context(), prefix+"job:a", whole.String(), 0)
		r := get(t, l, "a")
		for _, other := range []string{"3" + whole.String()[1:], "1" + whole.String()[1:], "3 of one line", ""} {
			c.Set(t.Context(), prefix+"job:a", other, 0)
			if _, err := l.Transition(t.Context(), r, tasks.StepAmbiguous, 0); !errors.Is(err, tasks.ErrConflict) {
				t.Errorf("Transition on another version's record %q: %v, want ErrConflict", other, err)
			}
			if got := c.Get(t.Context(), prefix+"job:a").Val(); got != other {
				t.Errorf("the other version's record has become %q", got)
			}
		}
	})
}

// What stands under a job's key and is no record of any version is told as a record that
// cannot be read, and harms no job beside it.
func TestWhatIsNoRecordHarmsNoOther(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, job("a"), job("b"))
		r := get(t, l, "a")
		c.Del(t.Context(), prefix+"job:a")
		c.HSet(t.Context(), prefix+"job:a", "head", "1 queued x 0 0 0 ")
		found, err := l.GetMany(t.Context(), account, []string{"a", "b"})
		if err != nil || !errors.Is(found[0].Err, tasks.ErrUnreadable) || found[1].Err != nil {
			t.Errorf("read: %+v, %v", found, err)
		}
		if _, err := l.Transition(t.Context(), r, tasks.StepCancel, 0); !errors.Is(err, tasks.ErrConflict) {
			t.Errorf("Transition: %v, want ErrConflict", err)
		}
		in, err := enqueue.New(enqueue.Config{Redis: c, DataKeys: dataKey})
		if err != nil {
			t.Fatal(err)
		}
		sum, err := in.CreateAll(t.Context(), func(yield func(tasks.Job, error) bool) {
			_ = yield(job("a"), nil) && yield(job("b"), nil) && yield(job("c"), nil)
		}, nil)
		if want := (enqueue.Summary{Queued: 1, Known: 1, Unreadable: 1}); err != nil || sum != want {
			t.Errorf("sent again: %+v, %v; want %+v", sum, err, want)
		}
	})
}

// What was sealed and is no request of this version never reaches a worker. It is the
// same for every way in which a request can be none, so they are written by hand.
func TestARequestThatIsNoneIsUnreadable(t *testing.T) {
	_, c := redistest.Mini(t)
	l := open(t, c, 0)
	insert(t, c, job("a"))
	whole := partsOf(c.Get(t.Context(), prefix+"job:a").Val())
	for plain, readable := range map[string]bool{
		`{"t":"VIBER","n":"one"}`:                                true,
		`{"t":"VIBER","n":"one","u":"https://h.example","m":{}}`: true,
		`{"t":"","n":"one"}`:                                     false,
		`{"t":"VIBER","n":""}`:                                   false,
		`{"n":"one"}`:                                            false,
		`{"t":"VIBER"}`:                                          false,
		`{}`:                                                     false,
		`null`:                                                   false,
		``:                                                       false,
		`[]`:                                                     false,
		`{"t":"VIBER","n":"one","x":"Mx Street 17"}`:               false,
		`{"r":{"ChannelType":"VIBER","InstanceName":"one"}}`:       false,
		`{"r":{"ChannelType":"VIBER"},"c":"65","t":"a","n":"one"}`: false,
		`{"t":"VIBER","n":"one"}{"t":"VIBER","n":"two"}`:           false,
		`{"t":"VIBER","n":["Mx Street 17"]}`:                       false,
	} {
		sealed, err := ring(t, dataKey).Seal([]byte(plain), account+"/a")
		if err != nil {
			t.Fatal(err)
		}
		changed := whole
		changed[request] = string(sealed)
		c.Set(t.Context(), prefix+"job:a", changed.String(), 0)
		_, err = l.Get(t.Context(), tasks.Ref{Account: account, ID: "a"})
		if readable != (err == nil) || !readable && !errors.Is(err, tasks.ErrUnreadable) {
			t.Errorf("%s: %v; want it readable: %v", plain, err, readable)
		}
		if err != nil && strings.Contains(err.Error(), "Mx") {
			t.Errorf("the error repeats the request: %v", err)
		}
	}
}

// A baseline without an instance says that a look has been made. It stays that.
func TestAnEmptyBaselineStaysOne(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, job("a"))
		r := get(t, l, "a")
		r.Baseline = new([]string)
		if _, err := l.UpdateProgress(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
		if got := get(t, l, "a").Baseline; got == nil || len(*got) > 0 {
			t.Errorf("the baseline is %v", got)
		}
	})
}

func withKeys(t *testing.T, c redis.UniversalClient, keys string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.New(ledger.Config{Redis: c, Keys: ring(t, keys)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAProcessWithoutTheDataKeyIsToldWhichOneItNeeds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		wrong := seal.NewKey()
		l := withKeys(t, c, wrong)
		if err := l.CheckKeys(t.Context()); err != nil {
			t.Fatalf("nothing is sealed yet, and CheckKeys says %v", err)
		}
		insert(t, c, job("a")) // the look above has not made the wrong key known
		have, want := ring(t, wrong).IDs(), ring(t, dataKey).IDs()

		var refused *ledger.WrongKeyError
		for _, check := range []func(context.Context) error{l.CheckKeys, l.UseKeys} {
			if err := check(t.Context()); !errors.As(err, &refused) {
				t.Fatalf("got %v, want a WrongKeyError", err)
			}
		}
		if diff := cmp.Diff(&ledger.WrongKeyError{Have: have, Want: want}, refused); diff != "" {
			t.Error(diff)
		}
		_, err := l.Get(t.Context(), tasks.Ref{Account: account, ID: "a"})
		var unknown *seal.UnknownKeyError
		if !errors.Is(err, tasks.ErrUnreadable) || !errors.As(err, &unknown) || unknown.ID != want[0] {
			t.Errorf("Get: %v, want ErrUnreadable and the key's fingerprint %s", err, want[0])
		}
		for _, text := range []string{refused.Error(), err.Error()} {
			if strings.Contains(text, wrong) || strings.Contains(text, dataKey) {
				t.Errorf("a key stands in %q", text)
			}
		}
	})
}

func TestADataKeyIsReplacedInTwoSteps(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		insert(t, c, job("a"))
		next := seal.NewKey()
		for _, keys := range []string{dataKey + " " + next, next + " " + dataKey, next} {
			if err := withKeys(t, c, keys).UseKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		both := withKeys(t, c, next+" "+dataKey)
		if _, err := both.Get(t.Context(), tasks.Ref{Account: account, ID: "a"}); err != nil {
			t.Errorf("what the old key sealed: %v", err)
		}
		if err := withKeys(t, c, seal.NewKey()).CheckKeys(t.Context()); err == nil {
			t.Error("a third key was taken")
		}
	})
}

func TestOfTwoFirstProcessesWithDifferentKeysOneIsRefused(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		for range 10 {
			c.FlushAll(t.Context())
			var wg sync.WaitGroup
			errs := make([]error, 2)
			for i := range errs {
				l := withKeys(t, c, seal.NewKey())
				wg.Go(func() { errs[i] = l.UseKeys(t.Context()) })
			}
			wg.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("got %v and %v, want one of them refused", errs[0], errs[1])
			}
		}
	})
}
