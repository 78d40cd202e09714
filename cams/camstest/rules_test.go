package camstest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
)

// ruled is a calm server that obeys a file of rules.
func ruled(t *testing.T, text string) *camstest.Server {
	t.Helper()
	file, err := camstest.ParseRules([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := camstest.Config{Calm: true, Rules: file.Rules, FilterStored: file.FilterStored}
	c.StoreName, _ = camstest.StoreForm(file.Store)
	s := camstest.New(c)
	t.Cleanup(s.Close)
	return s
}

// outcome is what a client sees of a create, in short.
func outcome(e *cams.Error) string {
	switch {
	case e == nil:
		return "created"
	case e.Status == 0:
		return "lost"
	}
	return strings.TrimSpace(fmt.Sprint(e.Status, " ", e.Code))
}

func TestRulesDecideWhatCallsMeet(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		creates     []string // the names
		want        []string
		instances   int
	}{
		{"nothing", `{"rules":[]}`, []string{"a"}, []string{"created"}, 1},
		{"a code", `{"rules":[{"status":400,"code":"Product.Unsubscript","message":"x"}]}`, []string{"a", "b"},
			[]string{"400 Product.Unsubscript", "400 Product.Unsubscript"}, 0},
		{"a code without a status", `{"rules":[{"code":"X"}]}`, []string{"a"}, []string{"400 X"}, 0},
		{"a business answer", `{"rules":[{"status":200,"code":"isv.AMOUNT_NOT_ENOUGH","message":"The balance is not enough."}]}`, []string{"a"},
			[]string{"200 isv.AMOUNT_NOT_ENOUGH"}, 0},
		{"a page", `{"rules":[{"status":404,"html":"<html><body><h1>404 Not Found</h1></body></html>"},{"action":"ListInstance","times":0,"status":404,"html":"x"}]}`,
			[]string{"a"}, []string{"404"}, 0},
		{"an empty answer", `{"rules":[{"status":502}]}`, []string{"a"}, []string{"502"}, 0},
		{"the first that fits", `{"rules":[{"name":"^p-","status":403,"code":"A"},{"status":400,"code":"B"}]}`, []string{"p-1", "x p-"}, []string{"403 A", "400 B"}, 0},
		{"so many times", `{"store":"lower","filter":"stored","rules":[{"times":2,"lose":true}]}`, []string{"A", "B", "C"}, []string{"lost", "lost", "created"}, 3},
		{"never", `{"rules":[{"times":0,"code":"X"}]}`, []string{"a"}, []string{"created"}, 1},
		{"above a rate", `{"rules":[{"status":400,"code":"System.LimitControl","over":2}]}`, []string{"a", "b", "c", "d"},
			[]string{"created", "created", "400 System.LimitControl", "400 System.LimitControl"}, 2},
		{"made, and refused", `{"rules":[{"status":400,"code":"X","created":true}]}`, []string{"a"}, []string{"400 X"}, 1},
		{"of another action", `{"rules":[{"action":"ListInstance","code":"X"}]}`, []string{"a"}, []string{"created"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // one second, however slow the machine is
				s := ruled(t, tt.rules)
				defer s.Close()
				c := newClient(t, s, "")
				var got []string
				for _, name := range tt.creates {
					got = append(got, outcome(create(t, c, name)))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if n := len(s.Instances()); n != tt.instances {
					t.Errorf("%d instances, want %d", n, tt.instances)
				}
			})
		})
	}
}

func TestTheNextSecondIsBelowTheRateAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ruled(t, `{"rules":[{"code":"Limit","over":1,"headers":{"x-acs-retry-after":"800"}}]}`)
		defer s.Close()
		c := newClient(t, s, "")
		if e := create(t, c, "a"); e != nil {
			t.Fatal(e)
		}
		if e := create(t, c, "b"); e == nil || e.Code != "Limit" || e.RetryAfter != 800*time.Millisecond {
			t.Errorf("got %+v, want Limit for 800 ms", e)
		}
		if _, err := c.ListInstances(t.Context(), cams.ListInstancesRequest{}); err != nil {
			t.Errorf("a list counts as a create: %v", err)
		}
		time.Sleep(time.Second)
		if e := create(t, c, "b"); e != nil {
			t.Errorf("in the next second: %v", e)
		}
	})
}

func TestABusinessAnswerHasNoSuccess(t *testing.T) {
	s := ruled(t, `{"rules":[{"status":200,"code":"isv.X","message":"no"}]}`)
	status, code, body := ask(t, s, signed("CreateInstance", "1", shop("shop")))
	if status != 200 || code != "isv.X" || strings.Contains(body, "Success") || strings.Contains(body, "Data") {
		t.Errorf("got %d %s", status, body)
	}
}

func TestAPageHasItsTypeAndItsText(t *testing.T) {
	s := ruled(t, `{"rules":[{"status":403,"html":"<b>no</b>"},{"action":"ListInstance","html":"gone","content_type":"text/plain","headers":{"Server":"nginx"}}]}`)
	client := http.Client{Transport: s.Transport()}
	defer client.CloseIdleConnections()
	for op, want := range map[string]string{"CreateInstance": "403 text/html <b>no</b> ", "ListInstance": "200 text/plain gone nginx"} {
		r := signed(op, "n"+op, shop("shop"))
		r.RequestURI = ""
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 100)
		n, _ := answer.Body.Read(body)
		answer.Body.Close()
		if got := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("Content-Type"), " ", string(body[:n]), " ", answer.Header.Get("Server")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAnAnswerMayContradictWhatExists(t *testing.T) {
	s := ruled(t, `{"rules":[{"answer":{"InstanceId":" x\u0007","ChannelType":"WHATSAPP","InstanceName":"other"}}]}`)
	status, code, body := ask(t, s, signed("CreateInstance", "1", shop("shop")))
	for _, part := range []string{`"InstanceId":" x\u0007"`, `"ChannelType":"WHATSAPP"`, `"InstanceName":"other"`} {
		if !strings.Contains(body, part) {
			t.Errorf("%s is not in %s", part, body)
		}
	}
	if i := s.Instances(); status != 200 || code != "OK" || len(i) != 1 || i[0].ChannelType != "VIBER" || i[0].InstanceName != "shop" {
		t.Errorf("got %d %s, and there is %+v", status, code, i)
	}
}

func TestAnEndlessListHasAFullPageOfNewInstancesEachTime(t *testing.T) {
	s := ruled(t, `{"rules":[{"action":"ListInstance","endless":300}]}`)
	seen := map[string]bool{}
	for page := range 3 {
		_, _, body := ask(t, s, signed("ListInstance", fmt.Sprint("n", page), url.Values{"InstanceName": {"shop"}, "PageSize": {"50"}, "PageIndex": {fmt.Sprint(page + 1)}}))
		if n := strings.Count(body, `"InstanceName":"shop"`); n != 50 || !strings.Contains(body, strings.Repeat("d", 300)) || strings.Contains(body, "TotalCount") {
			t.Fatalf("page %d has %d instances: %.300s", page+1, n, body)
		}
		for _, part := range strings.Split(body, `"InstanceId":"`)[1:] {
			seen[part[:strings.IndexByte(part, '"')]] = true
		}
	}
	if len(seen) != 150 {
		t.Errorf("%d different instances on 3 pages, want 150", len(seen))
	}
}

func TestRulesThatAreNoneAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"rules":[{"stauts":400}]}`:                    `rule 1: unknown field "stauts"`,
		`{"rule":[]}`:                                   `unknown field "rule"`,
		`{"rules":[{"code":"X"},{"over":"8"}]}`:         "rule 2: cannot unmarshal string",
		`{"rules":[{"action":"DeleteInstance"}]}`:       `action "DeleteInstance"`,
		`{"rules":[{"name":"("}]}`:                      "name: error parsing regexp",
		`{"rules":[{"status":99}]}`:                     "status 99",
		`{"rules":[{"lose":true,"html":"x"}]}`:          "give one of",
		`{"rules":[{"lose":true,"status":500}]}`:        "status goes with",
		`{"rules":[{"code":"X","content_type":"a/b"}]}`: "content_type goes with html",
		`{"rules":[{"over":-1}]}`:                       "may not be negative",
		`{"store":"rot13"}`:                             `store "rot13" is not one of html, lower, nfc, nfd, none, suffix, trimws, truncate, upper`,
		`{"filter":"maybe"}`:                            `filter "maybe"`,
		`{"rules":[]} {}`:                               "more after the end",
		``:                                              "EOF",
	} {
		if _, err := camstest.ParseRules([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestStoredNames(t *testing.T) {
	const name = "  Café  Süd & Söhne in der langen Straße"
	want := map[string]string{
		"none": name, "lower": "  café  süd & söhne in der langen straße", "upper": "  CAFÉ  SÜD & SÖHNE IN DER LANGEN STRAßE",
		"trimws": "Café Süd & Söhne in der langen Straße", "nfc": name,
		"nfd":  "  Cafe\u0301  Su\u0308d & So\u0308hne in der langen Straße",
		"html": "  Café  Süd &amp; Söhne in der langen Straße", "truncate": "  Café  Süd & Söhne ", "suffix": name + "-1a2b",
	}
	for _, form := range camstest.StoreForms() {
		store, ok := camstest.StoreForm(form)
		if got := store(name); !ok || got != want[form] {
			t.Errorf("%s: got %q, want %q", form, got, want[form])
		}
		t.Run(form, func(t *testing.T) {
			s := camstest.New(camstest.Config{Calm: true, StoreName: store, FilterStored: true})
			defer s.Close()
			if e := create(t, newClient(t, s, ""), name); e != nil {
				t.Fatal(e)
			}
			creates := s.Creates()
			if s.Created(name) != 1 || len(creates) != 1 || creates[0].Requested != name || creates[0].InstanceName != store(name) {
				t.Errorf("created %d, %+v", s.Created(name), creates)
			}
			_, _, body := ask(t, s, signed("ListInstance", "1", url.Values{"InstanceName": {name}, "PageSize": {"10"}, "PageIndex": {"1"}}))
			if strings.Count(body, `"InstanceId"`) != 1 {
				t.Errorf("the list is %s", body)
			}
		})
	}
	if _, ok := camstest.StoreForm("rot13"); ok {
		t.Error("there is a form rot13")
	}
}

func TestAFilterThatIsNotStoredLooksForTheNameItself(t *testing.T) {
	store, _ := camstest.StoreForm("lower")
	s := camstest.New(camstest.Config{Calm: true, StoreName: store})
	defer s.Close()
	if e := create(t, newClient(t, s, ""), "Shop"); e != nil {
		t.Fatal(e)
	}
	for filter, want := range map[string]int{"Shop": 0, "shop": 1, "hop": 1, "": 1} {
		_, _, body := ask(t, s, signed("ListInstance", "n"+filter, url.Values{"InstanceName": {filter}}))
		if got := strings.Count(body, `"InstanceId"`); got != want {
			t.Errorf("%q finds %d, want %d", filter, got, want)
		}
	}
}
