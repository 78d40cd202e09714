package demo

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/lab/testbed"
	"github.com/camsq/camsq/tasks"
)

func TestEachBrokenPromiseIsNamed(t *testing.T) {
	cloud := camstest.New(camstest.Config{})
	defer cloud.Close()
	one := cloud.Add("", cams.Instance{InstanceName: "shop", ChannelType: "VIBER"})
	job := tasks.Job{Account: "default", ID: "a", Request: tasks.Request{ChannelType: "VIBER", InstanceName: "shop"}}
	name := instanceName{"default", "VIBER", "shop"}
	keys, err := callback.ParseSecrets(callback.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	post := func(r *callbacktest.Receiver, header http.Header, body string) {
		q := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		maps.Copy(q.Header, header)
		r.ServeHTTP(httptest.NewRecorder(), q)
	}

	for what, tt := range map[string]struct {
		corrupt func(f *jobTrace, there map[instanceName][]string, r *callbacktest.Receiver)
		want    string
	}{
		"nothing": {func(*jobTrace, map[instanceName][]string, *callbacktest.Receiver) {}, ""},
		"a duplicate": {func(_ *jobTrace, there map[instanceName][]string, _ *callbacktest.Receiver) {
			there[name] = append(there[name], "2")
		}, "at most one instance"},
		"another instance": {func(f *jobTrace, _ map[instanceName][]string, _ *callbacktest.Receiver) {
			f.record.Instance = &tasks.EventInstance{InstanceID: "2"}
		}, "at most one instance"},
		"no end": {func(f *jobTrace, _ map[instanceName][]string, _ *callbacktest.Receiver) {
			f.record.State = tasks.StateHeld
		}, "every job has one recorded outcome"},
		"no webhook": {func(f *jobTrace, _ map[instanceName][]string, _ *callbacktest.Receiver) { f.webhooks = nil }, "every outcome reached"},
		"two outcomes": {func(f *jobTrace, _ map[instanceName][]string, _ *callbacktest.Receiver) {
			f.webhooks = append(f.webhooks, callbacktest.Delivery{ID: "evt_2"})
		}, "every outcome reached"},
		"a bad signature": {func(_ *jobTrace, _ map[instanceName][]string, r *callbacktest.Receiver) { post(r, nil, "{}") }, "every webhook was signed"},
		"a changed body": {func(_ *jobTrace, _ map[instanceName][]string, r *callbacktest.Receiver) {
			for _, body := range []string{`{"type":"instance.created","timestamp":"2026-03-04T05:06:07Z"}`, `{"type":"instance.failed","timestamp":"2026-03-04T05:06:07Z"}`} {
				header, err := callback.Sign("evt_1", time.Now(), []byte(body), keys)
				if err != nil {
					t.Fatal(err)
				}
				post(r, header, body)
			}
			if r.Counts().Changed != 1 {
				t.Errorf("the receiver counts %+v", r.Counts())
			}
		}, "every webhook was signed"},
		"a second call": {func(f *jobTrace, _ map[instanceName][]string, _ *callbacktest.Receiver) {
			f.calls = append(f.calls, call{})
		}, "every fault was recovered from"},
		"not adopted":      {func(f *jobTrace, _ map[instanceName][]string, _ *callbacktest.Receiver) { f.record.Adopted = false }, "every fault was recovered from"},
		"instance missing": {func(_ *jobTrace, there map[instanceName][]string, _ *callbacktest.Receiver) { delete(there, name) }, "at most one instance"},
	} {
		f := jobTrace{calls: []call{{}}, webhooks: []callbacktest.Delivery{{ID: "evt_1"}}}
		f.record.Job, f.record.State, f.record.Adopted = job, tasks.StateCreated, true
		f.record.Instance = &tasks.EventInstance{InstanceID: one.InstanceID}
		f.record.Callback.State = tasks.CallbackDelivered
		there := map[instanceName][]string{name: {one.InstanceID}}
		var out strings.Builder
		d := &demo{out: &out, bed: &testbed.Testbed{CAMS: cloud, Receiver: &callbacktest.Receiver{Keys: keys}}, jobs: []tasks.Job{job}, begun: time.Now()}
		d.scenarios = newScenarios([]fileRow{{job: job}})
		tt.corrupt(&f, there, d.bed.Receiver)

		broken := d.promises(map[tasks.Ref]jobTrace{job.Ref(): f}, there)
		if (broken > 0) != (tt.want != "") || tt.want != "" && !strings.Contains(out.String(), "FAIL  "+tt.want) {
			t.Errorf("%s: %d broken:\n%s", what, broken, out.String())
		}
	}
}
