// Package humanize turns numbers, times and foreign text into text for people. What
// comes from outside is made safe for a terminal and for one line.
package humanize
