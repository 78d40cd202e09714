package main

import (
	"os/exec"
	"testing"
	"time"

	"github.com/camsq/camsq/internal/process"
)

func TestAProcessIsMeasured(t *testing.T) {
	begun := time.Now() // before it: the child may run at once
	child, err := process.Start(exec.Command("sh", "-c", "while :; do :; done"), t.TempDir()+"/log")
	if err != nil {
		t.Fatal(err)
	}
	defer child.Kill()
	for {
		cpu, err := processCPU(child.Pid())
		if err != nil {
			t.Fatal(err)
		}
		if cpu > time.Since(begun)+50*time.Millisecond {
			t.Fatalf("one thread used %v of a core in %v", cpu, time.Since(begun))
		}
		if cpu > 50*time.Millisecond {
			break
		}
	}
	if rss, err := processMemory(child.Pid()); err != nil || rss < 1<<10 {
		t.Errorf("memory: got %d, %v", rss, err)
	}
}
