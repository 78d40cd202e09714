// Package oracle compares cams with the vendor's own core, in tests only. It is a module
// of its own so that the core and its dependencies stay out of the product.
package oracle
