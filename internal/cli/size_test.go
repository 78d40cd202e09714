package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// maxBinary bounds the binary as deploy/Dockerfile builds it, in bytes. A library that
// looks methods up by name, such as text/template, keeps the linker from leaving out the
// methods that nothing calls, and adds 9 MB at once.
const maxBinary = 21_000_000

func TestTheBinaryIsSmall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "camsq")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/camsq/camsq/cmd/camsq")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxBinary {
		t.Errorf("the binary has %d bytes, want at most %d: go tool nm -size tells what grew", info.Size(), maxBinary)
	}
}
