package cli

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/redistest"
)

// onCluster is a deployment on a Redis Cluster, with the accounts us, whose part of it is
// to die, and apac, which another part has.
func onCluster(t *testing.T, args ...string) (*deployment, *redistest.Cluster) {
	t.Helper()
	w := newDeployment(t, camstest.Config{})
	c := redistest.StartCluster(t, append([]string{"--appendonly", "yes"}, args...)...)
	if c.MasterOf(laneKey("us")) == c.MasterOf(laneKey("apac")) {
		t.Fatal("both accounts lie in one part of the cluster: this cannot prove anything")
	}
	config := filepath.Join(t.TempDir(), "accounts.yml")
	text := "accounts:\n"
	for _, name := range []string{"us", "apac"} {
		text += "  - name: " + name + "\n    rate: 10\n    access_key_id_env: ALIBABA_CLOUD_ACCESS_KEY_ID\n    access_key_secret_env: ALIBABA_CLOUD_ACCESS_KEY_SECRET\n"
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = append(w.env, "CAMSQ_REDIS_URL="+c.URL(), "CAMSQ_CONFIG="+config)
	return w, c
}

func laneKey(account string) string { return "camsq:{provision:" + account + "}:lane" }

// accountsFile has n jobs of each account, with names of their own.
func accountsFile(t *testing.T, name string, n int) string {
	t.Helper()
	text := "account,ChannelType,InstanceName\n"
	for i := range n {
		text += fmt.Sprintf("us,VIBER,%s_us_%d\napac,VIBER,%s_apac_%d\n", name, i, name, i)
	}
	path := filepath.Join(t.TempDir(), name+".csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// made counts the instances whose names begin so.
func (w *deployment) made(prefix string) int {
	n := 0
	for _, i := range w.cloud.Instances() {
		if strings.HasPrefix(i.InstanceName, prefix) {
			n++
		}
	}
	return n
}

// While a replica takes a dead master's place, and after, an import ends well and each
// job has its one instance. The client's own look at the cluster comes each minute.
func TestAnImportAndItsWorkerOutlastADeadMasterOfACluster(t *testing.T) {
	for _, coverage := range []string{"yes", "no"} {
		t.Run("full coverage "+coverage, func(t *testing.T) {
			t.Parallel()
			w, c := onCluster(t, "--cluster-require-full-coverage", coverage)
			p := w.worker(t)
			if run := camsq(t, w.env, "enqueue", "--wait", accountsFile(t, "before", 5)); run.exit(time.Minute) != exit.CodeOK {
				t.Fatalf("before: %s\n%s", run.output(), p.output())
			}
			dead := c.MasterOf(laneKey("us"))
			dead.Kill()
			run := camsq(t, w.env, "enqueue", "--wait", accountsFile(t, "after", 20))
			if code := run.exit(3 * time.Minute); code != exit.CodeOK {
				t.Fatalf("after: exit code %d\n%s\n%s", code, run.output(), p.output())
			}
			c.AwaitFailover(laneKey("us"), dead)
			for _, i := range w.cloud.Instances() {
				if n := w.cloud.Created(i.InstanceName); n != 1 {
					t.Errorf("%d instances of the name %s", n, i.InstanceName)
				}
			}
			if n := w.made("after_"); n != 40 {
				t.Errorf("%d instances, want 40", n)
			}
		})
	}
}

// A part of the cluster that is gone for good stops its own accounts and no others;
// these can be paused, looked at and resumed, and each command names what it could not
// ask. The part that dies has the list of queues and the
// queue of callbacks too.
func TestAPartOfAClusterThatIsGoneStopsItsAccountsAlone(t *testing.T) {
	t.Parallel()
	w, c := onCluster(t, "--cluster-require-full-coverage", "no")
	if c.MasterOf(laneKey("us")) != c.MasterOf("asynq:queues") {
		t.Fatal("the queues' names do not lie in the part that dies")
	}
	if run := camsq(t, w.env, "enqueue", accountsFile(t, "shop", 900)); run.exit(time.Minute) != exit.CodeOK {
		t.Fatal(run.output())
	}
	listen := freeAddr(t)
	p := camsq(t, append(slices.Clone(w.env), "CAMSQ_LISTEN="+listen), "worker")
	eventually(t, "both accounts are called", func() bool { return w.made("shop_apac") > 0 && w.made("shop_us") > 0 })
	dead := c.MasterOf(laneKey("us"))
	c.ReplicaOf(dead).Kill()
	dead.Kill()
	at := w.made("shop_apac")
	eventually(t, "the other account goes on", func() bool { return w.made("shop_apac") > at+100 })

	run := camsq(t, w.env, "pause", "apac")
	if run.exit(time.Minute) != exit.CodeOK || !strings.Contains(run.output(), "apac: paused: in 5 s at the latest") {
		t.Errorf("pause: %s", run.output())
	}
	eventually(t, "no call begins", func() bool {
		before := w.made("shop_apac")
		time.Sleep(3 * time.Second) // some thirty calls of a lane that goes on
		return w.made("shop_apac") == before
	})
	if n := w.made("shop_apac"); n >= 900 {
		t.Fatalf("%d of 900 jobs were called though the account is paused", n)
	}

	for _, tt := range []struct {
		args      []string
		says, not string
	}{
		{[]string{"status"}, "apac: paused for", "\nus"},
		{[]string{"status"}, "account us could not be asked: its part of the cluster does not answer", "start it"},
		{[]string{"failed"}, "account us could not be asked", "start it"},
		{[]string{"held"}, "account us could not be asked", "start it"},
		{[]string{"pause", "us", "apac"}, "apac: paused", "us: paused"},
		{[]string{"check"}, "FAIL  redis", ""},
	} {
		run := camsq(t, w.env, tt.args...)
		code, text := run.exit(2*time.Minute), run.output()
		if code != exit.CodeUnreachable || !strings.Contains(text, tt.says) || tt.not != "" && strings.Contains(text, tt.not) {
			t.Errorf("camsq %q: exit code %d, want 3, %q and not %q\n%s", tt.args, code, tt.says, tt.not, text)
		}
	}
	page := pageAt(t, "http://"+listen+"/metrics")
	for text, want := range map[string]bool{
		"\ncamsq_redis_up 1\n": true, `camsq_lane_paused{account="apac"} 1`: true, `camsq_lane_paused{account="us"}`: false,
		`camsq_jobs{account="apac"`: true, `camsq_jobs{account="us"`: false,
	} {
		if strings.Contains(page, text) != want {
			t.Errorf("/metrics: %q: %v, want %v", text, !want, want)
		}
	}
	if code := get(listen, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}

	if run := camsq(t, w.env, "resume", "apac"); run.exit(time.Minute) != exit.CodeOK {
		t.Errorf("resume: %s", run.output())
	}
	at = w.made("shop_apac")
	eventually(t, "the account goes on again", func() bool { return w.made("shop_apac") > at })
	if n := strings.Count(p.output(), "cannot read the state of accounts from Redis"); n != 1 {
		t.Errorf("the worker has said it %d times, want once\n%s", n, p.output())
	}
}

func pageAt(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
