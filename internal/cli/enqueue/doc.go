// Package enqueue is the command that puts the rows of files into the queue, the dry run
// of it, and the template of such a file.
package enqueue
