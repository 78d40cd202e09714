package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/camsq/camsq/internal/atomicfile"
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

// readOrMakeKey returns the key in a file, which it makes if there is none. If another
// process makes one at the same time, both return the key of the first.
func readOrMakeKey(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return strings.TrimSpace(string(raw)), err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	file, err := atomicfile.Create(path)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(file, seal.NewKey()+"\n"); err != nil {
		file.Discard()
		return "", err
	}
	if err := file.CommitNew(); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	raw, err = os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}
