package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestALabEndsWhatItHasStartedAndNamesWhatEndedByItself(t *testing.T) {
	l := &lab{dir: t.TempDir(), err: io.Discard}
	var all []*running
	for _, script := range []string{"exec sleep 1000", "exec sleep 1000", "echo why; exit 3"} {
		r, err := l.start("shell", exec.Command("sh", "-c", script))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	<-all[2].child.Exited()
	if err := l.check(); err == nil || !strings.Contains(err.Error(), "shell ended unexpectedly") || !strings.Contains(err.Error(), "why") {
		t.Errorf("check: got %v, want its name and the end of its log", err)
	}
	err := l.close()
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("close: got %v, want how it ended", err)
	}
	for _, r := range all {
		select {
		case <-r.child.Exited():
		default:
			t.Errorf("%s runs on", r.log)
		}
	}
	if _, err := os.Stat(l.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its files are there: %v", err)
	}
}
