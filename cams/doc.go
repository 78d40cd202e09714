// Package cams makes signed calls to Alibaba Cloud Chat App Message Service
// (CAMS), API version 2020-06-06.
//
// One method call is one signed request and one answer, except that listing
// reads as many pages as there are. The package states facts: what the API
// answered, and whether any byte of the request can have reached it. It never
// repeats a request, waits, logs, or decides what an error means for a job.
//
// CreateInstance is not idempotent: the API takes no client token. The field
// [Error.Sent] is what a caller needs to know before it calls again.
package cams
