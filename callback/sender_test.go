package callback_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/tasks"
)

func newSender(t *testing.T, config callback.Config) *callback.Sender {
	t.Helper()
	if config.Keys.Len() == 0 {
		config.Keys = mustParse(t, exampleSecret)
	}
	sender, err := callback.NewSender(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Close)
	return sender
}

func trust(server *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}

// readRequest reads the whole request: what is left unread would turn the close into a reset, and lose the answer.
func readRequest(conn net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// rawServer answers every connection with handle and then closes it.
func rawServer(t *testing.T, handle func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			handle(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

func TestNewSenderRefusesAConfigThatCannotWork(t *testing.T) {
	good := mustParse(t, exampleSecret)
	cases := []struct {
		name   string
		config callback.Config
		want   string
	}{
		{"no key", callback.Config{}, "no key to sign with"},
		{"a public key", callback.Config{Keys: mustParse(t, exampleSecret, examplePublic)}, "a whpk_ key can only verify"},
		{"no slots", callback.Config{Keys: good, PerHost: -1}, "PerHost is -1"},
		{"no time", callback.Config{Keys: good, Timeout: -time.Second}, "Timeout is -1s"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := callback.NewSender(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestAWebhookArrivesSignedByEveryKeyAndByteForByte(t *testing.T) {
	type request struct {
		method, path string
		header       http.Header
		body         string
		read         [3]error
	}
	arrivals := make(chan request, 1)
	receivers := []callback.Keyring{mustParse(t, exampleSecret), mustParse(t, examplePublic), mustParse(t, whsec(32))}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a := request{method: r.Method, path: r.URL.String(), header: r.Header, body: string(body)}
		for i, keys := range receivers {
			a.read[i] = callback.Verify(r.Header, body, time.Now(), keys)
		}
		arrivals <- a
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	sender := newSender(t, callback.Config{
		Keys: mustParse(t, exampleSecret, examplePrivate), AllowPrivate: true, RootCAs: trust(server), Version: "1.2.3",
	})

	got := sender.Send(t.Context(), server.URL+"/hook?token=1", "msg_1", []byte(createdBody))
	if got.Result != tasks.DeliveryDelivered || got.Status != 202 || got.Reason != tasks.ReasonOK || got.Took <= 0 {
		t.Fatalf("delivery = %+v", got)
	}
	a := <-arrivals
	if a.method != "POST" || a.path != "/hook?token=1" || a.body != createdBody {
		t.Errorf("arrived as %s %s %s", a.method, a.path, a.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "camsq/1.2.3", "Webhook-Id": "msg_1", "Cookie": "", "Authorization": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	if a.read[0] != nil || a.read[1] != nil {
		t.Errorf("the receivers' verdicts: %v", a.read)
	}
	if a.read[2] == nil {
		t.Error("a receiver with another key accepted it")
	}
}

func TestEveryStatusHasItsResult(t *testing.T) {
	var status atomic.Int32
	url := rawServer(t, func(conn net.Conn) {
		readRequest(conn)
		fmt.Fprintf(conn, "HTTP/1.1 %d Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status.Load())
	})
	sender := newSender(t, callback.Config{AllowPrivate: true})
	for code := 100; code <= 599; code++ {
		want := tasks.Delivery{Result: tasks.DeliveryRetry, Status: code}
		switch {
		case code == 101:
			want.Reason = tasks.ReasonOther
		case code < 200: // informational: the answer never came
			want.Reason, want.Status = tasks.ReasonConnection, 0
		case code < 300:
			want.Result, want.Reason = tasks.DeliveryDelivered, tasks.ReasonOK
		case code < 400:
			want.Reason = tasks.ReasonRedirect
		case code == 410:
			want.Result, want.Reason = tasks.DeliveryGone, tasks.ReasonGone
		case code == 429:
			want.Reason = tasks.ReasonRateLimited
		case code < 500:
			want.Reason = tasks.ReasonClientError
		default:
			want.Reason = tasks.ReasonServerError
		}
		status.Store(int32(code))
		got := sender.Send(t.Context(), url, "msg_1", []byte("{}"))
		if got.Result != want.Result || got.Status != want.Status || got.Reason != want.Reason || got.RetryAfter != 0 {
			t.Errorf("status %d: %+v, want %+v", code, got, want)
		}
	}
}

func TestEveryFailureHasItsReasonAndHidesTheURL(t *testing.T) {
	hang := make(chan struct{})
	slow := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	slow.Config.ErrorLog = log.New(io.Discard, "", 0) // it is told of a certificate that is not trusted
	slow.StartTLS()
	defer slow.Close()
	defer close(hang)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := "http://" + closed.Addr().String()
	_ = closed.Close()
	noNames := resolver(func(string) []string { return nil })
	talk := func(text string) string {
		return rawServer(t, func(conn net.Conn) {
			readRequest(conn)
			_, _ = io.WriteString(conn, text)
		})
	}

	const secret = "/s3cret?token=s3cret#s3cret"
	cases := []struct {
		name   string
		url    string
		config callback.Config
		id     string
		result tasks.DeliveryResult
		reason string
	}{
		{name: "nobody listens", url: refusing + secret, reason: tasks.ReasonConnection},
		{name: "hung up without an answer", url: talk("") + secret, reason: tasks.ReasonConnection},
		{name: "hung up within the answer", url: talk("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n") + secret, reason: tasks.ReasonConnection},
		{name: "an answer that repeats the secret and is not HTTP", url: talk("SSH-2.0 s3cret\r\n\r\n") + secret, reason: tasks.ReasonOther},
		{name: "no answer", url: slow.URL + secret, config: callback.Config{RootCAs: trust(slow), Timeout: 200 * time.Millisecond}, reason: tasks.ReasonTimeout},
		{name: "a certificate that nobody trusts", url: slow.URL + secret, reason: tasks.ReasonTLS},
		{name: "http spoken on the https port", url: strings.Replace(rawServer(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1))
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request s3cret\r\n\r\n")
		}), "http://", "https://", 1) + secret, reason: tasks.ReasonTLS},
		{name: "no such name", url: "https://hooks.example.com" + secret, config: callback.Config{Resolver: noNames}, reason: tasks.ReasonDNS},
		{name: "no URL", url: "s3cret", result: tasks.DeliveryRefused, reason: tasks.ReasonRefused},
		{name: "a password in the URL", url: "https://me:s3cret@hooks.example.com/", result: tasks.DeliveryRefused, reason: tasks.ReasonRefused},
		{name: "a webhook-id with a dot", url: refusing, id: "msg.1", result: tasks.DeliveryRefused, reason: tasks.ReasonRefused},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.config.AllowPrivate = true
			id := "msg_1"
			if c.id != "" {
				id = c.id
			}
			got := newSender(t, c.config).Send(t.Context(), c.url, id, []byte("{}"))
			if got.Result != c.result || got.Reason != c.reason || got.Status != 0 {
				t.Errorf("delivery = %+v, want %s, %s", got, c.result, c.reason)
			}
			if printed := fmt.Sprintf("%+v", got); strings.Contains(printed, "s3cret") || strings.ContainsAny(printed, "\r\n") {
				t.Errorf("the delivery tells more than the host: %s", printed)
			}
			if got.Detail == "" {
				t.Error("a failure without a detail")
			}
		})
	}
}

func TestASenderThatIsStoppedCostsNoTry(t *testing.T) {
	arrived := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // no answer, which could still arrive
	}))
	defer server.Close()
	sender := newSender(t, callback.Config{AllowPrivate: true, RootCAs: trust(server)})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-arrived
		stop()
	}()
	got := sender.Send(ctx, server.URL, "msg_1", []byte("{}"))
	if got.Result != tasks.DeliveryRetry || got.Reason != tasks.ReasonInterrupted || got.CostsTry() {
		t.Errorf("delivery = %+v", got)
	}
}

func TestAnAnswerWithoutEndDoesNotHoldTheSender(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 32<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	sender := newSender(t, callback.Config{AllowPrivate: true, RootCAs: trust(server), Timeout: time.Minute})
	got := sender.Send(t.Context(), server.URL, "msg_1", []byte("{}"))
	if got.Result != tasks.DeliveryDelivered {
		t.Errorf("delivery = %+v", got)
	}
}

// Only the address that is dialled counts, whatever the name said before.
func TestNoNameLeadsToAPrivateAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := &countingListener{Listener: l}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	defer server.Close()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	url := fmt.Sprintf("https://receiver.example:%d/hook", port)

	for name, address := range map[string]string{
		"loopback":                  "127.0.0.1",
		"loopback, another":         "127.0.0.2",
		"unspecified":               "0.0.0.0",
		"private":                   "10.0.0.1",
		"metadata of Alibaba Cloud": "100.100.100.200",
		"metadata of most clouds":   "169.254.169.254",
		"metadata of Azure":         "168.63.129.16",
	} {
		t.Run(name, func(t *testing.T) {
			sender := newSender(t, callback.Config{
				RootCAs: trust(server), Resolver: resolver(func(string) []string { return []string{address} }),
			})
			got := sender.Send(t.Context(), url, "msg_1", []byte("{}"))
			if got.Result != tasks.DeliveryRefused || got.Reason != tasks.ReasonRefused {
				t.Errorf("delivery = %+v, want it refused", got)
			}
		})
	}
	t.Run("a name that is public when it is checked and loopback when it is used", func(t *testing.T) {
		var lookups atomic.Int32
		rebinding := resolver(func(string) []string {
			if lookups.Add(1) <= 2 { // one for A, one for AAAA
				return []string{"93.184.216.34"}
			}
			return []string{"127.0.0.1"}
		})
		checked, err := rebinding.LookupNetIP(t.Context(), "ip4", "receiver.example")
		if err != nil || checked[0].String() != "93.184.216.34" {
			t.Fatalf("the check saw %v, %v", checked, err)
		}
		lookups.Store(2)
		got := newSender(t, callback.Config{RootCAs: trust(server), Resolver: rebinding}).Send(t.Context(), url, "msg_1", []byte("{}"))
		if got.Result != tasks.DeliveryRefused {
			t.Errorf("delivery = %+v, want it refused", got)
		}
	})
	if n := listener.accepted.Load(); n != 0 {
		t.Errorf("%d connections reached the private address", n)
	}

	t.Run("but it does when private receivers are allowed", func(t *testing.T) {
		sender := newSender(t, callback.Config{
			AllowPrivate: true, RootCAs: trust(server), Resolver: resolver(func(string) []string { return []string{"127.0.0.1"} }),
		})
		// The test server's certificate names example.com.
		got := sender.Send(t.Context(), strings.Replace(url, "receiver.example", "example.com", 1), "msg_1", []byte("{}"))
		if got.Result != tasks.DeliveryDelivered {
			t.Errorf("delivery = %+v, want it delivered", got)
		}
	})
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Int32
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer inner.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		outer := httptest.NewTLSServer(http.RedirectHandler(inner.URL, status))
		got := newSender(t, callback.Config{AllowPrivate: true, RootCAs: trust(outer)}).Send(t.Context(), outer.URL, "msg_1", []byte("{}"))
		outer.Close()
		if got.Result != tasks.DeliveryRetry || got.Reason != tasks.ReasonRedirect || got.Status != status {
			t.Errorf("status %d: delivery = %+v", status, got)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// net/http reads the environment once per process, so the promise is tried in a process of its own.
func TestAProxyFromTheEnvironmentIsNotUsed(t *testing.T) {
	const child = "CAMSQ_TEST_PROXY_CHILD"
	if os.Getenv(child) == "" {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
		const proxy = "http://proxy.example:3128"
		cmd.Env = append(os.Environ(), child+"=1", "NO_PROXY=", "no_proxy=",
			"HTTP_PROXY="+proxy, "http_proxy="+proxy, "HTTPS_PROXY="+proxy, "https_proxy="+proxy, "ALL_PROXY="+proxy)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("with a proxy in the environment: %v\n%s", err, out)
		}
		return
	}
	network := memoryNetwork{}
	network.serve(t, "receiver.example:80", func(http.ResponseWriter, *http.Request) {})
	sender := newSender(t, callback.Config{AllowPrivate: true})
	sender.DialWith(func(ctx context.Context, kind, address string) (net.Conn, error) {
		if address != "receiver.example:80" {
			t.Errorf("dialled %s", address)
		}
		return network.dial(ctx, kind, address)
	})
	if got := sender.Send(t.Context(), "http://receiver.example/", "msg_1", []byte("{}")); got.Result != tasks.DeliveryDelivered {
		t.Errorf("delivery = %+v", got)
	}
}
