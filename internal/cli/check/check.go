package check

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/redisconn"
)

// New makes the command check.
func New(f *cmdutil.Factory) *cobra.Command {
	var asJSON, send bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check Redis, the credentials, the API and the receivers",
		Long: `check verifies that everything a worker needs is ready: the settings, Redis and
how well it keeps what is written to it, each account's credentials, endpoint
and clock, the receivers. It creates no instance and sends no webhook; the API
is asked for a list (cams:ListInstance). The exit code is 0 if all is well or
there are warnings only, 2 if something is set wrongly, 3 if something cannot be
reached.`,
		Args: cmdutil.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			k := &checker{Factory: f, send: send}
			k.run(cmd)
			if asJSON {
				if err := k.writeJSON(f.Stdout); err != nil {
					return err
				}
			} else {
				k.print(f.Stdout)
			}
			return k.verdict()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the results as JSON")
	cmd.Flags().BoolVar(&send, "send", false, "also open a connection to each receiver, over which nothing is sent")
	cmdutil.AddSettings(cmd, config.Client|config.Check)
	return cmd
}

// Result is what one check came to.
type Result struct {
	Check   string `json:"check"`
	Account string `json:"account,omitempty"`
	// Level is ok, warn or FAIL.
	Level string `json:"level"`
	Text  string `json:"text"`
	// Do says what to do about it.
	Do string `json:"do,omitempty"`
	// code is the exit code that a failure asks for.
	code int
}

// checker collects the results.
type checker struct {
	*cmdutil.Factory
	send    bool
	results []Result
}

func (k *checker) ok(check, account, format string, args ...any) {
	k.results = append(k.results, Result{Check: check, Account: account, Level: redisconn.LevelOK, Text: fmt.Sprintf(format, args...)})
}

func (k *checker) warn(check, account, text, do string) {
	k.results = append(k.results, Result{Check: check, Account: account, Level: redisconn.LevelWarn, Text: text, Do: do})
}

func (k *checker) fail(code int, check, account, text, do string) {
	k.results = append(k.results, Result{Check: check, Account: account, Level: redisconn.LevelFail, Text: text, Do: do, code: code})
}

func (k *checker) run(cmd *cobra.Command) {
	ctx := cmd.Context()
	c, err := k.Config(cmd)
	if err != nil {
		k.fail(exit.CodeUsage, "settings", "", err.Error(), "")
		return
	}
	if n, err := app.Open(c); err != nil {
		k.fail(exit.CodeUsage, "settings", "", err.Error(), "")
	} else {
		k.ok("settings", "", "%s: %s", humanize.Plural(int64(len(c.Accounts)), "account"), strings.Join(c.Names(), ", "))
		k.checkRedis(ctx, n)
		n.Close()
	}
	for _, a := range c.Accounts {
		k.checkAccount(ctx, a)
	}
	for _, a := range c.Accounts {
		k.checkReceiver(ctx, c, a)
	}
}

func (k *checker) print(w io.Writer) {
	width := 0
	for _, f := range k.results {
		width = max(width, len(f.name()))
	}
	for _, f := range k.results {
		line := fmt.Sprintf("%-4s  %-*s  %s", f.Level, width, f.name(), humanize.Sanitize(f.Text))
		if f.Do != "" {
			line += " → " + humanize.Sanitize(f.Do)
		}
		fmt.Fprintln(w, line)
	}
}

func (f Result) name() string {
	if f.Account == "" {
		return f.Check
	}
	return f.Check + " of " + f.Account
}

func (k *checker) writeJSON(w io.Writer) error {
	return render.PrintJSON(w, struct {
		OK     bool     `json:"ok"`
		Checks []Result `json:"checks"`
	}{k.verdict() == nil, k.results})
}

// verdict is nil if nothing failed. What is set wrongly comes before what cannot
// be reached, since that may be why.
func (k *checker) verdict() error {
	failed, code := 0, exit.CodeUnreachable
	for _, f := range k.results {
		if f.Level == redisconn.LevelFail {
			failed++
			code = min(code, f.code)
		}
	}
	if failed == 0 {
		return nil
	}
	return exit.With(code, fmt.Errorf("%s failed", humanize.Plural(int64(failed), "check")))
}

// checkAccount asks for the account's credentials, and the API for a list of what
// is not there.
func (k *checker) checkAccount(ctx context.Context, a config.Account) {
	ctx, cancel := context.WithTimeout(ctx, 2*redisconn.CheckTime)
	defer cancel()
	if a.Region != cams.DefaultRegion {
		k.warn("region", a.Name, "the vendor lists CAMS in "+cams.DefaultRegion+" only, and CAMSQ_REGION is "+a.Region, "make sure that it is meant")
	}
	source, _, err := app.Credentials(a, k.Env)
	if err != nil {
		k.fail(exit.CodeUsage, "credentials", a.Name, err.Error(), "")
		return
	}
	key, err := source.Credentials(ctx)
	if err != nil {
		k.fail(exit.CodeUsage, "credentials", a.Name, err.Error(), "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or another source of the chain")
		return
	}
	kind := ""
	if key.SecurityToken != "" {
		kind = ", a temporary key"
	}
	k.ok("credentials", a.Name, "from %s%s", k.sourceName(a, source), kind)

	api, err := cams.New(cams.Config{Endpoint: a.Endpoint, Region: a.Region, Credentials: source, UserAgent: "camsq/" + app.Version()})
	if err != nil {
		k.fail(exit.CodeUsage, "endpoint", a.Name, err.Error(), "correct CAMSQ_ENDPOINT or CAMSQ_REGION")
		return
	}
	defer api.CloseIdleConnections()
	start := time.Now()
	_, err = api.FindInstances(ctx, "WHATSAPP", "camsq-check-"+strings.ToLower(rand.Text()))
	if err == nil {
		k.ok("api", a.Name, "%s accepts the signature and lists instances, in %v; whether it allows cams:CreateInstance only a job can show",
			a.Host(), time.Since(start).Round(time.Millisecond))
		return
	}
	k.explain(a, err)
}

// sourceName says where an account's key comes from, and nothing of the key.
func (k *checker) sourceName(a config.Account, source cams.CredentialSource) string {
	const id, secret = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
	switch {
	case a.KeyID != "":
		return "the variables " + a.KeyID + " and " + a.KeySecret
	case a.Profile == "" && cmdutil.Getenv(k.Factory, id) != "" && cmdutil.Getenv(k.Factory, secret) != "":
		return "the environment (" + id + ")"
	}
	return strings.TrimPrefix(fmt.Sprint(source), "credentials from ")
}

// checkReceiver looks at the account's webhook settings.
func (k *checker) checkReceiver(ctx context.Context, c config.Config, a config.Account) {
	if a.CallbackURL == "" {
		text := "none is set; outcomes go to the receivers that jobs name, and to camsq status and results"
		if c.CallbackSecret == "" {
			text = "none is set; outcomes are only in camsq status and results"
		}
		k.ok("receiver", a.Name, "%s", text)
		return
	}
	if err := callback.CheckURL(a.CallbackURL, c.CallbackAllowPrivate); err != nil {
		k.fail(exit.CodeUsage, "receiver", a.Name, "CAMSQ_CALLBACK_URL: "+err.Error(), app.ReceiverAdvice(a.CallbackURL))
		return
	}
	c.Accounts = []config.Account{a}
	sender, err := app.NewSender(c)
	if err != nil {
		k.fail(exit.CodeUsage, "receiver", a.Name, err.Error(), "")
		return
	}
	sender.Close()
	u, err := url.Parse(a.CallbackURL)
	if err != nil {
		return // sender has seen to it
	}
	if !k.send {
		k.ok("receiver", a.Name, "%s may be sent to, and the secret is good; --send tries to connect", u.Hostname())
		return
	}
	ctx, cancel := context.WithTimeout(ctx, redisconn.CheckTime)
	defer cancel()
	start := time.Now()
	if err := connect(ctx, u, c.CallbackAllowPrivate); err != nil {
		code, do := exit.CodeUnreachable, "start it, or correct CAMSQ_CALLBACK_URL"
		if errors.Is(err, errNotAllowed) {
			code, do = exit.CodeUsage, "give a public receiver, or set CAMSQ_CALLBACK_ALLOW_PRIVATE=true"
		}
		k.fail(code, "receiver", a.Name, fmt.Sprintf("%s cannot be connected to: %v", u.Hostname(), err), do)
		return
	}
	k.ok("receiver", a.Name, "%s takes connections, in %v", u.Hostname(), time.Since(start).Round(10*time.Microsecond))
}

var errNotAllowed = errors.New("it is at an address that is not allowed")

// connect opens a connection as the sender would, with TLS for https, and closes it.
func connect(ctx context.Context, u *url.URL, allowPrivate bool) error {
	port := humanize.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return err
	}
	for _, ip := range ips {
		// The same rules as for the URL, for the address that its name stands for.
		at := url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(ip.Unmap().String(), port)}
		if callback.CheckURL(at.String(), allowPrivate) != nil {
			err = fmt.Errorf("%w: %s", errNotAllowed, ip.Unmap())
			continue
		}
		var conn net.Conn
		if u.Scheme == "https" {
			conn, err = (&tls.Dialer{Config: &tls.Config{ServerName: u.Hostname()}}).DialContext(ctx, "tcp", at.Host)
		} else {
			conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", at.Host)
		}
		if err == nil {
			return conn.Close()
		}
	}
	return err
}
