// Command receiver receives camsq's webhooks:
//
//	CAMSQ_CALLBACK_SECRET=whsec_… go run ./examples/receiver 127.0.0.1:8081
//
// It verifies each event, handles it once for each ID, and then answers 2xx.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/tasks"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: receiver ADDRESS")
	}
	keys, err := callback.ParseSecrets(os.Getenv("CAMSQ_CALLBACK_SECRET"))
	if err != nil {
		return fmt.Errorf("CAMSQ_CALLBACK_SECRET: %w", err)
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	server := http.Server{Handler: &receiver{keys: keys, handled: map[string]bool{}}, ReadTimeout: 10 * time.Second}
	return server.Serve(l)
}

type receiver struct {
	keys    callback.Keyring
	mu      sync.Mutex
	handled map[string]bool // use a table with a unique key: delivery is at least once
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	id, event, err := callback.ReadEvent(req, time.Now(), r.keys)
	if err != nil { // forged, damaged or too old
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.handled[id] {
		handle(event) // in one transaction with the ID
		r.handled[id] = true
	}
	w.WriteHeader(http.StatusNoContent) // only now: camsq sends it again until a 2xx
}

func handle(event callback.Event) {
	d := event.Data
	switch event.Type {
	case tasks.EventInstanceCreated:
		if d.Instance != nil {
			fmt.Println(d.JobID, "has instance", d.Instance.InstanceID)
		}
	case tasks.EventBatchCompleted:
		fmt.Println("batch", d.BatchID, "is done")
	default: // failed, held, and types that a later version adds
		fmt.Println(d.JobID, event.Type, d.Code)
	}
}
