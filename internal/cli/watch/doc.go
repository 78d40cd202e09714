// Package watch follows jobs or batches until none of them changes by itself any more,
// and shows the progress: a bar on a terminal, a line now and then elsewhere. It tells
// what blocks an account and when the rest will have ended.
package watch
