// Package jobs implements the commands that list jobs and decide about them: held, failed,
// retry, cancel and resolve.
package jobs
