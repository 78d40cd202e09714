package fake

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/humanize"
)

// handler serves the API at / and what scripts ask for under /_fake/.
func (f *fakeServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", f.cloud)
	mux.HandleFunc("GET /_fake/instances", func(w http.ResponseWriter, _ *http.Request) {
		type instance struct {
			InstanceID   string `json:"instance_id"`
			InstanceName string `json:"instance_name"`
			// RequestedName is what the call asked for; the instance may be kept under another name.
			RequestedName string `json:"requested_name"`
			ChannelType   string `json:"channel_type"`
			SubmitTime    string `json:"submit_time"`
			// Arrived is when the call that made it came in.
			Arrived time.Time `json:"arrived"`
		}
		list := []instance{}
		for _, i := range f.cloud.Creates() {
			list = append(list, instance{i.InstanceID, i.InstanceName, i.Requested, i.ChannelType, i.SubmitTime, i.Arrived})
		}
		writeJSON(w, list)
	})
	mux.HandleFunc("GET /_fake/quota", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, f.quota()) })
	mux.HandleFunc("PUT /_fake/quota", f.setQuota)
	mux.HandleFunc("GET /_fake/stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, f.stats()) })
	mux.HandleFunc("GET /_fake/webhooks", func(w http.ResponseWriter, _ *http.Request) {
		if f.receiver == nil {
			http.Error(w, "there is no receiver; start it with --receiver ADDR", http.StatusNotFound)
			return
		}
		writeJSON(w, f.receiver.Counts())
	})
	return mux
}

// Quota is the quota that is in force.
type Quota struct {
	// Creates is how many an account may make a second; 0 is no limit.
	Creates int                 `json:"creates"`
	Model   camstest.QuotaModel `json:"model"`
}

func (f *fakeServer) quota() Quota { return Quota{f.cloud.Quota(), f.model} }

func (f *fakeServer) setQuota(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("creates")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		http.Error(w, fmt.Sprintf("creates=%s: want a whole number of creates a second; 0 is no limit", humanize.Sanitize(text)), http.StatusBadRequest)
		return
	}
	f.cloud.SetQuota(n)
	writeJSON(w, f.quota())
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = render.PrintJSON(w, v) // a client that hung up need not be told
}

// Stats is what happened so far.
type Stats struct {
	Seed      uint64         `json:"seed"`
	Calls     map[string]int `json:"calls"`
	Throttled int            `json:"throttled"`
	// ThrottledCalls is the same by operation.
	ThrottledCalls map[string]int `json:"throttled_calls"`
	Instances      int            `json:"instances"`
	// FirstCreate and LastCreate are when the first and the last call arrived that
	// made an instance.
	FirstCreate time.Time `json:"first_create,omitzero"`
	LastCreate  time.Time `json:"last_create,omitzero"`
	// Duplicates holds the names, "CHANNEL NAME", for which more than one instance was made.
	Duplicates map[string]int `json:"duplicates"`
	Violations []string       `json:"violations"`
}

func (f *fakeServer) stats() Stats {
	s := Stats{
		Seed: f.cloud.Seed(), Calls: map[string]int{}, Throttled: f.cloud.Throttled(), ThrottledCalls: map[string]int{},
		Duplicates: map[string]int{}, Violations: append([]string{}, f.cloud.Violations()...),
	}
	for _, op := range []string{"CreateInstance", "ListInstance", "QueryInstance"} {
		s.Calls[op], s.ThrottledCalls[op] = f.cloud.Calls(op), f.cloud.ThrottledCalls(op)
	}
	names := map[string]int{}
	for _, i := range f.cloud.Creates() {
		s.Instances++
		if s.FirstCreate.IsZero() || i.Arrived.Before(s.FirstCreate) {
			s.FirstCreate = i.Arrived
		}
		if i.Arrived.After(s.LastCreate) {
			s.LastCreate = i.Arrived
		}
		names[strings.ToUpper(i.ChannelType)+" "+i.Requested]++
	}
	for name, n := range names {
		if n > 1 {
			s.Duplicates[name] = n
		}
	}
	return s
}

// summary is the last word.
func (f *fakeServer) summary() {
	s := f.stats()
	f.out.say("")
	f.out.say("calls       %d CreateInstance, %d ListInstance, %d QueryInstance; %d throttled",
		s.Calls["CreateInstance"], s.Calls["ListInstance"], s.Calls["QueryInstance"], s.Throttled)
	f.out.say("instances   %d", s.Instances)
	f.out.say("duplicates  %s", humanize.Plural(int64(len(s.Duplicates)), "name"))
	for name, n := range s.Duplicates {
		f.out.say("            %d of %s", n, humanize.Sanitize(name))
	}
	f.out.say("violations  %d", len(s.Violations))
	for _, v := range s.Violations[:min(len(s.Violations), 10)] {
		f.out.say("            %s", humanize.Sanitize(v))
	}
	if f.receiver != nil {
		c := f.receiver.Counts()
		f.out.say("webhooks    %d received, %d verified, %d rejected, %d failed on purpose, %d distinct",
			c.Received, c.Verified, c.Refused, c.Failed, c.Distinct)
	}
}
