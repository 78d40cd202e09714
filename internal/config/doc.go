// Package config reads camsq's settings: from flags, the environment, a YAML file and
// defaults, in that order. The table in settings.go is the only place of a setting's
// name, default and check. A setting that does not exist is refused.
package config
