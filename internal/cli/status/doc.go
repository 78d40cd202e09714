// Package status is the command that shows where accounts, jobs and batches stand.
package status
