package camstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/google/go-cmp/cmp"
)

var key = cams.Credentials{AccessKeyID: camstest.KeyID, AccessKeySecret: camstest.KeySecret}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// signed is a correct request, made by hand.
func signed(op, nonce string, params url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/?"+params.Encode(), nil)
	r.Header.Set("x-acs-action", op)
	r.Header.Set("x-acs-version", cams.Version)
	r.Header.Set("x-acs-date", time.Now().UTC().Format("2006-01-02T15:04:05Z"))
	r.Header.Set("x-acs-signature-nonce", nonce)
	r.Header.Set("x-acs-content-sha256", emptyHash)
	return sign(r, key)
}

func sign(r *http.Request, c cams.Credentials) *http.Request {
	r.Header.Set("Authorization", cams.Authorization(r, c))
	return r
}

// ask sends a request by hand and returns the status, the code and the body.
func ask(t *testing.T, s *camstest.Server, r *http.Request) (int, string, string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer struct{ Code any }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return w.Code, fmt.Sprint(answer.Code), w.Body.String()
}

func shop(name string) url.Values {
	return url.Values{"ChannelType": {"VIBER"}, "InstanceName": {name}}
}

func newClient(t *testing.T, s *camstest.Server, keyID string) *cams.Client {
	t.Helper()
	client, err := cams.New(s.ClientConfig(keyID))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func create(t *testing.T, c *cams.Client, name string) *cams.Error {
	t.Helper()
	_, err := c.CreateInstance(t.Context(), cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: name})
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*cams.Error](err)
	if !ok {
		t.Errorf("got a %T: %v", err, err) // not Fatal: goroutines call this
		return &cams.Error{Err: err}
	}
	return e
}

func TestACreateThatIsRepeatedIsASecondInstance(t *testing.T) {
	s := camstest.New(camstest.Config{})
	defer s.Close()
	c := newClient(t, s, "")
	for range 2 {
		if e := create(t, c, "shop"); e != nil {
			t.Fatal(e)
		}
	}
	if s.Created("shop") != 2 || s.Created("other") != 0 || s.Instances()[0].InstanceID == s.Instances()[1].InstanceID {
		t.Errorf("got %+v, want two of them", s.Instances())
	}
}

func TestWhatNoClientShouldSendIsRefusedAndRemembered(t *testing.T) {
	tests := []struct {
		name      string
		change    func(r *http.Request) *http.Request
		status    int
		code      string
		violation bool
	}{
		{"nothing wrong", func(r *http.Request) *http.Request { return r }, 200, "OK", false},
		{"GET", func(r *http.Request) *http.Request { r.Method = "GET"; return sign(r, key) }, 405, "UnsupportedHTTPMethod", true},
		{"another path", func(r *http.Request) *http.Request { r.URL.Path = "/v1"; return sign(r, key) }, 404, "InvalidApi.NotFound", true},
		{"another version", func(r *http.Request) *http.Request { r.Header.Set("x-acs-version", "1"); return sign(r, key) }, 400, "InvalidVersion", true},
		{"an Idempotency-Key", func(r *http.Request) *http.Request { r.Header.Set("Idempotency-Key", "1"); return r }, 400, "UnsupportedHeader", true},
		{"an X-Idempotency-Key", func(r *http.Request) *http.Request { r.Header.Set("X-Idempotency-Key", "1"); return r }, 400, "UnsupportedHeader", true},
		{"no signature", func(r *http.Request) *http.Request { r.Header.Del("Authorization"); return r }, 400, "IncompleteSignature", true},
		{"another secret", func(r *http.Request) *http.Request {
			return sign(r, cams.Credentials{AccessKeyID: camstest.KeyID, AccessKeySecret: "guess"})
		}, 400, "SignatureDoesNotMatch", true},
		{"a parameter changed after signing", func(r *http.Request) *http.Request { r.URL.RawQuery += "x"; return r }, 400, "SignatureDoesNotMatch", true},
		{"a header changed after signing", func(r *http.Request) *http.Request { r.Header.Set("x-acs-extra", "1"); return r }, 400, "SignatureDoesNotMatch", true},
		{"another host than was signed", func(r *http.Request) *http.Request { r.Host = "example.com"; return r }, 400, "SignatureDoesNotMatch", true},
		{"a body that its hash does not cover", func(r *http.Request) *http.Request {
			r.Body = io.NopCloser(strings.NewReader("x"))
			return r
		}, 400, "IncompleteSignature", true},
		{"a date of another form", func(r *http.Request) *http.Request { r.Header.Set("x-acs-date", "now"); return sign(r, key) }, 400, "InvalidTimeStamp.Format", true},
		{"no nonce", func(r *http.Request) *http.Request { r.Header.Del("x-acs-signature-nonce"); return sign(r, key) }, 400, "MissingParameter", true},
		{"a nonce that was used", func(r *http.Request) *http.Request {
			r.Header.Set("x-acs-signature-nonce", "used")
			return sign(r, key)
		}, 400, "SignatureNonceUsed", true},
		{"a query that is none", func(r *http.Request) *http.Request { r.URL.RawQuery += "&%zz=1"; return sign(r, key) }, 400, "InvalidParameter", true},
		{"an unknown key", func(r *http.Request) *http.Request { return sign(r, cams.Credentials{AccessKeyID: "who"}) }, 404, "InvalidAccessKeyId.NotFound", false},
		{"a date too old", func(r *http.Request) *http.Request {
			r.Header.Set("x-acs-date", time.Now().Add(-16*time.Minute).UTC().Format("2006-01-02T15:04:05Z"))
			return sign(r, key)
		}, 400, "InvalidTimeStamp.Expired", false},
		{"an unknown operation", func(r *http.Request) *http.Request { r.Header.Set("x-acs-action", "Fly"); return sign(r, key) }, 404, "InvalidAction.NotFound", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := camstest.New(camstest.Config{Calm: true})
			defer s.Close()
			if status, code, _ := ask(t, s, signed("ListInstance", "used", nil)); status != 200 || code != "OK" {
				t.Fatalf("got %d %s", status, code)
			}
			status, code, _ := ask(t, s, tt.change(signed("CreateInstance", "fresh", shop("shop"))))
			if status != tt.status || code != tt.code {
				t.Errorf("got %d %s, want %d %s", status, code, tt.status, tt.code)
			}
			if got := len(s.Violations()) > 0; got != tt.violation {
				t.Errorf("violations: got %q", s.Violations())
			}
			if got := s.Created("shop") > 0; got != (tt.code == "OK") {
				t.Errorf("created: got %v", got)
			}
		})
	}
}

func TestATemporaryKeyNeedsItsToken(t *testing.T) {
	s := camstest.New(camstest.Config{Keys: map[string]string{"plain": "a", "sts": "b"}, Tokens: map[string]string{"sts": "token"}})
	defer s.Close()
	for _, id := range []string{"plain", "sts"} {
		if e := create(t, newClient(t, s, id), "shop"); e != nil {
			t.Errorf("%s: %v", id, e)
		}
	}
	for want, c := range map[string]cams.Credentials{
		"MissingSecurityToken":         {AccessKeyID: "sts", AccessKeySecret: "b"},
		"InvalidSecurityToken.Expired": {AccessKeyID: "sts", AccessKeySecret: "b", SecurityToken: "old"},
	} {
		config := s.ClientConfig("")
		config.Credentials = cams.StaticCredentials(c)
		client, err := cams.New(config)
		if err != nil {
			t.Fatal(err)
		}
		if e := create(t, client, "shop"); e == nil || e.Code != want {
			t.Errorf("got %v, want %s", e, want)
		}
		client.CloseIdleConnections()
	}
}

func TestBadParametersCreateNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		change       url.Values
		status       int
		code, naming string
	}{
		"no name":            {url.Values{"InstanceName": nil}, 400, "MissingParameter", "InstanceName"},
		"no channel":         {url.Values{"ChannelType": nil}, 400, "MissingParameter", "ChannelType"},
		"an unknown one":     {url.Values{"ClientToken": {"1"}}, 400, "InvalidParameter", "ClientToken"},
		"an empty one":       {url.Values{"CountryId": {""}}, 400, "InvalidParameter", "CountryId"},
		"a repeated one":     {url.Values{"CountryId": {"1", "2"}}, 400, "InvalidParameter", "CountryId"},
		"an unknown channel": {url.Values{"ChannelType": {"PIGEON"}}, 200, "InvalidParameter.ChannelTypeNotSupport", ""},
		"a country by name":  {url.Values{"CountryId": {"SG"}}, 200, "InvalidParameter.CountryId", ""},
		"a BM by name":       {url.Values{"FacebookBmId": {"me"}}, 200, "InvalidParameter.FacebookBmId", ""},
		"a half-confirmed":   {url.Values{"IsConfirmAudit": {"maybe"}}, 200, "InvalidParameter.IsConfirmAudit", ""},
	} {
		s := camstest.New(camstest.Config{Latency: -1})
		s.Next("CreateInstance", camstest.Fault{Created: true})
		params := shop("shop")
		for k, v := range tt.change {
			if params[k] = v; v == nil {
				delete(params, k)
			}
		}
		status, code, body := ask(t, s, signed("CreateInstance", "1", params))
		if status != tt.status || code != tt.code || !strings.Contains(body, tt.naming) || len(s.Instances()) != 0 {
			t.Errorf("%s: got %d %s, %d created: %s", name, status, code, len(s.Instances()), body)
		}
		s.Close()
	}
}

func TestQuotaIsPerAccountOperationAndSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := camstest.New(camstest.Config{Keys: map[string]string{"a": "1", "b": "2"}, Quota: 3, ListQuota: 1, Latency: -1})
		defer s.Close()
		a, b := newClient(t, s, "a"), newClient(t, s, "b")
		time.Sleep(250 * time.Millisecond)
		for range 3 {
			if e := create(t, a, "shop"); e != nil {
				t.Fatal(e)
			}
		}
		e := create(t, a, "shop")
		if e == nil || e.Status != 400 || e.Code != "Throttling.User" || e.RetryAfter != 750*time.Millisecond {
			t.Fatalf("got %+v, want throttled for 750 ms", e)
		}
		if e := create(t, b, "shop"); e != nil {
			t.Errorf("another account: %v", e)
		}
		if _, err := a.ListInstances(t.Context(), cams.ListInstancesRequest{InstanceName: "none"}); err != nil {
			t.Errorf("another operation: %v", err)
		}
		if _, err := a.ListInstances(t.Context(), cams.ListInstancesRequest{}); err == nil {
			t.Error("the list's own quota: want an error")
		}
		time.Sleep(e.RetryAfter)
		if e := create(t, a, "shop"); e != nil {
			t.Errorf("after the pause: %v", e)
		}
		if s.Throttled() != 2 || s.Created("shop") != 5 || s.Calls("CreateInstance") != 6 {
			t.Errorf("got %d throttled, %d created, %d calls", s.Throttled(), s.Created("shop"), s.Calls("CreateInstance"))
		}
		s.SetQuota(0)
		for range 20 {
			if e := create(t, a, "shop"); e != nil {
				t.Fatal(e)
			}
		}
	})
}

func TestAnInstanceIsListedAfterTheLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := camstest.New(camstest.Config{Keys: map[string]string{"a": "1", "b": "2"}, ListLag: 10 * time.Second})
		defer s.Close()
		a, b := newClient(t, s, "a"), newClient(t, s, "b")
		s.Add("a", cams.Instance{InstanceName: "shop", ChannelType: "VIBER"})
		if e := create(t, a, "shop"); e != nil {
			t.Fatal(e)
		}
		find := func(c *cams.Client) int {
			found, err := c.FindInstances(t.Context(), "VIBER", "shop")
			if err != nil {
				t.Fatal(err)
			}
			return len(found)
		}
		if got := find(a); got != 1 {
			t.Errorf("at once: got %d, want only the one that was there", got)
		}
		time.Sleep(10 * time.Second)
		if got := find(a); got != 2 {
			t.Errorf("after the lag: got %d, want 2", got)
		}
		if got := find(b); got != 0 {
			t.Errorf("another account: got %d, want none", got)
		}
	})
}

func TestQueryInstance(t *testing.T) {
	s := camstest.New(camstest.Config{Calm: true})
	defer s.Close()
	i := s.Add("", cams.Instance{InstanceName: "shop", ChannelType: "VIBER"})
	for _, tt := range []struct{ id, code, has string }{
		{i.InstanceID, "OK", `"InstanceName":"shop"`},
		{"1", "QueryError.InstanceNotExist", ""},
		{"", "MissingParameter", "InstanceId"},
	} {
		_, code, body := ask(t, s, signed("QueryInstance", "n"+tt.id, url.Values{"InstanceId": {tt.id}}))
		if code != tt.code || !strings.Contains(body, tt.has) {
			t.Errorf("%q: got %s", tt.id, body)
		}
	}
}

func TestAWrongClockIsSeenByTheClient(t *testing.T) {
	s := camstest.New(camstest.Config{Clock: func() time.Time { return time.Now().Add(20 * time.Minute) }})
	defer s.Close()
	e := create(t, newClient(t, s, ""), "shop")
	if e == nil || e.Code != "InvalidTimeStamp.Expired" {
		t.Fatalf("got %v", e)
	}
	if skew := time.Until(e.ServerTime).Round(time.Minute); skew != 20*time.Minute {
		t.Errorf("got a skew of %v, want 20m", skew)
	}
}

func TestFaultsOfANameComeBeforeThoseOfTheOperation(t *testing.T) {
	s := camstest.New(camstest.Config{})
	defer s.Close()
	c := newClient(t, s, "")
	s.Next("CreateInstance", camstest.Fault{Reply: camstest.Reply500}, camstest.Fault{})
	s.FailName("shop", camstest.Fault{Reply: camstest.Reply503, RetryAfter: 1500 * time.Millisecond})
	var got []int
	for _, name := range []string{"shop", "shop", "other", "other"} {
		e := create(t, c, name)
		if e == nil {
			e = &cams.Error{Status: 200}
		}
		if e.Status == 503 && e.RetryAfter != 1500*time.Millisecond {
			t.Errorf("RetryAfter: got %v", e.RetryAfter)
		}
		got = append(got, e.Status)
	}
	if diff := cmp.Diff([]int{503, 500, 200, 200}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.Next("ListInstance", camstest.Fault{Reply: camstest.Reply503HTML})
	if _, err := c.FindInstances(t.Context(), "VIBER", "shop"); err == nil {
		t.Error("a list that fails: want an error")
	}
}

func TestOneSeedOneSequence(t *testing.T) {
	run := func(seed uint64) (bodies []string, seen uint64) {
		synctest.Test(t, func(t *testing.T) {
			s := camstest.New(camstest.Config{Seed: seed, FaultRate: 0.3})
			defer s.Close()
			client := http.Client{Transport: s.Transport()}
			defer client.CloseIdleConnections()
			for i := range 60 {
				r := signed("CreateInstance", fmt.Sprint(i), shop(fmt.Sprint("shop ", i)))
				r.RequestURI = ""
				response, err := client.Do(r)
				if err != nil {
					bodies = append(bodies, "lost")
					continue
				}
				body, err := io.ReadAll(response.Body)
				bodies = append(bodies, fmt.Sprint(response.StatusCode, string(body), err))
				response.Body.Close()
			}
			bodies = append(bodies, fmt.Sprint(s.Instances()))
			seen = s.Seed()
		})
		return bodies, seen
	}
	first, seed := run(0)
	again, _ := run(seed)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("seed %d, -first +again:\n%s", seed, diff)
	}
	if other, _ := run(seed + 1); cmp.Equal(first, other) {
		t.Error("another seed gives the same sequence")
	}
}

func TestRandomFaultsComeInPairs(t *testing.T) {
	s := camstest.New(camstest.Config{Seed: 1, FaultRate: 0.5, Latency: -1})
	defer s.Close()
	c := newClient(t, s, "")
	var lost, unmade, fine int
	for i := range 400 {
		name := fmt.Sprint("shop ", i)
		switch e := create(t, c, name); {
		case e == nil:
			fine++
		case s.Created(name) == 1:
			lost++
		default:
			unmade++
		}
	}
	if fine < 150 || fine > 250 || lost < 50 || unmade < 50 {
		t.Errorf("got %d fine, %d created and lost, %d not created", fine, lost, unmade)
	}
}

func TestASocketIsResetAndCloseEndsWhatHangs(t *testing.T) {
	hanging := make(chan struct{})
	s := camstest.New(camstest.Config{Latency: -1, OnRequest: func(_ string, params url.Values) {
		if params.Get("InstanceName") == "hang" {
			close(hanging)
		}
	}})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(s.URL()); err != nil || u.Hostname() != "127.0.0.1" {
		t.Fatalf("URL: got %q", s.URL())
	}
	c := newClient(t, s, "")
	s.FailName("shop", camstest.Fault{Reply: camstest.ReplyReset, Created: true})
	if e := create(t, c, "shop"); e == nil || !e.Sent || e.Status != 0 || s.Created("shop") != 1 {
		t.Errorf("got %v", e)
	}
	s.FailName("hang", camstest.Fault{Reply: camstest.ReplyHang})
	ended := make(chan *cams.Error, 1)
	go func() { ended <- create(t, c, "hang") }()
	select {
	case <-hanging:
	case e := <-ended:
		t.Fatalf("got %v, want a call that hangs", e)
	}
	s.Close()
	if e := <-ended; e == nil || !e.Sent {
		t.Errorf("got %v", e)
	}
	s.Close()

	if e := create(t, c, "late"); e == nil || e.Sent {
		t.Errorf("after Close: got %v", e)
	}
	if err := s.Start(); err == nil {
		t.Error("Start after Close: want an error")
	}
	if _, err := s.DialContext(context.Background(), "", ""); err == nil {
		t.Error("DialContext after Close: want an error")
	}
}

func TestAHungHandlerEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := camstest.New(camstest.Config{})
		defer s.Close()
		s.Next("CreateInstance", camstest.Fault{Created: true, Reply: camstest.ReplyHang})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := newClient(t, s, "").CreateInstance(ctx, cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: "shop"})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute || s.Created("shop") != 1 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		// The bubble ends only if the handler has.
	})
}

func TestConcurrentClients(t *testing.T) {
	s := camstest.New(camstest.Config{FaultRate: 0.2})
	defer s.Close()
	c := newClient(t, s, "")
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			for j := range 20 {
				create(t, c, fmt.Sprint(i, "-", j))
				_, _ = c.FindInstances(t.Context(), "VIBER", fmt.Sprint(i, "-", j))
			}
		})
	}
	clients.Wait()
	if got := s.Calls("CreateInstance"); got != 320 {
		t.Errorf("got %d creates, want 320", got)
	}
	if v := s.Violations(); len(v) != 0 {
		t.Errorf("violations: %q", v)
	}
}

// It is part of a program too, where the testing packages would add their flags.
func TestItNeedsNoTestingPackage(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if path := strings.Trim(i.Path.Value, `"`); strings.HasPrefix(path, "testing") || strings.HasSuffix(path, "test") {
				t.Errorf("%s imports %s", f.Name(), path)
			}
		}
	}
}
