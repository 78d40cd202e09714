// Package redisconn opens the Redis that CAMSQ_REDIS_URL names, judges Redis's
// errors, and says what of a Redis endangers the jobs.
//
// It never prints a password. The caller watches, shares and closes the client.
package redisconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options are the settings that the URL does not carry.
type Options struct {
	// ClientName is shown by CLIENT LIST. Defaults to "camsq"; the URL's
	// client_name goes before both.
	ClientName string

	// PoolSize bounds the connections to one Redis node. Defaults to what
	// go-redis takes, 10 for each CPU; the URL's pool_size goes before both.
	PoolSize int
}

// Open returns a client for rawURL without connecting. The forms are:
//
//	redis://[USER:PASSWORD@]HOST[:6379][/DB]                    one server
//	redis://[USER:PASSWORD@]HOST[:6379],HOST[:6379]…            cluster nodes, two or more
//	redis+cluster://[USER:PASSWORD@]HOST[:6379][,…]             cluster nodes, one or more
//	redis-sentinel://[USER:PASSWORD@]HOST[:26379][,…]/MASTER[/DB]
//	redis-sentinel://[USER:PASSWORD@]HOST[:26379][,…][/DB]?master=MASTER
//	unix://[USER:PASSWORD@]/PATH[?db=DB]                        one server
//
// rediss in the place of redis means TLS. USER and PASSWORD are those of the
// servers; a sentinel's own are sentinel_username and sentinel_password in the
// query. The other query options are those of [redis.ParseURL].
//
// The error is one line that begins with CAMSQ_REDIS_URL and says what is wrong
// and where. Of the URL it repeats at most query options, and none of these
// when a password is among them.
func Open(rawURL string, o Options) (redis.UniversalClient, error) {
	if strings.HasPrefix(rawURL, "unix://") {
		opt, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, problem("unix:// needs the path of a socket, and every @ : / ? # %% in a password percent-encoded")
		}
		o.fill(opt)
		return redis.NewClient(opt), nil
	}

	a, err := parseAddress(rawURL)
	if err != nil {
		return nil, err
	}
	opt, err := a.options()
	if err != nil {
		return nil, err
	}
	o.fill(opt)
	if a.kind == single {
		return redis.NewClient(opt), nil
	}
	u := universal(opt)
	u.Addrs = a.hosts
	u.IsClusterMode = a.kind == cluster
	u.MasterName = a.master
	u.SentinelUsername, u.SentinelPassword = a.sentinelUser, a.sentinelPassword
	if a.kind == cluster {
		return openCluster(u.Cluster()), nil
	}
	return redis.NewUniversalClient(u), nil
}

// Ping asks Redis for one answer, which is [Fine] for [AnswerOf] if it is ready. Of a
// cluster it is enough that one of the masters is: what the others have is away, and
// what this one has goes on.
func Ping(ctx context.Context, c redis.UniversalClient) error {
	nodes, ok := c.(*redis.ClusterClient)
	if !ok {
		return pinged(c.Ping(ctx).Err())
	}
	var mu sync.Mutex
	var worst error
	ready := false
	err := nodes.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		ctx, cancel := context.WithTimeout(ctx, AskTime)
		defer cancel()
		err := node.Ping(ctx).Err()
		mu.Lock()
		defer mu.Unlock()
		ready = ready || err == nil
		if AnswerOf(err) > AnswerOf(worst) {
			worst = err // an answer says more than none
		}
		return nil
	})
	if ready {
		return nil
	}
	return pinged(cmp.Or(worst, err))
}

func pinged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisconn: cannot reach Redis: %w", err)
}

// setClientName gives each connection a name for CLIENT LIST. That is decoration: a Redis
// that refuses it is used all the same. go-redis's own ClientName would give up the
// connection, and blame the command that wanted it.
func setClientName(name string) func(context.Context, *redis.Conn) error {
	return func(ctx context.Context, c *redis.Conn) error {
		err := c.ClientSetName(ctx, name).Err()
		if _, reply := errors.AsType[redis.Error](err); reply {
			return nil
		}
		return err
	}
}

func (o Options) fill(opt *redis.Options) {
	opt.OnConnect = setClientName(cmp.Or(opt.ClientName, o.ClientName, "camsq"))
	opt.ClientName = ""
	if opt.PoolSize == 0 {
		opt.PoolSize = o.PoolSize
	}
	// A lease's deadline must end a read that waits for a frozen Redis.
	opt.ContextTimeoutEnabled = true
	// Redis itself has no such notices. Asking costs each connection a round
	// trip, and makes opening, which should not, look up the host's name.
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

type kind int

const (
	single kind = iota
	cluster
	sentinel
)

// address is a URL taken to pieces. url.Parse refuses several hosts.
type address struct {
	kind     kind
	tls      bool
	userinfo string // as written, percent-encoded
	hosts    []string
	db       int
	master   string
	query    url.Values // what is left for redis.ParseURL

	sentinelUser, sentinelPassword string
	secretQuery                    bool // the query holds a password
}

func parseAddress(rawURL string) (address, error) {
	var a address
	scheme, rest, ok := strings.Cut(rawURL, "://")
	switch scheme {
	case "redis", "rediss":
	case "redis+cluster", "rediss+cluster":
		a.kind = cluster
	case "redis-sentinel", "rediss-sentinel":
		a.kind = sentinel
	default:
		ok = false
	}
	if !ok {
		return a, problem("it must begin with redis://, rediss://, redis+cluster://, redis-sentinel:// or unix://")
	}
	a.tls = strings.HasPrefix(scheme, "rediss")

	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	if strings.Contains(tail, "@") {
		// Most likely what follows is the end of a password: say nothing of it.
		return a, problem("there is an @ after the hosts; in a user name or password write / as %%2F, ? as %%3F, # as %%23, @ as %%40")
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		a.userinfo, authority = authority[:i], authority[i+1:]
	}
	path, query, _ := strings.Cut(tail, "?")
	if strings.Contains(tail, "#") {
		return a, problem("there is no use for a # part")
	}

	if err := a.setHosts(authority); err != nil {
		return a, err
	}
	if err := a.setQuery(query); err != nil {
		return a, err
	}
	return a, a.setPath(path)
}

func (a *address) setHosts(list string) error {
	port := "6379"
	if a.kind == sentinel {
		port = "26379"
	}
	for i, h := range strings.Split(list, ",") {
		u, err := url.Parse("//" + h)
		if err != nil || u.Hostname() == "" {
			return problem("host %d is not HOST or HOST:PORT", i+1)
		}
		p := u.Port()
		if p == "" {
			p = port
		}
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return problem("the port of host %d is not a number from 1 to 65535", i+1)
		}
		a.hosts = append(a.hosts, net.JoinHostPort(u.Hostname(), p))
	}
	if a.kind == single && len(a.hosts) > 1 {
		a.kind = cluster
	}
	return nil
}

func (a *address) setQuery(query string) error {
	q, err := url.ParseQuery(query)
	if err != nil {
		return problem("the part after ? is not name=value, joined by &")
	}
	a.query = q
	for name := range q {
		a.secretQuery = a.secretQuery || strings.Contains(name, "password")
	}
	if a.kind == sentinel {
		a.master = a.takeParam("master")
		a.sentinelUser = a.takeParam("sentinel_username")
		a.sentinelPassword = a.takeParam("sentinel_password")
	}
	if q.Has("db") {
		return a.setDB(a.takeParam("db"))
	}
	return nil
}

func (a *address) takeParam(name string) string {
	v := a.query.Get(name)
	a.query.Del(name)
	return v
}

func (a *address) setPath(path string) error {
	parts := slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
	if a.kind == sentinel && a.master == "" {
		if len(parts) == 0 {
			return problem("the master's name is missing: redis-sentinel://HOST,HOST/MASTER/DB")
		}
		name, err := url.PathUnescape(parts[0])
		if err != nil {
			return problem("the master's name is not percent-encoded")
		}
		a.master, parts = name, parts[1:]
	}
	switch len(parts) {
	case 0:
	case 1:
		if err := a.setDB(parts[0]); err != nil {
			return err
		}
	default:
		return problem("the path has more parts than a database number")
	}
	if a.kind == cluster && a.db != 0 {
		return problem("a cluster has database 0 alone")
	}
	return nil
}

func (a *address) setDB(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return problem("the database is not a number from 0 up")
	}
	a.db = n
	return nil
}

// options has go-redis read the user, the password and the query options, with
// the first host.
func (a *address) options() (*redis.Options, error) {
	scheme := "redis://"
	if a.tls {
		scheme = "rediss://"
	}
	if a.userinfo != "" {
		scheme += a.userinfo + "@"
	}
	base := scheme + a.hosts[0]
	if _, err := url.Parse(base); err != nil {
		return nil, problem("the user name or password holds a character that must be percent-encoded, such as %% as %%25")
	}
	opt, err := redis.ParseURL(base + "?" + a.query.Encode())
	if err != nil && a.secretQuery {
		// An & in the password begins what looks like an option.
		return nil, problem("the query has an unknown option or a bad value; in a password write & as %%26")
	}
	if err != nil {
		return nil, problem("query options: %s", strings.TrimPrefix(err.Error(), "redis: "))
	}
	opt.DB = a.db
	return opt, nil
}

// universal carries over each field that redis.ParseURL can set.
func universal(o *redis.Options) *redis.UniversalOptions {
	u := &redis.UniversalOptions{
		OnConnect:                o.OnConnect,
		DB:                       o.DB,
		Protocol:                 o.Protocol,
		Username:                 o.Username,
		Password:                 o.Password,
		MaxRetries:               o.MaxRetries,
		MinRetryBackoff:          o.MinRetryBackoff,
		MaxRetryBackoff:          o.MaxRetryBackoff,
		DialTimeout:              o.DialTimeout,
		ReadTimeout:              o.ReadTimeout,
		WriteTimeout:             o.WriteTimeout,
		ContextTimeoutEnabled:    o.ContextTimeoutEnabled,
		PoolFIFO:                 o.PoolFIFO,
		PoolSize:                 o.PoolSize,
		PoolTimeout:              o.PoolTimeout,
		MinIdleConns:             o.MinIdleConns,
		MaxIdleConns:             o.MaxIdleConns,
		MaxActiveConns:           o.MaxActiveConns,
		MaxConcurrentDials:       o.MaxConcurrentDials,
		PipelinePoolSize:         o.PipelinePoolSize,
		PipelineReadBufferSize:   o.PipelineReadBufferSize,
		PipelineWriteBufferSize:  o.PipelineWriteBufferSize,
		ConnMaxIdleTime:          o.ConnMaxIdleTime,
		ConnMaxLifetime:          o.ConnMaxLifetime,
		ConnMaxLifetimeJitter:    o.ConnMaxLifetimeJitter,
		MaintNotificationsConfig: o.MaintNotificationsConfig,
	}
	if o.TLSConfig != nil {
		// Without a ServerName each node is asked for its own.
		u.TLSConfig = &tls.Config{
			MinVersion:         o.TLSConfig.MinVersion,
			InsecureSkipVerify: o.TLSConfig.InsecureSkipVerify, //nolint:gosec // the URL's skip_verify says so
		}
	}
	return u
}

func problem(format string, args ...any) error {
	return errors.New("CAMSQ_REDIS_URL: " + fmt.Sprintf(format, args...))
}
