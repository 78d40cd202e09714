package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// userHz is the unit of times in /proc: fixed for programs, whatever the kernel's.
const userHz = 100

// processCPU is the time that a process has used of all cores so far.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("the CPU time of a process is read from Linux's /proc: %w", err)
	}
	return parseStat(string(text))
}

// parseStat reads user and system time (fields 14 and 15) from /proc/PID/stat. The
// second field, the program's name in parentheses, may hold anything.
func parseStat(text string) (time.Duration, error) {
	_, rest, _ := strings.Cut(text[max(strings.LastIndexByte(text, ')'), 0):], ")")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat: %q has too few fields", text)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/PID/stat: user time: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/PID/stat: system time: %w", err)
	}
	return time.Duration(user+system) * time.Second / userHz, nil
}

// processMemory is how much memory of a process is resident, in bytes.
func processMemory(pid int) (int64, error) { return processStatus(pid, "VmRSS") }

// processPeak is how much memory of a process was resident at most so far, in bytes.
func processPeak(pid int) (int64, error) { return processStatus(pid, "VmHWM") }

func processStatus(pid int, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("the memory of a process is read from Linux's /proc: %w", err)
	}
	return parseStatus(string(text), name)
}

// parseStatus reads one of the figures in kB from /proc/PID/status.
func parseStatus(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/PID/status: %s: %w", name, err)
			}
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("/proc/PID/status: there is no %s", name)
}

// redisUsage is what a Redis has done so far.
type redisUsage struct {
	cpu time.Duration
	// commands counts those within scripts too.
	commands int
}

// parseInfo reads INFO's sections cpu and commandstats.
func parseInfo(text string) (redisUsage, error) {
	var u redisUsage
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case name == "used_cpu_user" || name == "used_cpu_sys":
			s, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return u, fmt.Errorf("INFO: %s: %w", name, err)
			}
			u.cpu += time.Duration(s * float64(time.Second))
			found++
		case strings.HasPrefix(name, "cmdstat_"):
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			n, err := strconv.Atoi(calls)
			if err != nil {
				return u, fmt.Errorf("INFO: %s: %w", name, err)
			}
			u.commands += n
		}
	}
	if found != 2 {
		return u, fmt.Errorf("INFO: used_cpu_user and used_cpu_sys are not there")
	}
	return u, nil
}
