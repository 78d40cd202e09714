// Package atomicfile writes a file that takes its name only when it is complete.
package atomicfile
