// Package cmdutil is what commands share: the Factory with streams, environment and
// directory, from which a command gets its configuration and its connection to Redis,
// and the checks of arguments and flags.
package cmdutil
