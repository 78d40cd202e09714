// Package app composes a camsq process: it opens what a command needs (App), and runs a
// worker with its metrics, sweeper and reconciler (App.RunWorker). It is the only package
// that knows all others, and knows no command line.
package app
