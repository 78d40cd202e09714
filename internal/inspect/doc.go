// Package inspect is the read model: where accounts, jobs and batches stand, what blocks
// them, and how long the rest takes. Its structs are the public JSON of the commands'
// --json. It changes nothing in Redis and prints nothing.
//
// In a cluster of which a part is down, it answers for the other accounts and keeps
// account of those that it had to skip: see [Model.Skipped].
package inspect
