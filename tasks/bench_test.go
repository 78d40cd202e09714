package tasks_test

import (
	"testing"

	"github.com/camsq/camsq/tasks"
)

// What a row costs at the door: an import has a million of them.
func BenchmarkNormalizeAndValidate(b *testing.B) {
	for _, bench := range []struct {
		name string
		job  tasks.Job
	}{
		{"plain", tasks.Job{Request: tasks.Request{ChannelType: "VIBER", InstanceName: "tenant-000123", ContactMail: "owner@example.com", CountryID: "65"}}},
		{"words", tasks.Job{Request: tasks.Request{ChannelType: "VIBER", InstanceName: "New Delhi Support", ContactMail: "owner@example.com", CountryID: "65"}}},
		{"Chinese", tasks.Job{Request: tasks.Request{ChannelType: "VIBER", InstanceName: "渠道一号客服", ContactMail: "owner@example.com", CountryID: "65"}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.job.Normalize().Validate(tasks.Rules{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNameKey(b *testing.B) {
	for _, name := range []string{"tenant-000123", "New Delhi Support", "渠道一号客服"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := tasks.Request{ChannelType: "VIBER", InstanceName: name}
			for b.Loop() {
				_ = r.NameKey()
			}
		})
	}
}
