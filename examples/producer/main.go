// Command producer enqueues one job, as a backend does when a customer signs up:
//
//	CAMSQ_DATA_KEY=… go run ./examples/producer tenant-4711 VIBER acme_support
//
// It needs CAMSQ_REDIS_URL and the CAMSQ_DATA_KEY that the workers have. Sending the
// same job again is safe, so a producer that gets an error sends it again.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "producer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: producer JOB_ID CHANNEL_TYPE INSTANCE_NAME")
	}
	options, err := redis.ParseURL(cmp.Or(os.Getenv("CAMSQ_REDIS_URL"), "redis://127.0.0.1:6379/0"))
	if err != nil {
		return fmt.Errorf("CAMSQ_REDIS_URL: %w", err)
	}
	rdb := redis.NewClient(options)
	defer rdb.Close()
	client, err := enqueue.New(enqueue.Config{Redis: rdb, DataKeys: os.Getenv("CAMSQ_DATA_KEY")})
	if err != nil {
		return fmt.Errorf("CAMSQ_DATA_KEY: %w", err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	result, err := client.Create(ctx, tasks.Job{
		ID:       args[0], // a key of your own makes the job idempotent
		Request:  tasks.Request{ChannelType: args[1], InstanceName: args[2]},
		Metadata: map[string]string{"source": "examples/producer"}, // comes back in the webhook
	})
	var invalid *tasks.InvalidError
	var conflict *enqueue.ConflictError
	switch {
	case errors.As(err, &invalid): // each problem names its field: show them to the customer
		return fmt.Errorf("correct the request: %w", err)
	case errors.As(err, &conflict): // this ID already stands for another request
		return fmt.Errorf("use another job ID: %w", err)
	case err != nil: // Redis did not answer: the job may be stored or not; send it again
		return fmt.Errorf("send the job again: %w", err)
	}
	fmt.Println(result.Job.Ref(), result.Status) // queued, or known if it existed
	return nil
}
