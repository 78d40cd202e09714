package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// config is what the settings say.
type config struct {
	RedisURL string
	Listen   string
	Keep     time.Duration
	DataKeys string

	// Account is the template of every account; Accounts are those that there are.
	Account  account
	Accounts []account

	CallTimeout, RetryMin, RetryMax time.Duration
	MaxTries                        int
	MaxAge                          time.Duration
	ReconcileDelay, SettleWindow    time.Duration
	Absent                          worker.Absent
	Existing                        worker.Existing

	CallbackSecret       string
	CallbackAllowPrivate bool

	ChannelTypes []string
	LogFormat    string
}

// account is one lane, as configured.
type account struct {
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

// setting is one variable: CAMSQ_NAME in the environment, --name as a flag,
// name in the file.
type setting struct {
	name  string // lower case, words joined by _
	value string // the default
	usage string
	// secret settings have no flag: a process list shows flags to everybody.
	secret bool
	set    func(c *config, value string) error
}

func (s setting) env() string  { return "CAMSQ_" + strings.ToUpper(s.name) }
func (s setting) flag() string { return strings.ReplaceAll(s.name, "_", "-") }

// configFile is the one setting that the file itself cannot hold.
const configFile = "config"

// settings is the table of every variable, in the order of the README.
func settings() []setting {
	return []setting{
		{name: "redis_url", value: "redis://127.0.0.1:6379/0", usage: "Redis: redis://, rediss://, redis-sentinel://, or several cluster nodes",
			set: func(c *config, v string) error { c.RedisURL = v; return nil }},
		{name: configFile, usage: "YAML `file` with accounts and any of these settings", set: func(*config, string) error { return nil }},
		{name: "endpoint", usage: "CAMS endpoint (default cams.REGION.aliyuncs.com; http:// only for this machine)",
			set: func(c *config, v string) error { c.Account.Endpoint = v; return nil }},
		{name: "region", value: "ap-southeast-1", usage: "region of the endpoint",
			set: func(c *config, v string) error { c.Account.Region = v; return nil }},
		{name: "rate", value: strconv.Itoa(defaultRate), usage: "`creates` a second for each account",
			set: func(c *config, v string) (err error) { c.Account.Rate, err = parseRate(v); return }},
		{name: "concurrency", value: "32", usage: "`turns` at once for each account in this process",
			set: func(c *config, v string) (err error) { c.Account.Concurrency, err = parseCount(v); return }},
		{name: "call_timeout", value: "15s", usage: "longest `time` of one call",
			set: func(c *config, v string) (err error) { c.CallTimeout, err = parseDuration(v); return }},
		{name: "retry_min", value: "1s", usage: "shortest backoff `time`",
			set: func(c *config, v string) (err error) { c.RetryMin, err = parseDuration(v); return }},
		{name: "retry_max", value: "5m", usage: "longest backoff `time`",
			set: func(c *config, v string) (err error) { c.RetryMax, err = parseDuration(v); return }},
		{name: "max_tries", value: "10", usage: "`calls` that a job may spend",
			set: func(c *config, v string) (err error) { c.MaxTries, err = parseCount(v); return }},
		{name: "max_age", value: "24h", usage: "`time` after its first try for which a job may try again",
			set: func(c *config, v string) (err error) { c.MaxAge, err = parseDuration(v); return }},
		{name: "reconcile_delay", value: "2s", usage: "`time` before the first look for the instance of a lost answer",
			set: func(c *config, v string) (err error) { c.ReconcileDelay, err = parseDuration(v); return }},
		{name: "settle_window", value: "3m", usage: "`time` for which no look may find it before it counts as absent",
			set: func(c *config, v string) (err error) { c.SettleWindow, err = parseDuration(v); return }},
		{name: "absent", value: "resend", usage: "what then: resend or hold",
			set: func(c *config, v string) error {
				c.Absent = worker.Absent(v)
				return oneOf(v, string(worker.AbsentResend), string(worker.AbsentHold))
			}},
		{name: "existing", value: "fail", usage: "what a name that exists before the first call gets: fail, adopt or create",
			set: func(c *config, v string) error {
				c.Existing = worker.Existing(v)
				return oneOf(v, string(worker.ExistingFail), string(worker.ExistingAdopt), string(worker.ExistingCreate))
			}},
		{name: "callback_url", usage: "receiver of the outcomes of jobs that name none",
			set: func(c *config, v string) error { c.Account.CallbackURL = v; return nil }},
		{name: "callback_secret", usage: "webhook secrets (whsec_…), separated by spaces", secret: true,
			set: func(c *config, v string) error { c.CallbackSecret = v; return nil }},
		{name: "callback_allow_private", value: "false", usage: "allow receivers at private addresses and over http",
			set: func(c *config, v string) (err error) { c.CallbackAllowPrivate, err = parseBool(v); return }},
		{name: "data_key", usage: "keys that seal requests in Redis, separated by spaces", secret: true,
			set: func(c *config, v string) error { c.DataKeys = v; return nil }},
		{name: "keep", value: "2160h", usage: "`time` for which records of finished jobs stay",
			set: func(c *config, v string) (err error) { c.Keep, err = parseDuration(v); return }},
		{name: "listen", value: "127.0.0.1:9464", usage: "`address` of /metrics, /healthz and /readyz",
			set: func(c *config, v string) error { c.Listen = v; return nil }},
		{name: "channel_types", usage: "channel types that may be asked for, separated by commas (default WHATSAPP,MESSENGER,INSTAGRAM,VIBER)",
			set: func(c *config, v string) error { c.ChannelTypes = splitList(v); return nil }},
		{name: "log_format", value: "text", usage: "form of the worker's log: text or json",
			set: func(c *config, v string) error { c.LogFormat = v; return oneOf(v, "text", "json") }},
	}
}

func (p *program) addSettings(root *cobra.Command) {
	p.flags = map[string]*string{}
	for _, s := range settings() {
		if !s.secret {
			p.flags[s.name] = root.PersistentFlags().String(s.flag(), s.value, s.usage+"; "+s.env())
		}
	}
	root.PersistentFlags().SortFlags = false
}

// secretSettings lists the settings that have no flag, for the help.
func secretSettings() string {
	text := ""
	for _, s := range settings() {
		if s.secret {
			text += fmt.Sprintf("\n  %-22s %s", s.env(), s.usage)
		}
	}
	return text
}

// load reads every setting: flag before environment before file before default.
func (p *program) load(cmd *cobra.Command) (config, error) {
	env, err := p.environment()
	if err != nil {
		return config{}, err
	}
	flags := map[string]string{}
	for name, value := range p.flags {
		if f := cmd.Flag(setting{name: name}.flag()); f != nil && f.Changed {
			flags[name] = *value
		}
	}
	path := orElse(flags[configFile], env[configFile])
	file, err := readFile(p.dir, path)
	if err != nil {
		return config{}, err
	}
	c := config{}
	for _, s := range settings() {
		value, place := s.value, ""
		if v, ok := file.Settings[s.name]; ok {
			value, place = v, s.name+" in "+path
		}
		if v, ok := env[s.name]; ok {
			value, place = v, s.env()
		}
		if v, ok := flags[s.name]; ok {
			value, place = v, "--"+s.flag()
		}
		if err := s.set(&c, value); err != nil {
			return config{}, usage("%s: %w", place, err)
		}
	}
	if err := c.addAccounts(file.Accounts, path); err != nil {
		return config{}, err
	}
	return c, c.contradiction()
}

// contradiction names settings that are right alone and wrong together.
func (c config) contradiction() error {
	switch {
	case c.CallTimeout > tasks.TurnTimeout/4:
		return usage("CAMSQ_CALL_TIMEOUT %v is more than %v, the longest that a turn leaves for a call", c.CallTimeout, tasks.TurnTimeout/4)
	case c.RetryMax < c.RetryMin:
		return usage("CAMSQ_RETRY_MAX %v is less than CAMSQ_RETRY_MIN %v", c.RetryMax, c.RetryMin)
	case c.SettleWindow < c.ReconcileDelay:
		return usage("CAMSQ_SETTLE_WINDOW %v is less than CAMSQ_RECONCILE_DELAY %v: no look would fall into it", c.SettleWindow, c.ReconcileDelay)
	}
	return nil
}

// environment returns the CAMSQ_ variables by the names of their settings. One
// that no setting has is refused: it is a typing error that would go unnoticed.
func (p *program) environment() (map[string]string, error) {
	known := map[string]string{}
	for _, s := range settings() {
		known[s.env()] = s.name
	}
	out := map[string]string{}
	for _, pair := range p.env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "CAMSQ_") {
			continue
		}
		setting, ok := known[name]
		if !ok {
			return nil, usage("%s: there is no such setting; camsq --help lists them", name)
		}
		if value != "" {
			out[setting] = value
		}
	}
	return out, nil
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

func readFile(dir folder, path string) (fileConfig, error) {
	f := fileConfig{Settings: map[string]string{}}
	if path == "" {
		return f, nil
	}
	raw, err := dir.readFile(path)
	if err != nil {
		return f, usage("CAMSQ_CONFIG: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return f, usage("CAMSQ_CONFIG: %s: %s", path, oneLine(err))
	}
	if len(doc.Content) == 0 {
		return f, nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return f, usage("CAMSQ_CONFIG: %s: it must hold settings, each as name: value", path)
	}
	known := map[string]bool{}
	for _, s := range settings() {
		known[s.name] = s.name != configFile
	}
	for i := 0; i < len(top.Content); i += 2 {
		name, value := top.Content[i].Value, top.Content[i+1]
		switch {
		case name == "accounts":
			if f.Accounts, err = readAccounts(value); err != nil {
				return f, usage("CAMSQ_CONFIG: %s: %w", path, err)
			}
		case !known[name]:
			return f, usage("CAMSQ_CONFIG: %s:%d: there is no setting %q", path, top.Content[i].Line, name)
		case value.Kind != yaml.ScalarNode:
			return f, usage("CAMSQ_CONFIG: %s:%d: %s must be one value", path, value.Line, name)
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
			return nil, fmt.Errorf("line %d: %s", node.Line, oneLine(err))
		}
		dec := yaml.NewDecoder(strings.NewReader(string(raw)))
		dec.KnownFields(true)
		var a fileAccount
		if err := dec.Decode(&a); err != nil {
			return nil, fmt.Errorf("the account in line %d: %s", node.Line, oneLine(err))
		}
		if !tasks.ValidAccount(a.Name) {
			return nil, fmt.Errorf("the account in line %d: name %q must be 1 to 63 of a-z, 0-9, _ and -", node.Line, a.Name)
		}
		out = append(out, a)
	}
	return out, nil
}

func (c *config) addAccounts(list []fileAccount, path string) error {
	if len(list) == 0 {
		one := c.Account
		one.Name = tasks.DefaultAccount
		c.Accounts = []account{one}
		return nil
	}
	seen := map[string]bool{}
	for _, f := range list {
		a, err := c.Account, error(nil)
		a.Name = f.Name
		a.Endpoint, a.Region = orElse(f.Endpoint, a.Endpoint), orElse(f.Region, a.Region)
		a.CallbackURL = orElse(f.CallbackURL, a.CallbackURL)
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
			return usage("CAMSQ_CONFIG: %s: account %s: %w", path, f.Name, err)
		}
		seen[a.Name] = true
		c.Accounts = append(c.Accounts, a)
	}
	return nil
}

// names lists the accounts.
func (c config) names() []string {
	out := make([]string, len(c.Accounts))
	for i, a := range c.Accounts {
		out[i] = a.Name
	}
	return out
}

// concurrency is how many turns of an account a process takes at once.
func (c config) concurrency(name string) int {
	for _, a := range c.Accounts {
		if a.Name == name {
			return a.Concurrency
		}
	}
	return c.Account.Concurrency
}

// rules are what a job must fulfil under this configuration.
func (c config) rules() tasks.Rules {
	names := c.names()
	return tasks.Rules{
		ChannelTypes:          c.ChannelTypes,
		AccountKnown:          func(name string) bool { return slices.Contains(names, name) },
		AllowPrivateCallbacks: c.CallbackAllowPrivate,
	}
}

// redisHost names the Redis in messages, without what is secret.
func (c config) redisHost() string {
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

// defaultRate is the rate of an account that nobody has configured, minRate and
// maxRate the lowest and the highest that there are, in creates a second.
const (
	defaultRate = 5
	minRate     = 0.0001
	maxRate     = 10_000
)

func parseRate(v string) (float64, error) {
	r, err := strconv.ParseFloat(v, 64)
	if err != nil || !(r >= minRate) || r > maxRate {
		return 0, fmt.Errorf("%q is not a number a second, from %v to %d", v, minRate, maxRate)
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

// getenv is the program's environment.
func (p *program) getenv(name string) string { return lookup(p.env, name) }

// lookup finds a variable in an environment; the last of that name counts.
func lookup(env []string, name string) string {
	for _, pair := range slices.Backward(env) {
		if k, v, _ := strings.Cut(pair, "="); k == name {
			return v
		}
	}
	return ""
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// dataKeyFile is where a data key is kept when none is set.
func dataKeyFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "camsq", "data.key"), nil
}
