package ratelimit

import "testing"

func TestLimitValidateNamesWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		limit Limit
		want  string
	}{
		{"good", Limit{Rate: 5, Burst: 3}, ""},
		{"burst by default", Limit{Rate: 0.1}, ""},
		{"zero", Limit{}, "ratelimit: rate 0 is not from 0.000001 to 1000000 a second"},
		{"negative", Limit{Rate: -1}, "ratelimit: rate -1 is not from 0.000001 to 1000000 a second"},
		{"no number", Limit{Rate: nan()}, "ratelimit: rate NaN is not from 0.000001 to 1000000 a second"},
		{"too fast", Limit{Rate: 2e6}, "ratelimit: rate 2e+06 is not from 0.000001 to 1000000 a second"},
		{"negative burst", Limit{Rate: 1, Burst: -1}, "ratelimit: burst -1 is not from 0 to 1000000"},
		{"burst beyond reason", Limit{Rate: 1e-6, Burst: 1e6}, "ratelimit: it takes more than a year to earn the burst"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.limit.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func nan() float64 {
	var zero float64
	return zero / zero
}
