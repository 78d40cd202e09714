// Package cli is camsq's command line: it builds the root command, runs one command and
// returns the exit code. Each family of commands has a package below this one; a command
// parses its flags, asks a model (packages inspect, importer, app) and prints.
//
// It does not touch the process: arguments, environment and streams are given, and the
// caller exits.
package cli
