package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a time above 0, such as 90s or 5m", v)
	}
	return d, nil
}

func parseCount(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a whole number above 0", v)
	}
	return n, nil
}

func parseRate(v string) (float64, error) {
	r, err := strconv.ParseFloat(v, 64)
	if err != nil || !(r >= MinRate) || r > MaxRate {
		return 0, fmt.Errorf("%q is not a number a second, from %v to %d", v, MinRate, MaxRate)
	}
	return r, nil
}

func parseBool(v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", v)
	}
	return b, nil
}

func oneOf(v string, choices ...string) error {
	if slices.Contains(choices, v) {
		return nil
	}
	return fmt.Errorf("%q is not one of %s", v, strings.Join(choices, ", "))
}

func splitList(v string) []string {
	return strings.FieldsFunc(strings.ToUpper(v), func(r rune) bool { return r == ',' || r == ' ' })
}
