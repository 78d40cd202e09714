// Package render prints values: tables, counts and JSON. It knows no model.
package render
