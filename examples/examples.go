// Package examples holds the input files that the documentation and the demo use.
package examples

import _ "embed"

// Tenants is tenants.csv: realistic rows of a messaging company's customers, three
// of them bad and one there twice.
//
//go:embed tenants.csv
var Tenants []byte
