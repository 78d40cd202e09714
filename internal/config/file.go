package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/workdir"
	"github.com/camsq/camsq/tasks"
)

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

// ReadFile reads the YAML file at a path of the user's. Without a path it is empty.
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

// AddAccounts adds the accounts of the file at path, or the one account "default".
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
