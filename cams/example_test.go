package cams_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
)

func ExampleClient_CreateInstance() {
	server := camstest.New(camstest.Config{Calm: true})
	defer server.Close()
	client, err := cams.New(server.ClientConfig(""))
	if err != nil {
		panic(err)
	}
	defer client.CloseIdleConnections()
	request := cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: "viber_ins"}

	instance, err := client.CreateInstance(context.Background(), request)
	fmt.Println(instance.InstanceName, instance.InstanceID != "", err)

	// The answer is lost, but the instance is there: it must not be created again.
	server.Next("CreateInstance", camstest.Fault{Created: true, Reply: camstest.Reply503HTML})
	_, err = client.CreateInstance(context.Background(), request)
	if e, ok := errors.AsType[*cams.Error](err); ok {
		fmt.Println("sent:", e.Sent, "status:", e.Status, "created:", server.Created("viber_ins"))
	}
	// Output:
	// viber_ins true <nil>
	// sent: true status: 503 created: 2
}
