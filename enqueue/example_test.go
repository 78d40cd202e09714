package enqueue_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

func ExampleClient_Create() {
	server, err := miniredis.Run() // your Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()

	client, err := enqueue.New(enqueue.Config{
		Redis:    rdb,
		DataKeys: enqueue.NewDataKey(), // yours comes from a secret that the workers share
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	job := tasks.Job{
		ID:       "tenant-7",
		Request:  tasks.Request{ChannelType: "VIBER", InstanceName: "viber_ins"},
		Metadata: map[string]string{"tenant": "7"},
	}
	for range 2 { // sending it again does no harm
		result, err := client.Create(context.Background(), job)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(result.Job.Ref(), result.Status)
	}

	job.Request.InstanceName = "another_ins"
	_, err = client.Create(context.Background(), job)
	fmt.Println(err)

	// Output:
	// default/tenant-7 queued
	// default/tenant-7 known
	// enqueue: job default/tenant-7 exists (queued) with another request; give this one an ID of its own, or send the same request
}

// A customer is waiting at the counter, and an import of thousands is under way.
func ExampleClient_Create_priority() {
	server, err := miniredis.Run() // your Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()

	client, err := enqueue.New(enqueue.Config{Redis: rdb, DataKeys: enqueue.NewDataKey()})
	if err != nil {
		fmt.Println(err)
		return
	}
	job := tasks.Job{
		Priority: tasks.PriorityHigh,
		Request:  tasks.Request{ChannelType: "VIBER", InstanceName: "counter_7"},
	}
	for range 2 {
		result, err := client.Create(context.Background(), job)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(result.Status, result.Job.Priority)
		job.Priority = tasks.PriorityNormal // another priority is no other job: it keeps its own
	}

	// Output:
	// queued high
	// known high
}

func ExampleClient_CreateAll() {
	server, err := miniredis.Run() // your Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()

	client, err := enqueue.New(enqueue.Config{Redis: rdb, DataKeys: enqueue.NewDataKey()})
	if err != nil {
		fmt.Println(err)
		return
	}
	// jobs reads one job after the other, so any number of them fits into memory.
	jobs := func(yield func(tasks.Job, error) bool) {
		for tenant := range strings.Lines("north\nsouth\n\nnorth\n") {
			request := tasks.Request{ChannelType: "WHATSAPP", InstanceName: strings.TrimSpace(tenant)}
			if !yield(tasks.Job{Batch: "march", Request: request}, nil) {
				return
			}
		}
	}
	summary, err := client.CreateAll(context.Background(), jobs, func(r enqueue.Result) {
		if r.Err != nil {
			fmt.Println(r.Err)
			return
		}
		fmt.Println(r.Job.Request.InstanceName, r.Status)
	})
	if err != nil {
		fmt.Println("Redis did not answer; send them again:", err)
		return
	}
	fmt.Printf("%+v\n", summary)
	// Once these have ended, the account's webhook is told that the batch is completed.
	if err := client.CloseBatch(context.Background(), "march"); err != nil {
		fmt.Println("Redis did not answer; close it again:", err)
	}

	// Output:
	// north queued
	// south queued
	// tasks: job is not valid: InstanceName: is required
	// north known
	// {Queued:2 Known:1 Conflict:0 Unreadable:0 Invalid:1 Ended:0}
}
