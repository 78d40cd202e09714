// Package workdir opens files by the user's relative paths from a given directory, so that
// nothing depends on the process's own. Errors name a path as the user gave it.
package workdir
