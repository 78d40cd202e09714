// Package asynqx is all that camsq knows of the internals of asynq v0.26.0: its keys in
// Redis, its scripts, its servers, and where it needs help to keep camsq's promise.
//
// A new version of asynq is read against this package, and its tests fail where asynq
// has changed what the package depends on. Two more packages name asynq: worker, which
// runs on its public API, and internal/lab/bench, which measures beside it.
package asynqx
