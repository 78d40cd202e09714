package redisconn_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/internal/redistest"
)

// opened is what a URL came to, whatever kind of client it is.
type opened struct {
	Kind       string
	Addrs      []string
	User, Pass string
	DB         int
	TLS        string // "" or "verify NAME" or "skip NAME"
	Pool       int
	Read       time.Duration
}

func look(t *testing.T, c redis.UniversalClient) opened {
	t.Helper()
	switch c := c.(type) {
	case *redis.ClusterClient:
		o := c.Options()
		got := opened{Kind: "cluster", Addrs: o.Addrs, User: o.Username, Pass: o.Password, Pool: o.PoolSize, Read: o.ReadTimeout}
		if o.TLSConfig != nil {
			got.TLS = "verify " + o.TLSConfig.ServerName
		}
		return got
	case *redis.Client:
		o := c.Options()
		got := opened{Kind: "single", Addrs: []string{o.Addr}, User: o.Username, Pass: o.Password, DB: o.DB, Pool: o.PoolSize, Read: o.ReadTimeout}
		if o.Addr == "FailoverClient" {
			got.Kind, got.Addrs = "sentinel", nil
		}
		if o.TLSConfig != nil {
			got.TLS = "verify " + o.TLSConfig.ServerName
			if o.TLSConfig.InsecureSkipVerify {
				got.TLS = "skip " + o.TLSConfig.ServerName
			}
		}
		return got
	}
	t.Fatalf("a client of type %T", c)
	return opened{}
}

func TestOpenUnderstandsEachForm(t *testing.T) {
	t.Parallel()
	const read = 5 * time.Second
	tests := []struct {
		name, url string
		want      opened
	}{
		{"plain", "redis://127.0.0.1:6379/0",
			opened{Kind: "single", Addrs: []string{"127.0.0.1:6379"}, Pool: 7, Read: read}},
		{"port and database by default", "redis://redis",
			opened{Kind: "single", Addrs: []string{"redis:6379"}, Pool: 7, Read: read}},
		{"the user name is kept", "redis://worker:s%40c%2Fret@redis:6380/3",
			opened{Kind: "single", Addrs: []string{"redis:6380"}, User: "worker", Pass: "s@c/ret", DB: 3, Pool: 7, Read: read}},
		{"password alone", "redis://:secret@redis",
			opened{Kind: "single", Addrs: []string{"redis:6379"}, Pass: "secret", Pool: 7, Read: read}},
		{"TLS", "rediss://redis.example.com",
			opened{Kind: "single", Addrs: []string{"redis.example.com:6379"}, TLS: "verify redis.example.com", Pool: 7, Read: read}},
		{"TLS unverified", "rediss://redis.example.com?skip_verify=true",
			opened{Kind: "single", Addrs: []string{"redis.example.com:6379"}, TLS: "skip redis.example.com", Pool: 7, Read: read}},
		{"IPv6", "redis://[::1]:6380/1",
			opened{Kind: "single", Addrs: []string{"[::1]:6380"}, DB: 1, Pool: 7, Read: read}},
		{"options in the query", "redis://redis?db=2&pool_size=3&read_timeout=9s",
			opened{Kind: "single", Addrs: []string{"redis:6379"}, DB: 2, Pool: 3, Read: 9 * time.Second}},
		{"socket", "unix://u:p@/run/redis.sock?db=4",
			opened{Kind: "single", Addrs: []string{"/run/redis.sock"}, User: "u", Pass: "p", DB: 4, Pool: 7, Read: read}},
		{"cluster by several hosts", "redis://u:p@a:7000,b,[::1]:7002",
			opened{Kind: "cluster", Addrs: []string{"a:7000", "b:6379", "[::1]:7002"}, User: "u", Pass: "p", Pool: 7, Read: read}},
		{"cluster by scheme", "redis+cluster://a:7000/0?read_timeout=9s",
			opened{Kind: "cluster", Addrs: []string{"a:7000"}, Pool: 7, Read: 9 * time.Second}},
		{"cluster with TLS asks each node for its own name", "rediss+cluster://a,b",
			opened{Kind: "cluster", Addrs: []string{"a:6379", "b:6379"}, TLS: "verify ", Pool: 7, Read: read}},
		{"sentinel", "redis-sentinel://u:p@h1:26379,h2/mymaster/5",
			opened{Kind: "sentinel", User: "u", Pass: "p", DB: 5, Pool: 7, Read: read}},
		{"sentinel with master in the query", "rediss-sentinel://h1,h2/5?master=my/master&sentinel_password=x",
			opened{Kind: "sentinel", DB: 5, TLS: "verify ", Pool: 7, Read: read}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := redisconn.Open(tt.url, redisconn.Options{PoolSize: 7})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if diff := cmp.Diff(tt.want, look(t, c)); diff != "" {
				t.Errorf("Open(%q) (-want +got):\n%s", tt.url, diff)
			}
		})
	}
}

func TestOpenSaysWhatIsWrongAndNeverThePassword(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, url, want string }{
		{"empty", "", "it must begin with redis://, rediss://, redis+cluster://, redis-sentinel:// or unix://"},
		{"no scheme", "user:hunter2@redis:6379", "it must begin with redis://, rediss://, redis+cluster://, redis-sentinel:// or unix://"},
		{"other scheme", "http://user:hunter2@redis", "it must begin with redis://, rediss://, redis+cluster://, redis-sentinel:// or unix://"},
		{"no host", "redis://", "host 1 is not HOST or HOST:PORT"},
		{"empty second host", "redis://u:hunter2@a,", "host 2 is not HOST or HOST:PORT"},
		{"port out of range", "redis://u:hunter2@a,b:65536", "the port of host 2 is not a number from 1 to 65535"},
		{"port no number", "redis://u:hunter2@a:b", "host 1 is not HOST or HOST:PORT"},
		{"database no number", "redis://u:hunter2@a/x", "the database is not a number from 0 up"},
		{"database negative", "redis://u:hunter2@a?db=-1", "the database is not a number from 0 up"},
		{"path too long", "redis://u:hunter2@a/1/2", "the path has more parts than a database number"},
		{"slash in the password", "redis://u:hunter2/x@a", "there is an @ after the hosts; in a user name or password write / as %2F, ? as %3F, # as %23, @ as %40"},
		{"question mark in the password", "redis://u:hunter2?x@a", "there is an @ after the hosts; in a user name or password write / as %2F, ? as %3F, # as %23, @ as %40"},
		{"hash in the password", "redis://u:hunter2#x@a", "there is an @ after the hosts; in a user name or password write / as %2F, ? as %3F, # as %23, @ as %40"},
		{"bad escape in the password", "redis://u:hunter2%zz@a", "the user name or password holds a character that must be percent-encoded, such as % as %25"},
		{"space in the password", "redis://u:hunter2 x@a", "the user name or password holds a character that must be percent-encoded, such as % as %25"},
		{"fragment", "redis://u:hunter2@a#mymaster", "there is no use for a # part"},
		{"unknown option", "redis://u:hunter2@a?poolsize=3", "query options: unexpected option: poolsize"},
		{"bad option", "redis://u:hunter2@a?pool_size=x", `query options: invalid pool_size number: strconv.Atoi: parsing "x": invalid syntax`},
		{"cluster with a database", "redis://u:hunter2@a,b/1", "a cluster has database 0 alone"},
		{"sentinel without a master", "redis-sentinel://u:hunter2@a,b", "the master's name is missing: redis-sentinel://HOST,HOST/MASTER/DB"},
		{"ampersand in a sentinel's password", "redis-sentinel://a/m?sentinel_password=x&hunter2", "the query has an unknown option or a bad value; in a password write & as %26"},
		{"socket without a path", "unix://u:hunter2@", "unix:// needs the path of a socket, and every @ : / ? # % in a password percent-encoded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := redisconn.Open(tt.url, redisconn.Options{})
			if err == nil {
				c.Close()
				t.Fatalf("Open(%q): no error", tt.url)
			}
			if got, want := err.Error(), "CAMSQ_REDIS_URL: "+tt.want; got != want {
				t.Errorf("Open(%q):\n got %s\nwant %s", tt.url, got, want)
			}
		})
	}
}

func FuzzOpenKeepsThePasswordSecret(f *testing.F) {
	forms := []string{
		"redis://u:PASSWORD@h/0", "rediss://:PASSWORD@h", "redis://u:PASSWORD@a,b", "unix://u:PASSWORD@/run/x",
		"redis-sentinel://h/m?sentinel_password=PASSWORD", "redis-sentinel://h/m?sentinel_password=PASSWORD&pool_size=x", "redis://h?password=PASSWORD",
	}
	for i := range forms {
		for _, around := range []string{"", "/", "?", "#", "@", "&", ":", "%zz", ";", " ", "&db="} {
			f.Add(i, around, "")
			f.Add(i, "", around)
		}
	}
	f.Fuzz(func(t *testing.T, form int, head, tail string) {
		const secret = "hunter2secret"
		if form < 0 || form >= len(forms) {
			t.Skip("no such form")
		}
		url := strings.ReplaceAll(forms[form], "PASSWORD", head+secret+tail)
		c, err := redisconn.Open(url, redisconn.Options{})
		if err == nil {
			c.Close()
			return
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("Open(%q) tells the password: %v", url, err)
		}
	})
}

func TestOpenReachesAServerWithAUserName(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--user", "worker", "on", ">s3cret", "~*", "&*", "+@all")
	open := func(userinfo string) redis.UniversalClient {
		c, err := redisconn.Open("redis://"+userinfo+s.Addr(), redisconn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := open("worker:s3cret@")
	if err := redisconn.Ping(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if who, err := c.Do(t.Context(), "ACL", "WHOAMI").Text(); err != nil || who != "worker" {
		t.Errorf("ACL WHOAMI: %q, %v; want worker", who, err)
	}
	if name, err := c.ClientGetName(t.Context()).Result(); err != nil || name != "camsq" {
		t.Errorf("CLIENT GETNAME: %q, %v; want camsq", name, err)
	}
	err := redisconn.Ping(t.Context(), open("worker:wrong@"))
	if got := redisconn.Told(err); redisconn.AnswerOf(err) != redisconn.Refusal || got != "refuses: the user name or the password is wrong" {
		t.Errorf("Ping with a wrong password: %v, told as %q", err, got)
	}
	s.Kill()
	if err := redisconn.Ping(t.Context(), c); redisconn.AnswerOf(err) != redisconn.Silence {
		t.Errorf("Ping of a killed server: %v, want silence", err)
	}
}

// A connection's name is decoration; the database is not.
func TestOnlyWhatIsNeededOfAConnectionMayBeRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--user", "worker", "on", ">s3cret", "~*", "&*", "+@all", "-client|setname", "-select")
	for db, want := range map[string]string{"0": "", "1": "refuses: this user may not send SELECT"} {
		c, err := redisconn.Open("redis://worker:s3cret@"+s.Addr()+"/"+db, redisconn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		err = redisconn.Ping(t.Context(), c)
		if want == "" && err != nil {
			t.Errorf("database %s: %v", db, err)
		}
		if want != "" && (redisconn.AnswerOf(err) != redisconn.Refusal || redisconn.Told(err) != want) {
			t.Errorf("database %s: %v, told as %q, want %q", db, err, redisconn.Told(err), want)
		}
	}
}
