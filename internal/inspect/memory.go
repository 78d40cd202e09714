package inspect

import (
	"fmt"

	"github.com/camsq/camsq/enqueue"
)

// MemoryWarning says that a server is full, or too full for an import, or is "".
func MemoryWarning(where string, used, most int64) string {
	switch {
	case most <= 0:
		return ""
	case used >= most:
		return fmt.Sprintf("%s is full: it uses %d of its %d MB, and no job can be taken or recorded", where, used/MiB, most/MiB)
	case float64(used) > enqueue.DefaultHighWatermark*float64(most):
		return fmt.Sprintf("%s uses %d of its %d MB: files are taken below %.0f %% again", where, used/MiB, most/MiB, 100*enqueue.DefaultHighWatermark)
	}
	return ""
}

const MiB = 1 << 20
