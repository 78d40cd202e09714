package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// Config is what the settings say.
type Config struct {
	RedisURL string
	Listen   string
	Keep     time.Duration
	DataKeys string

	// Account is the template of every account; Accounts are those that there are.
	Account  Account
	Accounts []Account

	CallTimeout, RetryMin, RetryMax time.Duration
	MaxTries                        int
	MaxAge                          time.Duration
	ReconcileDelay, SettleWindow    time.Duration
	Absent                          worker.OnNotFound
	Existing                        worker.OnExisting

	CallbackSecret       string
	CallbackAllowPrivate bool

	ChannelTypes []string
	LogFormat    string
}

// Account is one lane, as configured.
type Account struct {
	Name        string
	Endpoint    string
	Region      string
	Rate        float64
	Concurrency int
	CallbackURL string
	// Profile names a profile of the vendor's CLI, and KeyID, KeySecret and Token
	// the environment variables that hold a key. Without any the vendor's default
	// chain is used.
	Profile                 string
	KeyID, KeySecret, Token string
}

// Audience is a set of uses that commands make of settings. A worker uses all settings;
// any other command has only the flags of those that it uses.
type Audience uint

// The uses.
const (
	Client   Audience = 1 << iota // work with the jobs in Redis
	Files                         // read jobs from files
	Pace                          // show how fast an account is
	Operator                      // decide about jobs
	Check                         // check what a worker needs
	File                          // read the settings file alone
	Worker                        // run a worker
)

// Setting is one variable: CAMSQ_NAME in the environment, --name as a flag,
// name in the file.
type Setting struct {
	Name  string // lower case, words joined by _
	Value string // the default
	Usage string
	// For says which commands have the setting as a flag.
	For Audience
	// secret settings have no flag: a process list shows flags to everybody.
	Secret bool
	Set    func(c *Config, value string) error
}

// HasFlag says whether a command of the audience has the setting as a flag.
func (s Setting) HasFlag(a Audience) bool { return !s.Secret && (a&Worker != 0 || s.For&a != 0) }

// Env is the setting's variable.
func (s Setting) Env() string { return "CAMSQ_" + strings.ToUpper(s.Name) }

// Flag is the name of the setting's flag.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Name, "_", "-") }

// ConfigFile is the one setting that the file itself cannot hold.
const ConfigFile = "config"

// Settings is the table of every variable, in the order of the README.
func Settings() []Setting {
	return []Setting{
		{Name: "redis_url", For: Client, Value: "redis://127.0.0.1:6379/0", Usage: "Redis: redis://, rediss://, redis-sentinel://, or several cluster nodes",
			Set: func(c *Config, v string) error { c.RedisURL = v; return nil }},
		{Name: ConfigFile, For: Client | File, Usage: "YAML `file` with accounts and any of these settings", Set: func(*Config, string) error { return nil }},
		{Name: "endpoint", For: Check, Usage: "CAMS endpoint (default cams.REGION.aliyuncs.com; http:// only for this machine)",
			Set: func(c *Config, v string) error { c.Account.Endpoint = v; return nil }},
		{Name: "region", For: Check, Value: "ap-southeast-1", Usage: "region of the endpoint",
			Set: func(c *Config, v string) error { c.Account.Region = v; return nil }},
		{Name: "rate", For: Pace, Value: strconv.Itoa(DefaultRate), Usage: "`creates` a second for each account",
			Set: func(c *Config, v string) (err error) { c.Account.Rate, err = parseRate(v); return }},
		{Name: "concurrency", Value: "32", Usage: "`jobs` processed at once for each account in this process",
			Set: func(c *Config, v string) (err error) { c.Account.Concurrency, err = parseCount(v); return }},
		{Name: "call_timeout", Value: "15s", Usage: "longest `time` of one call",
			Set: func(c *Config, v string) (err error) { c.CallTimeout, err = parseDuration(v); return }},
		{Name: "retry_min", Value: "1s", Usage: "shortest backoff `time`",
			Set: func(c *Config, v string) (err error) { c.RetryMin, err = parseDuration(v); return }},
		{Name: "retry_max", Value: "5m", Usage: "longest backoff `time`",
			Set: func(c *Config, v string) (err error) { c.RetryMax, err = parseDuration(v); return }},
		{Name: "max_tries", Value: "10", Usage: "`calls` that a job may spend",
			Set: func(c *Config, v string) (err error) { c.MaxTries, err = parseCount(v); return }},
		{Name: "max_age", Value: "24h", Usage: "`time` after its first try for which a job may try again",
			Set: func(c *Config, v string) (err error) { c.MaxAge, err = parseDuration(v); return }},
		{Name: "reconcile_delay", Value: "2s", Usage: "`time` before the first lookup of an uncertain job's instance",
			Set: func(c *Config, v string) (err error) { c.ReconcileDelay, err = parseDuration(v); return }},
		{Name: "settle_window", For: Pace, Value: "3m", Usage: "`time` for which lookups must find no instance before it counts as absent",
			Set: func(c *Config, v string) (err error) { c.SettleWindow, err = parseDuration(v); return }},
		{Name: "absent", Value: "resend", Usage: "what to do with a job whose instance is absent: resend or hold",
			Set: func(c *Config, v string) error {
				c.Absent = worker.OnNotFound(v)
				return oneOf(v, string(worker.NotFoundResend), string(worker.NotFoundHold))
			}},
		{Name: "existing", Value: "fail", Usage: "what a name that exists before the first call gets: fail, adopt or create",
			Set: func(c *Config, v string) error {
				c.Existing = worker.OnExisting(v)
				return oneOf(v, string(worker.ExistingFail), string(worker.ExistingAdopt), string(worker.ExistingCreate))
			}},
		{Name: "callback_url", For: Operator | Check, Usage: "receiver of the outcomes of jobs that name none",
			Set: func(c *Config, v string) error { c.Account.CallbackURL = v; return nil }},
		{Name: "callback_secret", Usage: "webhook secrets (whsec_…), separated by spaces", Secret: true,
			Set: func(c *Config, v string) error { c.CallbackSecret = v; return nil }},
		{Name: "callback_allow_private", For: Files | Check, Value: "false", Usage: "allow receivers at private addresses and over http",
			Set: func(c *Config, v string) (err error) { c.CallbackAllowPrivate, err = parseBool(v); return }},
		{Name: "data_key", Usage: "keys that seal requests in Redis, separated by spaces", Secret: true,
			Set: func(c *Config, v string) error { c.DataKeys = v; return nil }},
		{Name: "keep", For: Operator, Value: "2160h", Usage: "`time` for which records of finished jobs stay",
			Set: func(c *Config, v string) (err error) { c.Keep, err = parseDuration(v); return }},
		{Name: "listen", Value: "127.0.0.1:9464", Usage: "`address` of /metrics, /healthz and /readyz",
			Set: func(c *Config, v string) error { c.Listen = v; return nil }},
		{Name: "channel_types", For: Files, Usage: "channel types that may be asked for, separated by commas (default WHATSAPP, MESSENGER, INSTAGRAM, VIBER)",
			Set: func(c *Config, v string) error { c.ChannelTypes = splitList(v); return nil }},
		{Name: "log_format", Value: "text", Usage: "format of the worker's log: text or json",
			Set: func(c *Config, v string) error { c.LogFormat = v; return oneOf(v, "text", "json") }},
	}
}

// SecretSettings lists the settings that have no flag, for the help.
func SecretSettings() string {
	text := ""
	for _, s := range Settings() {
		if s.Secret {
			text += fmt.Sprintf("\n  %-22s %s", s.Env(), s.Usage)
		}
	}
	return text
}

// Contradiction names settings that are right alone and wrong together.
func (c Config) Contradiction() error {
	switch {
	case c.CallTimeout > tasks.TurnTimeout/4:
		return exit.Usagef("CAMSQ_CALL_TIMEOUT %v is more than %v, the longest that a turn leaves for a call", c.CallTimeout, tasks.TurnTimeout/4)
	case c.RetryMax < c.RetryMin:
		return exit.Usagef("CAMSQ_RETRY_MAX %v is less than CAMSQ_RETRY_MIN %v", c.RetryMax, c.RetryMin)
	case c.SettleWindow < c.ReconcileDelay:
		return exit.Usagef("CAMSQ_SETTLE_WINDOW %v is less than CAMSQ_RECONCILE_DELAY %v: no lookup would fall into it", c.SettleWindow, c.ReconcileDelay)
	}
	return nil
}

// Names lists the accounts.
func (c Config) Names() []string {
	out := make([]string, len(c.Accounts))
	for i, a := range c.Accounts {
		out[i] = a.Name
	}
	return out
}

// Concurrency is how many turns of an account a process takes at once.
func (c Config) Concurrency(name string) int {
	for _, a := range c.Accounts {
		if a.Name == name {
			return a.Concurrency
		}
	}
	return c.Account.Concurrency
}

// Rules are what a job must fulfil under this configuration.
func (c Config) Rules() tasks.Rules {
	names := c.Names()
	return tasks.Rules{
		ChannelTypes:          c.ChannelTypes,
		AccountKnown:          func(name string) bool { return slices.Contains(names, name) },
		AllowPrivateCallbacks: c.CallbackAllowPrivate,
	}
}

// RedisHost names the Redis in messages, without what is secret.
func (c Config) RedisHost() string {
	u, err := url.Parse(c.RedisURL)
	if err != nil || u.Host == "" {
		return "CAMSQ_REDIS_URL"
	}
	return u.Host
}

// DefaultRate is the rate of an account that is not configured, minRate and
// MaxRate the lowest and the highest that there are, in creates a second.
const (
	DefaultRate = 5
	MinRate     = 0.0001
	MaxRate     = 10_000
)

// Lookup finds a variable in an environment; the last of that name counts.
func Lookup(env []string, name string) string {
	for _, pair := range slices.Backward(env) {
		if k, v, _ := strings.Cut(pair, "="); k == name {
			return v
		}
	}
	return ""
}

// DataKeyFile is where a data key is kept when none is set.
func DataKeyFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "camsq", "data.key"), nil
}
