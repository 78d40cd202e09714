package check

import (
	"testing"
)

func TestOlderComparesVersions(t *testing.T) {
	for version, want := range map[string]bool{"6.0.16": true, "5.9": true, "6.2.0": false, "6.2": false, "7.0.15": false, "255.255.255": false, "10.1": false} {
		if older(version, oldestRedis) != want {
			t.Errorf("%s: want %v", version, want)
		}
	}
}
