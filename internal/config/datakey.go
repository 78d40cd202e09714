package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/seal"
)

// Keyring returns the keys that seal requests, as they are written and as a
// ring. Without CAMSQ_DATA_KEY it is one
// that is kept in a file of the user's, made at first use: enough for one
// machine, where every process finds the same. Processes on other machines need
// the variable; one that has another key is refused: see [node.checkKeys].
func (c Config) Keyring() (string, seal.Keyring, error) {
	keys, source := c.DataKeys, "CAMSQ_DATA_KEY"
	if keys == "" {
		path, err := DataKeyFile()
		if err == nil {
			keys, err = readOrMakeKey(path)
		}
		if err != nil {
			return "", seal.Keyring{}, exit.Usagef("CAMSQ_DATA_KEY is not set, and no file can stand in for it: %w", err)
		}
		source = path
	}
	ring, err := seal.ParseKeys(keys)
	if err != nil {
		return "", seal.Keyring{}, exit.Usagef("%s: %w", source, err)
	}
	return keys, ring, nil
}

// readOrMakeKey is safe against another process that does the same: the key is
// written aside and then linked, which fails if the file is there by now.
func readOrMakeKey(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return strings.TrimSpace(string(raw)), err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "data.key.*") // mode 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(seal.NewKey() + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	raw, err = os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}
