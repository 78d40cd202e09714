//go:build !linux

package testbed

import "time"

func sleepUntil(due time.Time) { time.Sleep(time.Until(due)) }
