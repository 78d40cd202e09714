package cmdutil

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
)

// settingFlag marks the flags of settings. A command's own flag may have the name of a
// setting that the command does not use.
const settingFlag = "setting"

// AddSettings gives a command the flags of the settings that it uses.
func AddSettings(cmd *cobra.Command, uses config.Audience) {
	for _, s := range config.Settings() {
		if s.HasFlag(uses) {
			cmd.Flags().String(s.Flag(), s.Value, s.Usage+"; "+s.Env())
			cmd.Flags().Lookup(s.Flag()).Annotations = map[string][]string{settingFlag: {s.Name}}
		}
	}
}

// Config reads every setting: flag before environment before file before default.
func (p *Factory) Config(cmd *cobra.Command) (config.Config, error) {
	env, err := p.environment()
	if err != nil {
		return config.Config{}, err
	}
	flags := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if names := f.Annotations[settingFlag]; len(names) > 0 {
			flags[names[0]] = f.Value.String()
		}
	})
	path := humanize.Or(flags[config.ConfigFile], env[config.ConfigFile])
	file, err := config.ReadFile(p.Dir, path)
	if err != nil {
		return config.Config{}, err
	}
	c := config.Config{}
	for _, s := range config.Settings() {
		value, place := s.Value, ""
		if v, ok := file.Settings[s.Name]; ok {
			value, place = v, s.Name+" in "+path
		}
		if v, ok := env[s.Name]; ok {
			value, place = v, s.Env()
		}
		if v, ok := flags[s.Name]; ok {
			value, place = v, "--"+s.Flag()
		}
		if err := s.Set(&c, value); err != nil {
			return config.Config{}, exit.Usagef("%s: %w", place, err)
		}
	}
	if err := c.AddAccounts(file.Accounts, path); err != nil {
		return config.Config{}, err
	}
	return c, c.Contradiction()
}

// environment returns the CAMSQ_ variables by the names of their settings. One
// that no setting has is refused: it is a typing error that would go unnoticed.
func (f *Factory) environment() (map[string]string, error) {
	known := map[string]string{}
	for _, s := range config.Settings() {
		known[s.Env()] = s.Name
	}
	out := map[string]string{}
	for _, pair := range f.Env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "CAMSQ_") {
			continue
		}
		setting, ok := known[name]
		if !ok {
			return nil, exit.Usagef("%s: there is no such setting; camsq --help lists them", name)
		}
		if value != "" {
			out[setting] = value
		}
	}
	return out, nil
}

// Getenv returns a variable of the given environment, or "".
func Getenv(f *Factory, name string) string { return config.Lookup(f.Env, name) }
