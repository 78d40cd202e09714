// Package results is the command that writes a file's rows with the outcome of each.
package results
