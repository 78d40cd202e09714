package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/redistest"
)

// lockedOutput takes what several goroutines write.
type lockedOutput struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *lockedOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *lockedOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// answering is a Redis that answers some commands as answer says, and the environment
// of a program that uses it. The answer is an error's text, or "".
func answering(t *testing.T, answer func(cmd string, args []string) string) (env []string) {
	t.Helper()
	mini := miniredis.RunT(t)
	mini.Server().SetPreHook(func(p *miniserver.Peer, cmd string, args ...string) bool {
		text := answer(strings.ToUpper(cmd), args)
		if text != "" {
			p.WriteError(text)
		}
		return text != ""
	})
	cloud := startCloud(t, camstest.Config{})
	return []string{
		"CAMSQ_REDIS_URL=redis://" + mini.Addr(), "CAMSQ_DATA_KEY=" + enqueue.NewDataKey(), "CAMSQ_ENDPOINT=" + cloud.URL(),
		"CAMSQ_LISTEN=127.0.0.1:0", "ALIBABA_CLOUD_ACCESS_KEY_ID=" + camstest.KeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + camstest.KeySecret,
	}
}

// refuse refuses one command.
func refuse(which, text string) func(string, []string) string {
	return func(cmd string, _ []string) string {
		if cmd == which {
			return text
		}
		return ""
	}
}

// Commands, worker and check tell three things apart: a Redis that says nothing, one
// that is not ready, and one that refuses; a refusal names what was refused.
func TestWhatRedisRefusesIsSaidAndEndsWithExitCode2(t *testing.T) {
	const badLua = "ERR bad lua script for redis cluster, all the keys that the script uses should be passed using the KEYS array, and KEYS should not be in expression"
	onEval := func(text string) func(string, []string) string {
		return func(cmd string, _ []string) string {
			switch {
			case cmd == "EVALSHA" && strings.HasPrefix(text, "ERR bad"):
				return "NOSCRIPT No matching script. Please use EVAL."
			case cmd == "EVAL" || cmd == "EVALSHA":
				return strings.ReplaceAll(text, "CMD", strings.ToLower(cmd))
			}
			return ""
		}
	}
	for name, tt := range map[string]struct {
		answer func(string, []string) string
		says   string
		reads  bool // what only reads is not refused
	}{
		"wrong password":     {refuse("PING", "WRONGPASS invalid username-password pair or user is disabled."), `refuses: the user name or the password is wrong`, false},
		"no password":        {refuse("PING", "NOAUTH Authentication required."), `refuses: it wants a password, and CAMSQ_REDIS_URL has none`, false},
		"no right":           {refuse("SMEMBERS", "NOPERM User ana has no permissions to run the 'smembers' command"), `refuses: this user may not send SMEMBERS`, false},
		"no scripts":         {onEval("NOPERM User ana has no permissions to run the 'CMD' command"), `refuses: this user may not send EVAL`, true},
		"scripts are absent": {onEval("ERR unknown command 'CMD', with args beginning with: 'ana@example.com'"), `refuses: it does not have the command EVAL`, true},
		"the vendor's check": {onEval(badLua), `refuses: .*ERR bad lua script for redis cluster.*set script_check_enable to 0`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := answering(t, tt.answer)
			commands := [][]string{{"check"}, {"enqueue", "-"}, {"worker"}}
			if !tt.reads {
				commands = append(commands, []string{"status"})
			}
			for _, args := range commands {
				var code int
				var text string
				if args[0] == "worker" { // whose credentials are the process's own
					p := camsq(t, env, args...)
					code, text = p.exit(time.Minute), p.output()
				} else {
					out := new(lockedOutput)
					code = Run(t.Context(), args, env, strings.NewReader("ChannelType,InstanceName\nVIBER,one\n"), out, out)
					text = out.String()
				}
				if code != exit.CodeUsage || !regexp.MustCompile(tt.says).MatchString(text) || strings.Contains(text, "start it") || strings.Contains(text, "example.com") {
					t.Errorf("camsq %q: exit code %d, want 2 and %q\n%s", args, code, tt.says, text)
				}
			}
		})
	}
}

func TestARedisThatIsNotReadyIsWaitedFor(t *testing.T) {
	t.Parallel()
	var loading atomic.Int64
	loading.Store(10) // go-redis tries each command four times
	env := answering(t, func(cmd string, _ []string) string {
		if cmd == "PING" && loading.Add(-1) >= 0 {
			return "LOADING Redis is loading the dataset in memory"
		}
		return ""
	})
	out := new(lockedOutput)
	if code := Run(t.Context(), []string{"enqueue", "-"}, env, strings.NewReader("ChannelType,InstanceName\nVIBER,one\n"), out, out); code != exit.CodeOK {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if text := out.String(); strings.Count(text, "answers, and is not ready: LOADING") != 1 || strings.Contains(text, "start it") {
		t.Errorf("it does not say once what it waits for:\n%s", text)
	}
}

func TestACertificateThatIsNotTrustedIsAnAnswer(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	env := []string{"CAMSQ_REDIS_URL=rediss://" + m.Addr(), "CAMSQ_DATA_KEY=" + enqueue.NewDataKey(), "CAMSQ_ENDPOINT=" + startCloud(t, camstest.Config{}).URL()}
	for _, args := range [][]string{{"status"}, {"check"}} {
		out := new(lockedOutput)
		if code := Run(t.Context(), args, env, nil, out, out); code != exit.CodeUsage || !strings.Contains(out.String(), "answers with a certificate that is not trusted") ||
			strings.Contains(out.String(), "start it") {
			t.Errorf("camsq %q: exit code %d\n%s", args, code, out)
		}
	}
}

func TestCheckWarnsOfAFailoverThatLosesWritesAndOfAFullRedis(t *testing.T) {
	master := redistest.Start(t, "--appendonly", "yes", "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(master.Addr(), ":")
	redistest.Start(t, "--replicaof", host, port)
	c := master.Client()
	// The master counts a replica as good from its first acknowledgement on, and only while it asks for one.
	if err := c.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica follows", func() bool {
		return strings.Contains(c.Info(t.Context(), "replication").Val(), "min_slaves_good_slaves:1")
	})
	env := checkEnv(t, master.URL(), startCloud(t, camstest.Config{}))
	for _, tt := range []struct {
		name, value, want string
		code              int
	}{
		{"min-replicas-to-write", "0", `warn  redis failover .* has 1 replica and min-replicas-to-write 0: a failover may lose writes.*`, exit.CodeOK},
		{"min-replicas-to-write", "1", `ok    redis failover .* min-replicas-to-write 1: .*`, exit.CodeOK},
		{"maxmemory", "1gb", `ok    redis memory .* of its 1024 MB`, exit.CodeOK},
		{"maxmemory", "1mb", `FAIL  redis memory .* is full: it uses \d+ of its 1 MB, and no job can be taken or recorded .*`, exit.CodeUnreachable},
	} {
		if err := c.ConfigSet(t.Context(), tt.name, tt.value).Err(); err != nil {
			t.Fatal(err)
		}
		code, text, _ := runCheck(t, env)
		if code != tt.code {
			t.Errorf("%s %s: exit code %d, want %d", tt.name, tt.value, code, tt.code)
		}
		wantLines(t, text, tt.want)
	}
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	out := new(lockedOutput)
	if code := Run(t.Context(), []string{"status"}, list, nil, out, out); code != exit.CodeOK || !strings.Contains(out.String(), "Redis is full: it uses") {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
}

// Valkey says as redis_version what it is compatible with.
func TestCheckTellsTheProductAndItsMode(t *testing.T) {
	for info, want := range map[string]string{
		"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\nserver_mode:standalone\r\n": `ok    redis  .* answers in .*, version 8\.0\.1 of Valkey, standalone`,
		"redis_version:7.0.15\r\nredis_mode:standalone\r\n":                                               `ok    redis  .* answers in .*, version 7\.0\.15 of Redis, standalone`,
		"redis_version:7.0.15\r\nredis_mode:sentinel\r\n":                                                 `FAIL  redis  .* is a Sentinel, which keeps no jobs → set CAMSQ_REDIS_URL to redis-sentinel://.*/MASTER`,
	} {
		mini := miniredis.RunT(t)
		mini.Server().SetPreHook(func(p *miniserver.Peer, cmd string, args ...string) bool {
			if !strings.EqualFold(cmd, "INFO") {
				return false
			}
			text := ""
			if len(args) > 0 && args[0] == "server" {
				text = info
			}
			p.WriteBulk(text)
			return true
		})
		_, text, _ := runCheck(t, checkEnv(t, "redis://"+mini.Addr(), startCloud(t, camstest.Config{})))
		if !regexp.MustCompile(want).MatchString(strings.ReplaceAll(text, "\n", "  \n")) {
			t.Errorf("no line matches %q:\n%s", want, text)
		}
	}
}
