package asynqx_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/camsq/camsq/internal/asynqx"
)

// BenchmarkCall is what a task costs without a template: see docs/decisions.md.
func BenchmarkCall(b *testing.B) {
	c, err := asynqx.NewComposer()
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		id := fmt.Sprintf("tenant-%020d", i)
		if _, err := c.Call(asynqx.Task{Queue: "provision:acme", Type: "instance:create", ID: id, Payload: id, Timeout: time.Hour}); err != nil {
			b.Fatal(err)
		}
	}
}
