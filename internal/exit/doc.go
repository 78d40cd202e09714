// Package exit defines camsq's exit codes, which scripts rely on, and the errors that carry them.
package exit
