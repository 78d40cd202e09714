// Package demo is the demonstration: Redis, API stand-in, receiver and workers in one
// process, and an account of what each job went through.
package demo
