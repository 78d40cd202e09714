package fake

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/workdir"
)

// options are the command's own flags.
type options struct {
	addr, receiver           string
	public                   bool
	quota, burst             int
	quotaModel               string
	noRetryAfter, calm       bool
	faultRate, receiverFails float64
	jitter, latency, listLag time.Duration
	seed                     uint64
	keyID, keySecret         string
	rules, storeNames        string
	filterStored             bool
}

// New makes the command fake.
func New(f *cmdutil.Factory) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "fake",
		Short: "Run a fake API on this machine, to try workers without an account",
		Long: `fake is a CAMS stand-in: it checks signatures, has a quota, answers in odd
shapes, and misbehaves as often as you ask. It keeps its state in memory only.
It prints the settings with which a worker uses it and, when it is stopped, what
happened. GET /_fake/instances, /_fake/stats and /_fake/webhooks return the same
as JSON, and PUT /_fake/quota?creates=N changes the quota while it runs.

--rules FILE says which calls meet what, so that an answer which a worker got
from the cloud can be played again. It is JSON: {"rules": [RULE, …], "store":
FORM, "filter": "stored"}. The first rule that fits counts, by action
(CreateInstance if it has none), name (a regular expression), over (only above
so many calls of the action in the running second) and times (only so many
calls). It answers with status, code and message (status 200: a business
answer), with html and status, or with a success of other fields (answer:
{"ChannelType": "…"}); lose makes the instance and ends the connection; created
makes it whatever the answer says; endless is a list that never ends, each
description so many bytes long; headers go with any answer:
  {"rules": [{"over": 8, "status": 400, "code": "System.LimitControl",
              "message": "slow down"}]}
  {"rules": [{"times": 5, "lose": true}], "store": "lower", "filter": "stored"}
An endpoint that is away is a stand-in that does not run.`,
		Args: cmdutil.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.Config(cmd)
			if err != nil {
				return err
			}
			return run(cmd.Context(), f, c, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flags.IntVar(&o.quota, "quota", 0, "`creates` a second that an account may make (default no limit)")
	flags.StringVar(&o.quotaModel, "quota-model", string(camstest.QuotaWindow), "how they are counted: window (in each second of the clock), bucket (that fills steadily) or sliding (in any second)")
	flags.IntVar(&o.burst, "burst", 0, "`calls` that the bucket of --quota-model bucket holds (default a tenth of a second's worth)")
	flags.BoolVar(&o.noRetryAfter, "no-retry-after", false, "do not say how long to wait when the quota is used up")
	flags.DurationVar(&o.jitter, "jitter", 0, "longest `time` that a call is on its way, before it counts; each takes a random part of it")
	flags.DurationVar(&o.latency, "latency", 0, "longest `time` that a call takes, once it counts; each takes a random part of it (default 3ms, or none with --calm)")
	flags.BoolVar(&o.calm, "calm", false, "plain answers, and at once")
	flags.Float64Var(&o.faultRate, "fault-rate", 0, "`share` of calls that go wrong, from 0 to 1")
	flags.DurationVar(&o.listLag, "list-lag", 0, "`time` for which a new instance is not listed")
	flags.StringVar(&o.rules, "rules", "", "`file` of rules that say which calls meet what")
	flags.StringVar(&o.storeNames, "store-names", "", "`form` in which names are kept: "+strings.Join(camstest.StoreForms(), ", "))
	flags.BoolVar(&o.filterStored, "filter-stored", false, "with --store-names: a list's filter finds names by their stored form")
	flags.Uint64Var(&o.seed, "seed", 0, "`number` that decides all that is random (default random)")
	flags.StringVar(&o.keyID, "key-id", "", "access key `ID` that may call (default ALIBABA_CLOUD_ACCESS_KEY_ID, or else "+camstest.KeyID+")")
	flags.StringVar(&o.keySecret, "key-secret", "", "its `secret` (default ALIBABA_CLOUD_ACCESS_KEY_SECRET, or else "+camstest.KeySecret+")")
	flags.StringVar(&o.receiver, "receiver", "", "also receive webhooks at this `address`, verify them with CAMSQ_CALLBACK_SECRET and print them")
	flags.Float64Var(&o.receiverFails, "receiver-fail", 0, "`share` of webhooks that are answered 500, from 0 to 1")
	flags.BoolVar(&o.public, "public", false, "allow addresses that other machines can reach")
	cmdutil.AddSettings(cmd, config.File)
	return cmd
}

// check refuses what no stand-in can be.
func (o options) check() error {
	for _, a := range []struct{ flag, addr string }{{"addr", o.addr}, {"receiver", o.receiver}} {
		if a.addr == "" && a.flag == "receiver" {
			continue
		}
		host, _, err := net.SplitHostPort(a.addr)
		if err != nil {
			return exit.Usagef("--%s %s: want HOST:PORT, such as 127.0.0.1:8080", a.flag, a.addr)
		}
		ip, _ := netip.ParseAddr(host)
		if host != "localhost" && !ip.IsLoopback() && !o.public {
			return exit.Usagef("--%s %s: other machines could reach it; give a loopback address such as 127.0.0.1, or --public if that is meant", a.flag, a.addr)
		}
	}
	for _, s := range []struct {
		flag  string
		share float64
	}{{"fault-rate", o.faultRate}, {"receiver-fail", o.receiverFails}} {
		if !(s.share >= 0 && s.share <= 1) {
			return exit.Usagef("--%s %g: want a share from 0 to 1", s.flag, s.share)
		}
	}
	switch {
	case o.quota < 0:
		return exit.Usagef("--quota %d: want 0 or more", o.quota)
	case !camstest.QuotaModel(o.quotaModel).Known():
		return exit.Usagef("--quota-model %s: want window, bucket or sliding", o.quotaModel)
	case o.burst < 0:
		return exit.Usagef("--burst %d: want 0 or more", o.burst)
	case o.burst > 0 && o.quotaModel != string(camstest.QuotaBucket):
		return exit.Usagef("--burst is for --quota-model bucket, which is not given")
	case o.listLag < 0:
		return exit.Usagef("--list-lag %v: want 0 or more", o.listLag)
	case o.jitter < 0:
		return exit.Usagef("--jitter %v: want 0 or more", o.jitter)
	case o.latency < 0:
		return exit.Usagef("--latency %v: want 0 or more", o.latency)
	case (o.keyID == "") != (o.keySecret == ""):
		return exit.Usagef("--key-id and --key-secret go together")
	case o.filterStored && o.storeNames == "":
		return exit.Usagef("--filter-stored is for --store-names, which is not given")
	case o.receiver == "" && o.receiverFails > 0:
		return exit.Usagef("--receiver-fail is for --receiver, which is not given")
	}
	return nil
}

// key says which key may call, and whether it is one of the environment: that is
// the user's, and is not printed.
func (o options) key(env func(string) string) (key cams.Credentials, users bool, err error) {
	const id, secret = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
	switch {
	case o.keyID != "":
		return cams.Credentials{AccessKeyID: o.keyID, AccessKeySecret: o.keySecret}, false, nil
	case (env(id) == "") != (env(secret) == ""):
		return cams.Credentials{}, false, exit.Usagef("%s and %s go together; one of them is not set", id, secret)
	case env(id) != "":
		return cams.Credentials{
			AccessKeyID: env(id), AccessKeySecret: env(secret), SecurityToken: env("ALIBABA_CLOUD_SECURITY_TOKEN"),
		}, true, nil
	}
	return cams.Credentials{AccessKeyID: camstest.KeyID, AccessKeySecret: camstest.KeySecret}, false, nil
}

// names sets how names are kept and which calls meet what.
func (o options) names(dir workdir.Dir, c *camstest.Config) error {
	form, stored := o.storeNames, o.filterStored
	if o.rules != "" {
		text, err := dir.ReadFile(o.rules)
		if err != nil {
			return exit.Usagef("--rules: %w", err)
		}
		file, err := camstest.ParseRules(text)
		switch {
		case err != nil:
			return exit.Usagef("--rules %s: %s", humanize.ShellQuote(o.rules), strings.TrimPrefix(err.Error(), "camstest: "))
		case file.Store != "" && form != "":
			return exit.Usagef("--store-names %s: %s has a store too; give one of them", form, humanize.ShellQuote(o.rules))
		case form == "":
			form, stored = file.Store, file.FilterStored
		}
		c.Rules = file.Rules
	}
	if form == "" {
		return nil
	}
	store, known := camstest.StoreForm(form)
	if !known {
		return exit.Usagef("--store-names %s: want one of %s", humanize.ShellQuote(form), strings.Join(camstest.StoreForms(), ", "))
	}
	c.StoreName, c.FilterStored = store, stored
	return nil
}

// fakeServer is the stand-in while it runs.
type fakeServer struct {
	out      *printer
	cloud    *camstest.Server
	model    camstest.QuotaModel
	receiver *callbacktest.Receiver // nil without --receiver
}

func run(ctx context.Context, f *cmdutil.Factory, c config.Config, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	key, users, err := o.key(func(name string) string { return cmdutil.Getenv(f, name) })
	if err != nil {
		return err
	}
	server := camstest.Config{
		Keys: map[string]string{key.AccessKeyID: key.AccessKeySecret},
		Seed: o.seed, Quota: o.quota, QuotaModel: camstest.QuotaModel(o.quotaModel), Burst: o.burst, NoRetryAfter: o.noRetryAfter,
		Jitter: o.jitter, Latency: o.latency, Calm: o.calm, FaultRate: o.faultRate, ListLag: o.listLag,
	}
	if err := o.names(f.Dir, &server); err != nil {
		return err
	}
	if key.SecurityToken != "" {
		server.Tokens = map[string]string{key.AccessKeyID: key.SecurityToken}
	}
	fake := &fakeServer{out: &printer{w: f.Stdout}, cloud: camstest.New(server), model: server.QuotaModel}
	defer fake.cloud.Close()
	paste := []string{}
	l, err := app.Listen("--addr", o.addr)
	if err != nil {
		return err
	}
	defer app.Serve(l, fake.handler(), slog.DiscardHandler)()
	paste = append(paste, "CAMSQ_ENDPOINT=http://"+l.Addr().String())
	if !users {
		paste = append(paste, "ALIBABA_CLOUD_ACCESS_KEY_ID="+humanize.ShellQuote(key.AccessKeyID), "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+humanize.ShellQuote(key.AccessKeySecret))
	}
	if o.receiver != "" {
		l, more, err := fake.receive(c, o)
		if err != nil {
			return err
		}
		defer app.Serve(l, fake.receiver, slog.DiscardHandler)()
		paste = append(paste, more...)
	}
	fake.introduce(l.Addr().String(), users, o, paste)
	<-ctx.Done()
	fake.summary()
	return nil
}

// receive makes the receiver, and prints the settings of a worker for it.
func (f *fakeServer) receive(c config.Config, o options) (net.Listener, []string, error) {
	secret, paste := c.CallbackSecret, []string{}
	if secret == "" {
		secret = callback.NewSecret()
		paste = append(paste, "CAMSQ_CALLBACK_SECRET="+secret)
	}
	keys, err := callback.ParseSecrets(secret)
	if err != nil {
		return nil, nil, exit.Usagef("CAMSQ_CALLBACK_SECRET: %w", err)
	}
	l, err := app.Listen("--receiver", o.receiver)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(f.cloud.Seed(), 1))
	f.receiver = &callbacktest.Receiver{
		Keys: keys,
		Fail: func(string, callback.Event) bool {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64() < o.receiverFails
		},
		OnEvent: func(a callbacktest.Delivery) {
			d := a.Event.Data
			f.out.say("webhook  %s  %s %s  %s  %s  answered %d", a.Event.Type,
				humanize.Sanitize(d.Request.ChannelType), humanize.Sanitize(d.Request.InstanceName), humanize.Sanitize(d.Code), a.ID, a.Status)
		},
		OnRefused: func(err error) { f.out.say("webhook  rejected: %s", humanize.Sanitize(err.Error())) },
	}
	return l, append([]string{"CAMSQ_CALLBACK_URL=http://" + l.Addr().String() + "/", "CAMSQ_CALLBACK_ALLOW_PRIVATE=true"}, paste...), nil
}

func (f *fakeServer) introduce(addr string, users bool, o options, paste []string) {
	quota := "no limit"
	if o.quota > 0 {
		quota = fmt.Sprintf("%d creates a second (%s)", o.quota, o.quotaModel)
	}
	f.out.say("A CAMS stand-in: http://%s   seed %d, quota %s, fault rate %g, list lag %v",
		addr, f.cloud.Seed(), quota, o.faultRate, o.listLag)
	if users {
		f.out.say("It accepts the key of your environment (ALIBABA_CLOUD_ACCESS_KEY_ID), and nothing leaves this machine.")
	}
	f.out.say("Paste this where the worker is to run, then start: camsq worker")
	f.out.say("")
	for _, pair := range paste {
		f.out.say("export %s", pair)
	}
	f.out.say("")
}

// printer writes whole lines, from any goroutine.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *printer) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}
