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

	"go.yaml.in/yaml/v3"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/workdir"
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
	Pace                          // tell how fast an account is
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
		{Name: "concurrency", Value: "32", Usage: "`turns` at once for each account in this process",
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
		{Name: "reconcile_delay", Value: "2s", Usage: "`time` before the first look for the instance of a lost answer",
			Set: func(c *Config, v string) (err error) { c.ReconcileDelay, err = parseDuration(v); return }},
		{Name: "settle_window", For: Pace, Value: "3m", Usage: "`time` for which no look may find it before it counts as absent",
			Set: func(c *Config, v string) (err error) { c.SettleWindow, err = parseDuration(v); return }},
		{Name: "absent", Value: "resend", Usage: "what then: resend or hold",
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
		{Name: "channel_types", For: Files, Usage: "channel types that may be asked for, separated by commas (default WHATSAPP,MESSENGER,INSTAGRAM,VIBER)",
			Set: func(c *Config, v string) error { c.ChannelTypes = splitList(v); return nil }},
		{Name: "log_format", Value: "text", Usage: "form of the worker's log: text or json",
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
		return exit.Usagef("CAMSQ_SETTLE_WINDOW %v is less than CAMSQ_RECONCILE_DELAY %v: no look would fall into it", c.SettleWindow, c.ReconcileDelay)
	}
	return nil
}

// fileConfig is the YAML file.
type fileConfig struct {
	Settings map[string]string
	Accounts []fileAccount
}

// fileAccount is one account in the file. What it leaves out it has from the
// settings of the same name.
type fileAccount struct {
	Name        string `yaml:"name"`
	Endpoint    string `yaml:"endpoint"`
	Region      string `yaml:"region"`
	Rate        string `yaml:"rate"`
	Concurrency string `yaml:"concurrency"`
	CallbackURL string `yaml:"callback_url"`
	Profile     string `yaml:"profile"`
	KeyIDEnv    string `yaml:"access_key_id_env"`
	SecretEnv   string `yaml:"access_key_secret_env"`
	TokenEnv    string `yaml:"security_token_env"`
}

func ReadFile(dir workdir.Dir, path string) (fileConfig, error) {
	f := fileConfig{Settings: map[string]string{}}
	if path == "" {
		return f, nil
	}
	raw, err := dir.ReadFile(path)
	if err != nil {
		return f, exit.Usagef("CAMSQ_CONFIG: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return f, exit.Usagef("CAMSQ_CONFIG: %s: %s", path, humanize.OneLine(err))
	}
	if len(doc.Content) == 0 {
		return f, nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return f, exit.Usagef("CAMSQ_CONFIG: %s: it must hold settings, each as name: value", path)
	}
	known := map[string]bool{}
	for _, s := range Settings() {
		known[s.Name] = s.Name != ConfigFile
	}
	for i := 0; i < len(top.Content); i += 2 {
		name, value := top.Content[i].Value, top.Content[i+1]
		switch {
		case name == "accounts":
			if f.Accounts, err = readAccounts(value); err != nil {
				return f, exit.Usagef("CAMSQ_CONFIG: %s: %w", path, err)
			}
		case !known[name]:
			return f, exit.Usagef("CAMSQ_CONFIG: %s:%d: there is no setting %q", path, top.Content[i].Line, name)
		case value.Kind != yaml.ScalarNode:
			return f, exit.Usagef("CAMSQ_CONFIG: %s:%d: %s must be one value", path, value.Line, name)
		default:
			f.Settings[name] = value.Value
		}
	}
	return f, nil
}

func readAccounts(list *yaml.Node) ([]fileAccount, error) {
	if list.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("line %d: accounts must be a list", list.Line)
	}
	var out []fileAccount
	for _, node := range list.Content {
		// A copy is decoded strictly, since yaml.Node.Decode is lenient.
		raw, err := yaml.Marshal(node)
		if err != nil {
			return nil, fmt.Errorf("line %d: %s", node.Line, humanize.OneLine(err))
		}
		dec := yaml.NewDecoder(strings.NewReader(string(raw)))
		dec.KnownFields(true)
		var a fileAccount
		if err := dec.Decode(&a); err != nil {
			return nil, fmt.Errorf("the account in line %d: %s", node.Line, humanize.OneLine(err))
		}
		if !tasks.ValidAccount(a.Name) {
			return nil, fmt.Errorf("the account in line %d: name %q must be 1 to 63 of a-z, 0-9, _ and -", node.Line, a.Name)
		}
		out = append(out, a)
	}
	return out, nil
}

func (c *Config) AddAccounts(list []fileAccount, path string) error {
	if len(list) == 0 {
		one := c.Account
		one.Name = tasks.DefaultAccount
		c.Accounts = []Account{one}
		return nil
	}
	seen := map[string]bool{}
	for _, f := range list {
		a, err := c.Account, error(nil)
		a.Name = f.Name
		a.Endpoint, a.Region = humanize.Or(f.Endpoint, a.Endpoint), humanize.Or(f.Region, a.Region)
		a.CallbackURL = humanize.Or(f.CallbackURL, a.CallbackURL)
		a.Profile, a.KeyID, a.KeySecret, a.Token = f.Profile, f.KeyIDEnv, f.SecretEnv, f.TokenEnv
		if f.Rate != "" {
			a.Rate, err = parseRate(f.Rate)
		}
		if f.Concurrency != "" && err == nil {
			a.Concurrency, err = parseCount(f.Concurrency)
		}
		switch {
		case err != nil:
		case seen[a.Name]:
			err = fmt.Errorf("it stands there twice")
		case (a.KeyID == "") != (a.KeySecret == ""):
			err = fmt.Errorf("access_key_id_env and access_key_secret_env go together")
		case a.Profile != "" && a.KeyID != "":
			err = fmt.Errorf("give a profile or the names of the key's variables, not both")
		}
		if err != nil {
			return exit.Usagef("CAMSQ_CONFIG: %s: account %s: %w", path, f.Name, err)
		}
		seen[a.Name] = true
		c.Accounts = append(c.Accounts, a)
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

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a time above 0, such as 90s or 5m", v)
	}
	return d, nil
}

func parseCount(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a whole number above 0", v)
	}
	return n, nil
}

// DefaultRate is the rate of an account that is not configured, minRate and
// MaxRate the lowest and the highest that there are, in creates a second.
const (
	DefaultRate = 5
	MinRate     = 0.0001
	MaxRate     = 10_000
)

func parseRate(v string) (float64, error) {
	r, err := strconv.ParseFloat(v, 64)
	if err != nil || !(r >= MinRate) || r > MaxRate {
		return 0, fmt.Errorf("%q is not a number a second, from %v to %d", v, MinRate, MaxRate)
	}
	return r, nil
}

func parseBool(v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", v)
	}
	return b, nil
}

func oneOf(v string, choices ...string) error {
	if slices.Contains(choices, v) {
		return nil
	}
	return fmt.Errorf("%q is not one of %s", v, strings.Join(choices, ", "))
}

func splitList(v string) []string {
	return strings.FieldsFunc(strings.ToUpper(v), func(r rune) bool { return r == ',' || r == ' ' })
}

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
