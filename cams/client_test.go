package cams_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	mail    = "someone+private@example.com"
	address = "1 Hidden Street/Singapore"
)

var request = cams.CreateInstanceRequest{
	ChannelType: "VIBER", InstanceName: "viber ins*~/é", InstanceDescription: "ins",
	ContactMail: mail, OfficeAddress: address, CountryID: "65", IsvTerms: "https://a.com/1.pdf", IsConfirmAudit: "Y",
}

// newServer is a server that the test's end closes, and that no client may have offended.
func newServer(t *testing.T, c camstest.Config) *camstest.Server {
	t.Helper()
	s := camstest.New(c)
	t.Cleanup(func() {
		s.Close()
		for _, v := range s.Violations() {
			t.Errorf("violation: %s", v)
		}
		if t.Failed() {
			t.Logf("seed %d", s.Seed())
		}
	})
	return s
}

func newClient(t *testing.T, c cams.Config) *cams.Client {
	t.Helper()
	client, err := cams.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func asError(t *testing.T, err error) *cams.Error {
	t.Helper()
	e, ok := err.(*cams.Error) // not errors.As: it is the type of the error, and not one inside it
	if !ok {
		t.Fatalf("got a %T (%v), want a *cams.Error", err, err)
	}
	return e
}

func TestCreateInstanceReadsASuccessInAnyShape(t *testing.T) {
	s := newServer(t, camstest.Config{Latency: -1})
	client := newClient(t, s.ClientConfig(""))
	for i := range 300 {
		r := request
		r.InstanceName = fmt.Sprintf("name %d", i)
		got, err := client.CreateInstance(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		want := s.Instances()[i]
		if got.RequestID == "" {
			t.Fatal("the request ID of a success is lost")
		}
		want.RequestID = got.RequestID
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	}
}

func TestTheWireForm(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"Code":"OK","Data":{"InstanceId":"1"}}`)
	}))
	defer s.Close()
	credentials := cams.Credentials{AccessKeyID: "id", AccessKeySecret: "secret", SecurityToken: "token"}
	client := newClient(t, cams.Config{Endpoint: s.URL, Credentials: cams.StaticCredentials(credentials)})
	if _, err := client.CreateInstance(t.Context(), request); err != nil {
		t.Fatal(err)
	}

	if got.Method != "POST" || len(body) != 0 || got.ContentLength != 0 {
		t.Errorf("got %s with %d bytes, want POST with none", got.Method, got.ContentLength)
	}
	want := "/?ChannelType=VIBER&ContactMail=someone%2Bprivate%40example.com&CountryId=65&InstanceDescription=ins" +
		"&InstanceName=viber%20ins%2A~%2F%C3%A9&IsConfirmAudit=Y&IsvTerms=https%3A%2F%2Fa.com%2F1.pdf&OfficeAddress=1%20Hidden%20Street%2FSingapore"
	if got.RequestURI != want {
		t.Errorf("request line:\n got %s\nwant %s", got.RequestURI, want)
	}
	if signature := cams.Authorization(got, credentials); got.Header.Get("Authorization") != signature {
		t.Errorf("Authorization: got %s, want %s", got.Header.Get("Authorization"), signature)
	}
	for name, want := range map[string]string{
		"Accept": "application/json", "X-Acs-Action": "CreateInstance", "X-Acs-Version": "2020-06-06",
		"X-Acs-Accesskey-Id": "id", "X-Acs-Security-Token": "token", "Content-Type": "", "Accept-Encoding": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.Header.Get(name), want)
		}
	}
	for name := range got.Header {
		if strings.Contains(name, "Idempotency") {
			t.Errorf("the header %s makes net/http repeat the request", name)
		}
	}
}

// A server that reads a request and hangs up without an answer, on a kept-alive
// connection. net/http repeats a GET there, and a POST with an Idempotency-Key.
func TestALostAnswerOnAReusedConnectionIsNotRepeated(t *testing.T) {
	var creates, connections atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer l.Close()
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			serving.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if r.Header.Get("x-acs-action") == "CreateInstance" {
						creates.Add(1)
						return
					}
					body := `{"Code":"OK","Data":[]}`
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				}
			})
		}
	})

	client := newClient(t, cams.Config{
		Endpoint:    "http://" + l.Addr().String(),
		Credentials: cams.StaticCredentials(cams.Credentials{AccessKeyID: "id", AccessKeySecret: "secret"}),
	})
	if _, err := client.ListInstances(t.Context(), cams.ListInstancesRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateInstance(t.Context(), request)
	e := asError(t, err)
	if !e.Sent || e.Status != 0 || e.Err == nil {
		t.Errorf("got %+v, want sent and no answer", e)
	}
	if creates.Load() != 1 || connections.Load() != 1 {
		t.Errorf("got %d creates on %d connections, want 1 on the one that was there", creates.Load(), connections.Load())
	}
}

// want is what an error must say of a reply. A text is one that Err must contain.
type want struct {
	status              int
	code, message       string
	instanceID, because string
	retryAfter          time.Duration
	success             bool
}

func TestEveryReplyIsStatedAsItIs(t *testing.T) {
	wants := map[camstest.Reply]want{
		camstest.ReplyOK:            {success: true},
		camstest.ReplyReset:         {because: "EOF"},
		camstest.ReplyHang:          {because: "deadline exceeded"},
		camstest.Reply500:           {status: 500, code: "InternalError", message: "unknown error"},
		camstest.Reply502Empty:      {status: 502, because: "body is empty"},
		camstest.Reply503:           {status: 503, code: "ServiceUnavailable", message: "temporary failure"},
		camstest.Reply503HTML:       {status: 503, because: "not a JSON object"},
		camstest.ReplyGarbage:       {status: 200, because: "not a JSON object"},
		camstest.ReplyEmpty:         {status: 200, because: "body is empty"},
		camstest.ReplyTruncated:     {status: 200, because: "EOF"},
		camstest.ReplyOversized:     {status: 200, because: "over 1 MiB"},
		camstest.ReplyThrottled:     {status: 400, code: "Throttling.User", message: "flow control", retryAfter: time.Second},
		camstest.ReplyForbidden:     {status: 403, code: "NoPermission", message: "not authorized"},
		camstest.ReplyXML:           {status: 400, code: "InvalidParameter", message: "not valid"},
		camstest.ReplyRedirect:      {status: 307, because: "body is empty"},
		camstest.ReplyRejected:      {status: 200, code: "InvalidParameter.ChannelTypeNotSupport", message: "not supported"},
		camstest.ReplyBusy:          {status: 200, code: "SystemBusy", message: "busy"},
		camstest.ReplyNoInstanceID:  {status: 200, code: "OK", because: "no InstanceId"},
		camstest.ReplyContradiction: {status: 200, code: "InternalError", instanceID: "the instance's"},
		camstest.ReplyError:         {status: 418, code: "Teapot.Short", message: "I am a teapot"},
		camstest.ReplyBusiness:      {status: 200, code: "Teapot.Short", message: "I am a teapot"},
		camstest.ReplyPage:          {status: 418, because: "not a JSON object"},
		camstest.ReplyEndless:       {success: true}, // of lists only
	}
	for _, reply := range camstest.Replies() {
		w, ok := wants[reply]
		if !ok {
			t.Fatalf("no expectation for the reply %v", reply)
		}
		for _, created := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, created %v", reply, created), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer(t, camstest.Config{})
					client := newClient(t, s.ClientConfig(""))
					s.FailName(request.InstanceName, camstest.Fault{Created: created, Reply: reply, Status: 418, Code: "Teapot.Short", Message: "I am a teapot", Body: "<html>tea</html>"})
					ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
					defer cancel()
					instance, err := client.CreateInstance(ctx, request)

					wantCreated := 0
					if created || w.success {
						wantCreated = 1
					}
					if got := s.Created(request.InstanceName); got != wantCreated {
						t.Errorf("created %d, want %d", got, wantCreated)
					}
					if s.Calls("CreateInstance") != 1 {
						t.Errorf("%d calls, want 1", s.Calls("CreateInstance"))
					}
					if w.success {
						if err != nil || instance.InstanceID == "" {
							t.Errorf("got %+v, %v", instance, err)
						}
						return
					}
					e := asError(t, err)
					if e.Op != "CreateInstance" || !e.Sent || e.Status != w.status || e.Code != w.code || e.RetryAfter != w.retryAfter ||
						!strings.Contains(e.Message, w.message) || (e.Err == nil) != (w.because == "") || e.Err != nil && !strings.Contains(e.Err.Error(), w.because) {
						t.Errorf("got %+v\nwant %+v", e, w)
					}
					if (e.InstanceID != "") != (w.instanceID != "") || created && e.InstanceID != "" && e.InstanceID != s.Instances()[0].InstanceID {
						t.Errorf("InstanceID: got %q", e.InstanceID)
					}
					if e.Status != 0 && !e.ServerTime.Equal(time.Now().Truncate(time.Second)) {
						t.Errorf("ServerTime: got %v, want %v", e.ServerTime, time.Now())
					}
					if e.Code != "" && e.RequestID == "" {
						t.Error("no RequestID")
					}
					if reply == camstest.ReplyForbidden && e.Denied != "ImplicitDeny cams:CreateInstance" {
						t.Errorf("Denied: got %q", e.Denied)
					}
					leaksNothing(t, err)
				})
			})
		}
	}
}

// leaksNothing prints an error in all ways and looks for what must not be there.
func leaksNothing(t *testing.T, err error) {
	t.Helper()
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Error("call", "err", err)
	slog.New(slog.NewJSONHandler(&log, nil)).Error("call", "err", err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintf(&log, "%v %+v %#v %q\n", e, e, e, e)
	}
	text := log.String()
	for _, private := range []string{mail, address, camstest.KeySecret, "private-token"} {
		for _, form := range []string{private, url.QueryEscape(private), url.PathEscape(private)} {
			if strings.Contains(text, form) {
				t.Errorf("%q is in the error:\n%s", form, text)
			}
		}
	}
}

func TestAServerThatRepeatsPersonalDataIsRedacted(t *testing.T) {
	s := camstest.New(camstest.Config{Keys: map[string]string{"id": "another secret"}, Tokens: map[string]string{"id": "private-token"}})
	defer s.Close()
	config := s.ClientConfig("")
	config.Credentials = cams.StaticCredentials(cams.Credentials{AccessKeyID: "id", AccessKeySecret: camstest.KeySecret, SecurityToken: "private-token"})
	_, err := newClient(t, config).CreateInstance(t.Context(), request)
	e := asError(t, err)
	if e.Code != "SignatureDoesNotMatch" || !strings.Contains(e.Message, "ContactMail=REDACTED") {
		t.Errorf("got %+v", e)
	}
	leaksNothing(t, err)

	s = camstest.New(camstest.Config{})
	defer s.Close()
	s.Next("CreateInstance", camstest.Fault{Reply: camstest.ReplyError, Status: 400, Code: "InvalidParameter",
		Message: "bad mail " + mail + ", sent as " + url.QueryEscape(url.QueryEscape(mail)) + "\nat " + address + strings.Repeat(" é", 600)})
	_, err = newClient(t, s.ClientConfig("")).CreateInstance(t.Context(), request)
	e = asError(t, err)
	if len(e.Message) > 512 || strings.Contains(e.Message, "\n") || !strings.Contains(e.Message, "bad mail REDACTED, sent as REDACTED") {
		t.Errorf("got %q", e.Message)
	}
	leaksNothing(t, err)
}

func TestAStatusLineThatRepeatsPersonalDataIsRedacted(t *testing.T) {
	client := newClient(t, cams.Config{
		Endpoint:    "http://127.0.0.1",
		Credentials: cams.StaticCredentials(cams.Credentials{AccessKeyID: "id", AccessKeySecret: "secret"}),
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			c, server := net.Pipe()
			go func() {
				defer server.Close()
				if _, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
					_, _ = io.WriteString(server, "what-"+mail+strings.Repeat("?", 3000)+"\r\n\r\n")
				}
			}()
			return c, nil
		},
	})
	_, err := client.CreateInstance(t.Context(), request)
	e := asError(t, err)
	if !e.Sent || !strings.Contains(e.Error(), "what-REDACTED") || len(e.Error()) > 600 {
		t.Errorf("got %v", e)
	}
	leaksNothing(t, err)
}

func TestSentIsFalseWhenNoByteCanHaveLeft(t *testing.T) {
	good := cams.StaticCredentials(cams.Credentials{AccessKeyID: camstest.KeyID, AccessKeySecret: camstest.KeySecret})
	dials := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	// The other end of the pipe never says anything, so a TLS handshake hangs.
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, server) }()
		return client, nil
	}
	waiting := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tests := []struct {
		name    string
		config  cams.Config
		done    bool
		wantErr error
		because string
	}{
		{name: "the context is done", config: cams.Config{Credentials: cams.CredentialFunc(func(context.Context) (cams.Credentials, error) {
			return cams.Credentials{}, errors.New("asked for nothing")
		})}, done: true, wantErr: context.Canceled},
		{name: "the context ends while credentials are fetched", config: cams.Config{Credentials: cams.CredentialFunc(func(ctx context.Context) (cams.Credentials, error) {
			<-ctx.Done()
			return good(ctx)
		})}, wantErr: context.DeadlineExceeded},
		{name: "no credentials", config: cams.Config{Credentials: cams.CredentialFunc(func(context.Context) (cams.Credentials, error) {
			return cams.Credentials{}, errors.New("the vault is shut")
		})}, wantErr: cams.ErrCredentials, because: "the vault is shut"},
		{name: "an empty secret", config: cams.Config{Credentials: cams.StaticCredentials(cams.Credentials{AccessKeyID: "id"})}, wantErr: cams.ErrCredentials, because: "access key secret is empty"},
		{name: "a line end in the secret", config: cams.Config{Credentials: cams.StaticCredentials(cams.Credentials{AccessKeyID: "id", AccessKeySecret: camstest.KeySecret + "\n"})}, wantErr: cams.ErrCredentials, because: "white space"},
		{name: "credentials hang until the deadline", config: cams.Config{Credentials: cams.CredentialFunc(func(ctx context.Context) (cams.Credentials, error) {
			<-ctx.Done()
			return cams.Credentials{}, ctx.Err()
		})}, wantErr: context.DeadlineExceeded},
		{name: "no such host", config: cams.Config{Credentials: good, DialContext: dials(&net.DNSError{Err: "no such host", Name: "cams", IsNotFound: true})}, because: "no such host"},
		{name: "dialing hangs until the deadline", config: cams.Config{Credentials: good, DialContext: waiting}, wantErr: context.DeadlineExceeded},
		{name: "the TLS handshake hangs until its timeout", config: cams.Config{Credentials: good, DialContext: silent}, because: "TLS handshake timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				if tt.done {
					cancel()
				}
				_, err := newClient(t, tt.config).CreateInstance(ctx, request)
				e := asError(t, err)
				if e.Sent || e.Status != 0 {
					t.Errorf("got %+v, want not sent", e)
				}
				if tt.wantErr != nil && !errors.Is(err, tt.wantErr) || !strings.Contains(err.Error(), tt.because) {
					t.Errorf("got %v, want %v, %q", err, tt.wantErr, tt.because)
				}
				leaksNothing(t, err)
			})
		})
	}

	t.Run("connection refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		_, err = newClient(t, cams.Config{Credentials: good, Endpoint: "http://" + l.Addr().String()}).CreateInstance(t.Context(), request)
		if e := asError(t, err); e.Sent {
			t.Errorf("got %+v, want not sent", e)
		}
		leaksNothing(t, err)
	})
	t.Run("a certificate that nobody knows", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		s.StartTLS()
		defer s.Close()
		_, err := newClient(t, cams.Config{Credentials: good, Endpoint: s.URL}).CreateInstance(t.Context(), request)
		if e := asError(t, err); e.Sent || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("got %+v, want not sent", e)
		}
		leaksNothing(t, err)
	})
	t.Run("an API that speaks no TLS", func(t *testing.T) {
		s := httptest.NewServer(http.NotFoundHandler())
		defer s.Close()
		_, err := newClient(t, cams.Config{Credentials: good, Endpoint: s.Listener.Addr().String()}).CreateInstance(t.Context(), request)
		if e := asError(t, err); e.Sent {
			t.Errorf("got %+v, want not sent", e)
		}
		leaksNothing(t, err)
	})
}

func TestSentIsTrueOnceThereWasAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newServer(t, camstest.Config{OnRequest: func(string, url.Values) { cancel() }})
		client := newClient(t, s.ClientConfig(""))
		s.Next("CreateInstance", camstest.Fault{Created: true, Reply: camstest.ReplyHang})
		_, err := client.CreateInstance(ctx, request)
		if e := asError(t, err); !e.Sent || !errors.Is(err, context.Canceled) {
			t.Errorf("got %+v, want sent and cancelled", e)
		}
		synctest.Wait()
	})
	// Whether a write that failed at once wrote something is not known.
	t.Run("the first write fails", func(t *testing.T) {
		client := newClient(t, cams.Config{
			Endpoint:    "http://127.0.0.1",
			Credentials: cams.StaticCredentials(cams.Credentials{AccessKeyID: "id", AccessKeySecret: "secret"}),
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				c, server := net.Pipe()
				server.Close()
				return c, nil
			},
		})
		_, err := client.CreateInstance(t.Context(), request)
		if e := asError(t, err); !e.Sent {
			t.Errorf("got %+v, want sent", e)
		}
	})
}

func TestIdleConnectionsCloseBeforeTheServerResetsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, camstest.Config{Latency: -1})
		config := s.ClientConfig("")
		dials := 0
		config.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return s.DialContext(ctx, network, address)
		}
		client := newClient(t, config)
		for _, step := range []struct{ idle, dials int }{{0, 1}, {4, 1}, {6, 2}} {
			time.Sleep(time.Duration(step.idle) * time.Second)
			if _, err := client.CreateInstance(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			if dials != step.dials {
				t.Errorf("after %d s idle: %d connections, want %d", step.idle, dials, step.dials)
			}
			synctest.Wait()
		}
	})
}

func TestListInstancesReadsAllPages(t *testing.T) {
	for _, n := range []int{0, 1, 19, 20, 21, 40, 137} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newServer(t, camstest.Config{Latency: -1})
			for i := range n {
				s.Add("", cams.Instance{InstanceName: fmt.Sprintf("bulk %d", i), ChannelType: "VIBER"})
			}
			got, err := newClient(t, s.ClientConfig("")).ListInstances(t.Context(), cams.ListInstancesRequest{InstanceName: "bulk", ChannelType: "viber"})
			if err != nil {
				t.Fatal(err)
			}
			byID := cmpopts.SortSlices(func(a, b cams.Instance) bool { return a.InstanceID < b.InstanceID })
			anyCase := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ChannelType" }, cmp.Comparer(strings.EqualFold))
			if diff := cmp.Diff(s.Instances(), got, byID, anyCase, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestFindInstancesIsExactInNameAndAnyCaseInChannel(t *testing.T) {
	s := newServer(t, camstest.Config{})
	for _, i := range []cams.Instance{
		{InstanceID: "1", InstanceName: "shop", ChannelType: "VIBER"},
		{InstanceID: "2", InstanceName: "shop", ChannelType: "viber"},
		{InstanceID: "3", InstanceName: "shop 2", ChannelType: "VIBER"},
		{InstanceID: "4", InstanceName: "Shop", ChannelType: "VIBER"},
		{InstanceID: "5", InstanceName: "shop", ChannelType: "WHATSAPP"},
		{InstanceID: "6", InstanceName: "shop", ChannelType: ""},
	} {
		s.Add("", i)
	}
	client := newClient(t, s.ClientConfig(""))
	got, err := client.FindInstances(t.Context(), "VIBER", "shop")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, i := range got {
		ids[i.InstanceID] = true
	}
	if diff := cmp.Diff(map[string]bool{"1": true, "2": true, "6": true}, ids); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err := client.FindInstances(t.Context(), "VIBER", "nobody"); err != nil || len(got) != 0 {
		t.Errorf("a name that is not there: got %v, %v", got, err)
	}
}

func TestAListThatIsNotWholeIsAnError(t *testing.T) {
	rows := func(from, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,{"InstanceId":"%d","InstanceName":"x"}`, from+i)
		}
		return "[" + strings.TrimPrefix(b.String(), ",") + "]"
	}
	tests := []struct {
		name    string
		page    func(index string, call int) string
		want    int
		because string
	}{
		{name: "all there is, without a total", want: 3, page: func(_ string, call int) string {
			return `{"Code":"OK","Data":` + rows(0, max(0, 3-3*call)) + `}`
		}},
		{name: "pages in circles, without a total", want: 3, page: func(string, int) string {
			return `{"Code":"OK","Data":` + rows(0, 3) + `}`
		}},
		{name: "rows that shift between pages", want: 4, page: func(_ string, call int) string {
			return `{"Code":"OK","TotalCount":4,"Data":` + []string{rows(0, 2), rows(1, 2), rows(2, 2)}[call] + `}`
		}},
		{name: "one more at the front with each page", want: 4, page: func(_ string, call int) string {
			return fmt.Sprintf(`{"Code":"OK","TotalCount":%d,"Data":%s}`, 4+call, []string{rows(0, 2), rows(1, 2), rows(2, 2), "[]"}[call])
		}},
		{name: "one more at the end with each page", want: 6, page: func(_ string, call int) string {
			return fmt.Sprintf(`{"Code":"OK","TotalCount":%d,"Data":%s}`, 4+call, rows(2*call, 2))
		}},
		{name: "a page tells no total", want: 4, page: func(_ string, call int) string {
			return []string{`{"Code":"OK","TotalCount":4,"Data":` + rows(0, 2) + `}`, `{"Code":"OK","Data":` + rows(2, 2) + `}`, `{"Code":"OK","Data":[]}`}[call]
		}},
		{name: "one less with the second page", because: "has become shorter while it was read: 4 instances, then 3", page: func(_ string, call int) string {
			return fmt.Sprintf(`{"Code":"OK","TotalCount":%d,"Data":%s}`, 4-call, rows(2*call, 2))
		}},
		{name: "pages in circles, and more in all", because: "3 of its 9", page: func(string, int) string {
			return `{"Code":"OK","TotalCount":9,"Data":` + rows(0, 3) + `}`
		}},
		{name: "nothing, and something in all", because: "0 of its 2", page: func(string, int) string {
			return `{"Code":"OK","TotalCount":"2","Data":null}`
		}},
		{name: "no end", because: "does not end", page: func(_ string, call int) string {
			return `{"Code":"OK","Data":` + rows(call, 1) + `}` // PageIndex as an offset
		}},
		{name: "a row without an id", because: "no InstanceId", page: func(string, int) string {
			return `{"Code":"OK","TotalCount":1,"Data":[{"InstanceName":"x"}]}`
		}},
		{name: "an error on the second page", because: "SystemBusy", page: func(_ string, call int) string {
			return []string{`{"Code":"OK","TotalCount":9,"Data":` + rows(0, 3) + `}`, `{"Code":"SystemBusy"}`}[call]
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.URL.Query().Get("PageIndex"), fmt.Sprint(calls+1); got != want {
					t.Errorf("PageIndex: got %s, want %s", got, want)
				}
				_, _ = io.WriteString(w, tt.page(r.URL.Query().Get("PageIndex"), calls))
				calls++
			}))
			defer s.Close()
			list, err := newClient(t, cams.Config{
				Endpoint:    s.URL,
				Credentials: cams.StaticCredentials(cams.Credentials{AccessKeyID: "id", AccessKeySecret: "secret"}),
			}).ListInstances(t.Context(), cams.ListInstancesRequest{})
			if tt.because == "" {
				if err != nil || len(list) != tt.want {
					t.Fatalf("got %d, %v, want %d", len(list), err, tt.want)
				}
				return
			}
			if e := asError(t, err); e.Op != "ListInstance" || !e.Sent || e.Status != 200 || !strings.Contains(err.Error(), tt.because) {
				t.Errorf("got %v, want %q", err, tt.because)
			}
		})
	}
}

func TestASuccessWithAnErrorStatusIsAContradiction(t *testing.T) {
	for _, status := range []int{202, 302, 400, 500} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"Code":"OK","Data":{"InstanceId":"1"}}`)
		}))
		_, err := newClient(t, cams.Config{
			Endpoint:    s.URL,
			Credentials: cams.StaticCredentials(cams.Credentials{AccessKeyID: "id", AccessKeySecret: "secret"}),
		}).CreateInstance(t.Context(), request)
		if e := asError(t, err); !e.Sent || e.Status != status || e.Code != "OK" || e.InstanceID != "1" {
			t.Errorf("got %+v, want status %d and the instance's id", e, status)
		}
		s.Close()
	}
}

func TestErrorTextIsOneShortLine(t *testing.T) {
	for _, tt := range []struct {
		e    cams.Error
		want string
	}{
		{cams.Error{Op: "CreateInstance", Err: errors.New("dial tcp: refused")}, "cams: CreateInstance: not sent: dial tcp: refused"},
		{cams.Error{Op: "CreateInstance", Sent: true, Err: io.EOF}, "cams: CreateInstance: sent, no answer: EOF"},
		{cams.Error{Op: "CreateInstance", Sent: true, Status: 400, Code: "Throttling.User", Message: "slow down", RequestID: "R"},
			"cams: CreateInstance: HTTP 400 Throttling.User: slow down (request R)"},
		{cams.Error{Op: "ListInstance", Sent: true, Status: 403, Code: "NoPermission", Message: "no", Denied: "ImplicitDeny cams:ListInstance"},
			"cams: ListInstance: HTTP 403 NoPermission: no: ImplicitDeny cams:ListInstance"},
	} {
		if got := tt.e.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
