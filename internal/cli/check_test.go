package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/cli/check"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/internal/redistest"
)

// checkEnv keeps the vendor's chain from finding anything on the machine of the
// test, and gives the settings of a place where all is well.
func checkEnv(t *testing.T, redisURL string, cloud *camstest.Server) map[string]string {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"), "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
		"ALIBABA_CLOUD_ACCESS_KEY_ID": camstest.KeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": camstest.KeySecret,
	} {
		t.Setenv(name, value)
	}
	return map[string]string{
		"CAMSQ_REDIS_URL": redisURL, "CAMSQ_ENDPOINT": cloud.URL(), "CAMSQ_DATA_KEY": enqueue.NewDataKey(),
		"ALIBABA_CLOUD_ACCESS_KEY_ID": camstest.KeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": camstest.KeySecret,
	}
}

func startCloud(t *testing.T, c camstest.Config) *camstest.Server {
	t.Helper()
	s := camstest.New(c)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// runCheck is camsq check with settings and arguments.
func runCheck(t *testing.T, env map[string]string, args ...string) (code int, text, errs string) {
	t.Helper()
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	var o, e screen
	code = Run(t.Context(), append([]string{"check"}, args...), list, nil, &o, &e)
	return code, o.String(), e.String()
}

// A user who may not say that there is work loses a second for each idle account,
// and is told.
func TestCheckWarnsOfAUserWhoCannotWakeWorkers(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	err := server.Client().Do(t.Context(), "ACL", "SETUSER", "ops", "on", ">pw", "~*", "resetchannels", "+@all").Err()
	if err != nil {
		t.Fatal(err)
	}
	env := checkEnv(t, strings.Replace(server.URL(), "redis://", "redis://ops:pw@", 1), startCloud(t, camstest.Config{}))
	code, text, errs := runCheck(t, env)
	if code != 0 || errs != "" || strings.Contains(text, redisconn.LevelFail) {
		t.Errorf("exit code %d, stderr %q:\n%s", code, errs, text)
	}
	wantLines(t, text, `warn  redis wake              this user may not PUBLISH on camsq:wake, .*`)
}

func TestCheckOnARedisThatKeepsItsWrites(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	env := checkEnv(t, server.URL(), startCloud(t, camstest.Config{}))
	code, text, errs := runCheck(t, env)
	if code != 0 || errs != "" || strings.Contains(text, redisconn.LevelFail) || strings.Contains(text, redisconn.LevelWarn) {
		t.Errorf("exit code %d, stderr %q:\n%s", code, errs, text)
	}
	wantLines(t, text,
		`ok    settings                1 account: default`,
		`ok    redis                   127\.0\.0\.1:\d+ answers in .*, version \d.*`,
		`ok    redis role              master`,
		`ok    redis durability        append-only file, synced with every write`,
		`ok    redis eviction          none \(maxmemory-policy noeviction\)`,
		`ok    data key                from CAMSQ_DATA_KEY, shared with the others`,
		`ok    credentials of default  from the environment \(ALIBABA_CLOUD_ACCESS_KEY_ID\)`,
		`ok    api of default          http://127\.0\.0\.1:\d+ accepts the signature .*`,
		`ok    receiver of default     none is set; .*`,
	)
	if strings.Contains(text, camstest.KeySecret) || strings.Contains(text, camstest.KeyID) {
		t.Error("it prints the key")
	}
}

func TestCheckTellsWhatRedisWouldLose(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"no append-only file": {nil, 0, []string{`warn  redis durability .* has NO append-only file: a crash of Redis loses jobs.* → set appendonly yes`}},
		"synced each second":  {[]string{"--appendonly", "yes"}, 0, []string{`ok    redis durability .* last second or two .*`}},
		"synced by the system": {[]string{"--appendonly", "yes", "--appendfsync", "no"}, 0,
			[]string{`warn  redis durability .* → set appendfsync everysec, or always`}},
		"it evicts": {[]string{"--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, 0,
			[]string{`warn  redis eviction .*allkeys-lru: jobs vanish .* → set noeviction`}},
		"it would evict": {[]string{"--maxmemory-policy", "volatile-ttl"}, 0, []string{`warn  redis eviction .*volatile-ttl, harmless while maxmemory is 0.*`}},
		"no CONFIG": {[]string{"--appendonly", "yes", "--rename-command", "CONFIG", ""}, 0,
			[]string{`ok    redis durability .*`, `ok    redis eviction .*`}},
		"no CONFIG and no file": {[]string{"--rename-command", "CONFIG", ""}, 0, []string{`warn  redis durability .* NO append-only file.*`}},
		"a replica":             {[]string{"--replicaof", "127.0.0.1", "1"}, exit.CodeUsage, []string{`FAIL  redis role .* → name the master in CAMSQ_REDIS_URL`}},
		"a password":            {[]string{"--requirepass", "secret"}, exit.CodeUsage, []string{`FAIL  redis  .* refuses: it wants a password, and CAMSQ_REDIS_URL has none → correct CAMSQ_REDIS_URL`}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, tt.args...)
			code, text, errs := runCheck(t, checkEnv(t, server.URL(), startCloud(t, camstest.Config{})))
			if code != tt.code {
				t.Errorf("exit code %d, want %d, stderr %q", code, tt.code, errs)
			}
			wantLines(t, text, tt.want...)
		})
	}
}

func TestCheckOnARedisThatSaysNothingOfItself(t *testing.T) {
	code, text, _ := runCheck(t, checkEnv(t, "redis://"+miniredis.RunT(t).Addr(), startCloud(t, camstest.Config{})))
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	wantLines(t, text,
		`ok    redis  .* answers in .*, of a version that it does not report`,
		`warn  redis role .* does not report whether it is a master .*`,
		`warn  redis durability .* does not report whether it has an append-only file .*`,
		`warn  redis eviction .* does not report its maxmemory-policy .*`,
	)
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	secret := callback.NewSecret()
	closed := freeAddr(t)
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	open := plain.Listener.Addr().String()

	for name, tt := range map[string]struct {
		cloud camstest.Config
		fault *camstest.Fault // of the list
		env   map[string]string
		unset []string // of the process's environment too
		args  []string
		code  int
		want  []string
	}{
		"Redis is down": {
			env: map[string]string{"CAMSQ_REDIS_URL": "redis://" + closed}, code: exit.CodeUnreachable,
			want: []string{`FAIL  redis  .*` + closed + ` does not answer: .* → start it, or correct CAMSQ_REDIS_URL`, `ok    api of default .*`},
		},
		"Redis is no URL": {
			env: map[string]string{"CAMSQ_REDIS_URL": "http://127.0.0.1"}, code: exit.CodeUsage,
			want: []string{`FAIL  settings  .*CAMSQ_REDIS_URL.*`, `ok    api of default .*`},
		},
		"an unknown setting": {
			env: map[string]string{"CAMSQ_RATTE": "5"}, code: exit.CodeUsage, want: []string{`FAIL  settings  CAMSQ_RATTE.*`},
		},
		"no credentials": {
			unset: []string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"}, code: exit.CodeUsage,
			want: []string{`FAIL  credentials of default .* → set ALIBABA_CLOUD_ACCESS_KEY_ID and .*`},
		},
		"an endpoint in clear": {
			env: map[string]string{"CAMSQ_ENDPOINT": "http://cams.example.com"}, code: exit.CodeUsage,
			want: []string{`FAIL  endpoint of default .*plain http is only for this machine.*`},
		},
		"an endpoint that is away": {
			env: map[string]string{"CAMSQ_ENDPOINT": "http://" + closed}, code: exit.CodeUnreachable,
			want: []string{`FAIL  api of default .* cannot be reached: .*connection refused → look at the network, the proxy and CAMSQ_ENDPOINT`},
		},
		"another region": {
			env:  map[string]string{"CAMSQ_REGION": "eu-central-1"},
			want: []string{`warn  region of default .*ap-southeast-1 only.*eu-central-1.*`, `ok    api of default .*`},
		},
		"a wrong key": {
			cloud: camstest.Config{Keys: map[string]string{camstest.KeyID: "another"}}, code: exit.CodeUsage,
			want: []string{`FAIL  api of default .*SignatureDoesNotMatch → correct the access key ID, its secret and its token`},
		},
		"a wrong clock": {
			cloud: camstest.Config{Clock: func() time.Time { return time.Now().Add(20 * time.Minute) }}, code: exit.CodeUsage,
			want: []string{`FAIL  clock of default .* clock is (19m5\ds|20m\ds) from the API's → synchronise it.*`},
		},
		"no permission": {
			fault: &camstest.Fault{Reply: camstest.ReplyForbidden}, code: exit.CodeUsage,
			want: []string{`FAIL  api of default .*NoPermission.* → allow it cams:ListInstance and cams:CreateInstance in RAM`},
		},
		"throttled": {
			fault: &camstest.Fault{Reply: camstest.ReplyThrottled}, want: []string{`warn  api of default .*Throttling\.User.*`},
		},
		"a broken API": {
			fault: &camstest.Fault{Reply: camstest.Reply503HTML}, code: exit.CodeUnreachable, want: []string{`FAIL  api of default .*HTTP 503.*`},
		},
		"not CAMS": {
			fault: &camstest.Fault{Reply: camstest.ReplyGarbage}, code: exit.CodeUsage, want: []string{`FAIL  api of default .*not as CAMS does.*`},
		},
		"another refusal": {
			fault: &camstest.Fault{Reply: camstest.ReplyError, Status: 400, Code: "InsufficientBalance", Message: "Pay."}, code: exit.CodeUsage,
			want: []string{`FAIL  api of default +the account cannot pay: InsufficientBalance Pay\. → pay, .*`},
		},
		"a private receiver": {
			env: map[string]string{"CAMSQ_CALLBACK_URL": "https://10.0.0.1/x", "CAMSQ_CALLBACK_SECRET": secret}, code: exit.CodeUsage,
			want: []string{`FAIL  receiver of default .*10\.0\.0\.1 is not public → .*CAMSQ_CALLBACK_ALLOW_PRIVATE=true`},
		},
		"a receiver without a secret": {
			env: map[string]string{"CAMSQ_CALLBACK_URL": "https://example.com/x"}, code: exit.CodeUsage,
			want: []string{`FAIL  receiver of default .*CAMSQ_CALLBACK_SECRET.*`},
		},
		"a receiver with a bad secret": {
			env: map[string]string{"CAMSQ_CALLBACK_URL": "https://example.com/x", "CAMSQ_CALLBACK_SECRET": "whsec_x"}, code: exit.CodeUsage,
			want: []string{`FAIL  receiver of default .*CAMSQ_CALLBACK_SECRET.*`},
		},
		"a receiver that is not asked": {
			env:  map[string]string{"CAMSQ_CALLBACK_URL": "https://hooks.example.com/x?token=t0p", "CAMSQ_CALLBACK_SECRET": secret},
			want: []string{`ok    receiver of default .*hooks\.example\.com may be sent to.*`},
		},
		"a receiver that is there": {
			env: map[string]string{"CAMSQ_CALLBACK_URL": "http://" + open, "CAMSQ_CALLBACK_SECRET": secret,
				"CAMSQ_CALLBACK_ALLOW_PRIVATE": "true"}, args: []string{"--send"},
			want: []string{`ok    receiver of default .*127\.0\.0\.1 takes connections.*`},
		},
		"a receiver that is away": {
			env: map[string]string{"CAMSQ_CALLBACK_URL": "http://" + closed, "CAMSQ_CALLBACK_SECRET": secret,
				"CAMSQ_CALLBACK_ALLOW_PRIVATE": "true"}, args: []string{"--send"}, code: exit.CodeUnreachable,
			want: []string{`FAIL  receiver of default .*cannot be connected to: .*`},
		},
		"a receiver that speaks no TLS": {
			env: map[string]string{"CAMSQ_CALLBACK_URL": "https://" + open, "CAMSQ_CALLBACK_SECRET": secret,
				"CAMSQ_CALLBACK_ALLOW_PRIVATE": "true"}, args: []string{"--send"}, code: exit.CodeUnreachable,
			want: []string{`FAIL  receiver of default .*cannot be connected to: tls: .*`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := startCloud(t, tt.cloud)
			if tt.fault != nil {
				cloud.Next("ListInstance", *tt.fault)
			}
			env := checkEnv(t, "redis://"+miniredis.RunT(t).Addr(), cloud)
			for name, value := range tt.env {
				env[name] = value
			}
			for _, name := range tt.unset {
				delete(env, name)
				t.Setenv(name, "")
			}
			code, text, errs := runCheck(t, env, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d, stderr %q", code, tt.code, errs)
			}
			if (errs != "") != (code != 0) || strings.Count(errs, "\n") > 1 {
				t.Errorf("stderr: %q", errs)
			}
			wantLines(t, text, tt.want...)
			if strings.Contains(text, "t0p") || strings.Contains(text, secret) || strings.Contains(text, camstest.KeySecret) {
				t.Errorf("it prints a secret:\n%s", text)
			}
		})
	}
}

func TestCheckFindsADataKeyThatOthersDoNotHave(t *testing.T) {
	mini := miniredis.RunT(t)
	env := checkEnv(t, "redis://"+mini.Addr(), startCloud(t, camstest.Config{}))
	// A look makes no key known: the second one, with another key, is as good.
	for range 2 {
		env["CAMSQ_DATA_KEY"] = enqueue.NewDataKey()
		if code, text, _ := runCheck(t, env); code != 0 {
			t.Fatalf("nothing is sealed yet, and the exit code is %d:\n%s", code, text)
		}
	}
	mini.HSet("camsq:format", "lowest", "2", "highest", "2")
	mini.SAdd("camsq:data-keys", "0123abcd")
	code, text, _ := runCheck(t, env)
	if code != exit.CodeUsage {
		t.Errorf("exit code %d", code)
	}
	wantLines(t, text, `FAIL  data key  .*give every producer and worker the same key.*`)
	delete(env, "CAMSQ_DATA_KEY")
	mini.FlushAll()
	_, text, _ = runCheck(t, env)
	wantLines(t, text, `ok    data key  .*data\.key; set CAMSQ_DATA_KEY to its content where other machines take part`)
}

func TestCheckAsJSONSaysTheSame(t *testing.T) {
	env := checkEnv(t, "redis://"+freeAddr(t), startCloud(t, camstest.Config{}))
	code, text, _ := runCheck(t, env, "--json")
	var got struct {
		OK     bool
		Checks []check.Result
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if code != exit.CodeUnreachable || got.OK {
		t.Errorf("exit code %d, ok %v", code, got.OK)
	}
	levels := map[string]string{}
	for _, f := range got.Checks {
		levels[strings.TrimSpace(f.Check+" "+f.Account)] = f.Level
	}
	if levels["redis"] != redisconn.LevelFail || levels["api default"] != redisconn.LevelOK {
		t.Errorf("checks: %v", levels)
	}
}
