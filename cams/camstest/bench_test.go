package camstest_test

import (
	"fmt"
	"testing"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
)

// What a worker does for each job, over a socket: look, then create. Beside 100,000
// instances that are there already it must cost the same.
func BenchmarkALookAndACreate(b *testing.B) {
	for _, there := range []int{0, 100_000} {
		b.Run(fmt.Sprint(there, " there"), func(b *testing.B) {
			s := camstest.New(camstest.Config{Calm: true})
			defer s.Close()
			if err := s.Start(); err != nil {
				b.Fatal(err)
			}
			for i := range there {
				s.Add("", cams.Instance{InstanceName: fmt.Sprintf("shop_%06d", i), ChannelType: "VIBER"})
			}
			c, err := cams.New(s.ClientConfig(""))
			if err != nil {
				b.Fatal(err)
			}
			defer c.CloseIdleConnections()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					name := fmt.Sprintf("shop_%p_%06d", pb, i)
					if _, err := c.FindInstances(b.Context(), "VIBER", name); err != nil {
						b.Error(err)
					}
					if _, err := c.CreateInstance(b.Context(), cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: name}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
