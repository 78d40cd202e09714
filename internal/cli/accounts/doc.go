// Package accounts implements the commands that change an account's pace: pause, resume, limit.
package accounts
