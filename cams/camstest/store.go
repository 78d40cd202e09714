package camstest

import (
	"html"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// storeForms are ways to store a name, for files and flags.
var storeForms = map[string]func(string) string{
	"none":     func(name string) string { return name },
	"lower":    strings.ToLower,
	"upper":    strings.ToUpper,
	"trimws":   func(name string) string { return strings.Join(strings.Fields(name), " ") },
	"nfc":      norm.NFC.String,
	"nfd":      norm.NFD.String,
	"html":     html.EscapeString,
	"truncate": truncate,
	"suffix":   func(name string) string { return name + "-1a2b" },
}

// truncated is how many characters the form "truncate" keeps.
const truncated = 20

func truncate(name string) string {
	if runes := []rune(name); len(runes) > truncated {
		return string(runes[:truncated])
	}
	return name
}

// StoreForm returns one of the ready-made ways to store a name, for
// Config.StoreName, or false if there is none of that name.
func StoreForm(name string) (func(string) string, bool) {
	form, ok := storeForms[name]
	return form, ok
}

// StoreForms lists their names.
func StoreForms() []string {
	names := make([]string, 0, len(storeForms))
	for name := range storeForms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// stored is how the server keeps a name that a create asked for.
func (s *Server) stored(name string) string {
	if s.config.StoreName == nil {
		return name
	}
	return s.config.StoreName(name)
}

// filtered is what the name in a list's filter is looked for as.
func (s *Server) filtered(name string) string {
	if name == "" || !s.config.FilterStored {
		return name
	}
	return s.stored(name)
}
