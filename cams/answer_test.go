package cams

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// The sample of the API's page: an integer name, "NULL", "None", and Success false.
const pageSample = `{
  "AccessDeniedDetail": "None",
  "RequestId": "2992939*****",
  "Message": "NULL",
  "Data": {
    "InstanceName": 0,
    "ResourceRegionId": "example",
    "InstanceId": "2999292",
    "InstanceDescription": "des",
    "SubmitTime": "example",
    "ChannelType": "example"
  },
  "Code": "OK",
  "Success": false
}`

func TestDecodeReadsEveryShapeOfAnswer(t *testing.T) {
	sample := Instance{
		InstanceID: "2999292", InstanceName: "0", InstanceDescription: "des",
		ChannelType: "example", ResourceRegionID: "example", SubmitTime: "example",
	}
	type facts struct {
		Code, Message, RequestID, Denied string
		OK                               bool
		Instance                         Instance
	}
	tests := []struct {
		name, body string
		want       facts
	}{
		{"the page's sample", pageSample, facts{Code: "OK", RequestID: "2992939*****", OK: true, Instance: sample}},
		{"a name as a string", `{"Code":"OK","Data":{"InstanceId":"1","InstanceName":"viber_ins"}}`,
			facts{Code: "OK", OK: true, Instance: Instance{InstanceID: "1", InstanceName: "viber_ins"}}},
		{"a name as null", `{"Code":"OK","Data":{"InstanceId":"1","InstanceName":null}}`,
			facts{Code: "OK", OK: true, Instance: Instance{InstanceID: "1"}}},
		{"a name as an object", `{"Code":"OK","Data":{"InstanceId":"1","InstanceName":{"a":[1]}}}`,
			facts{Code: "OK", OK: true, Instance: Instance{InstanceID: "1"}}},
		{"an id as a number keeps its digits", `{"Code":"OK","Data":{"InstanceId":9007199254740993}}`,
			facts{Code: "OK", OK: true, Instance: Instance{InstanceID: "9007199254740993"}}},
		{"a name that is a placeholder stays", `{"Code":"OK","Data":{"InstanceId":"1","InstanceName":"NULL"}}`,
			facts{Code: "OK", OK: true, Instance: Instance{InstanceID: "1", InstanceName: "NULL"}}},
		{"the code 200 as a number", `{"Code":200,"Data":{"InstanceId":"1"}}`,
			facts{Code: "200", OK: true, Instance: Instance{InstanceID: "1"}}},
		{"the code 200 as a string", `{"Code":"200"}`, facts{Code: "200", OK: true}},
		{"no data", `{"Code":"OK"}`, facts{Code: "OK", OK: true}},
		{"data of another shape", `{"Code":"OK","Data":[{"InstanceId":"1"}]}`, facts{Code: "OK", OK: true}},
		{"a business refusal", `{"Code":"InvalidParameter.ChannelTypeNotSupport","Message":"no","Data":null,"AccessDeniedDetail":"{}"}`,
			facts{Code: "InvalidParameter.ChannelTypeNotSupport", Message: "no"}},
		{"access denied as an object", `{"Code":"NoPermission","Message":"None","AccessDeniedDetail":{"AuthAction":"cams:CreateInstance","NoPermissionType":"ImplicitDeny","AuthPrincipalOwnerId":"1"}}`,
			facts{Code: "NoPermission", Denied: "ImplicitDeny cams:CreateInstance"}},
		{"access denied as a string", `{"Code":"NoPermission","AccessDeniedDetail":"ask an administrator"}`,
			facts{Code: "NoPermission", Denied: "ask an administrator"}},
		{"access denied as a list", `{"Code":"NoPermission","AccessDeniedDetail":[1]}`, facts{Code: "NoPermission"}},
		{"lower camel case", `{"code":"Throttling.User","message":"slow","requestId":"r"}`,
			facts{Code: "Throttling.User", Message: "slow", RequestID: "r"}},
		{"XML", "\n<?xml version='1.0'?><Error><RequestId>r</RequestId><Code>Throttling</Code><Message>slow</Message></Error>",
			facts{Code: "Throttling", Message: "slow", RequestID: "r"}},
		{"an empty object", `{}`, facts{}},
		{"unknown fields", `{"Code":"OK","New":{"Code":"no"},"Data":{"InstanceId":"1","More":[{}]}}`,
			facts{Code: "OK", OK: true, Instance: Instance{InstanceID: "1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := decode([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			got := facts{
				Code: string(a.Code), Message: notPlaceholder(string(a.Message)), RequestID: string(a.RequestID),
				Denied: a.denied(), OK: a.ok(), Instance: a.instance(),
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecodeRefusesWhatIsNoAnswer(t *testing.T) {
	for name, body := range map[string]string{
		"empty":         "",
		"blank":         " \n",
		"HTML":          "<html><body>503</body></html>",
		"broken XML":    "<Error><Code>Throttling</Co",
		"XML of others": "<ListBucketResult><Code>1</Code></ListBucketResult>",
		"cut":           pageSample[:len(pageSample)/2],
		"trailing":      pageSample + "{}",
		"a list":        `[{"Code":"OK"}]`,
		"a string":      `"OK"`,
		"binary":        "\x1f\x8b\x00OK",
	} {
		if a, err := decode([]byte(body)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, a)
		}
	}
}

// A web server in the API's place is what people look for first, so it is named.
func TestAWebPageIsNamed(t *testing.T) {
	for body, want := range map[string]bool{
		"<html><body>503</body></html>": true, " \n<!DOCTYPE HTML>\n<head>": true, "<!doctype html><p>": true, "<HTML lang=en>": true,
		"<htmlish/>": false, "<Error><Code></Code></Error>": false, "html": false, "": false,
	} {
		_, err := decode([]byte(body))
		if err == nil || strings.Contains(err.Error(), "web page (HTML)") != want {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestAListRowWithoutAnIDMakesTheListUnreadable(t *testing.T) {
	for name, body := range map[string]string{
		"no id":     `{"Code":"OK","Data":[{"InstanceId":"1"},{"InstanceName":"x"}]}`,
		"an object": `{"Code":"OK","Data":{"List":[]}}`,
		"a string":  `{"Code":"OK","Data":"none"}`,
	} {
		a, err := decode([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if list, _, err := a.instances(); err == nil {
			t.Errorf("%s: got %v, want an error", name, list)
		}
	}
}

func plainLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
	})
}

// bounded fails unless each field of an instance is within what its type promises.
func bounded(t *testing.T, i Instance) {
	t.Helper()
	for _, s := range []string{i.InstanceDescription, i.ChannelType, i.ResourceRegionID, i.SubmitTime} {
		if len(s) > maxField || !plainLine(s) {
			t.Fatalf("not one short line: %q", s)
		}
	}
	if i.InstanceID != "" && !instanceForm.MatchString(i.InstanceID) || len(i.InstanceName) > maxName+len("…") {
		t.Fatalf("the instance %+v", i)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(pageSample))
	f.Add([]byte(`{"Code":200,"TotalCount":"1","Data":[{"InstanceId":1}]}`))
	f.Add([]byte(`{"Code":"NoPermission","AccessDeniedDetail":{"AuthAction":"a"},"Message":"\u0000\ud800"}`))
	f.Add([]byte("<Error><Code>Throttling</Code></Error>"))
	f.Add([]byte("<html>"))
	f.Add([]byte(`{"Code":"a@b.example","RequestId":"\u001b","Data":{"InstanceId":" \u0000 ","ChannelType":"\u202e","InstanceName":"\u200b"}}`))
	f.Add([]byte(`{"Code":"OK","Data":[{"InstanceId":"cams-1\n"},{"InstanceId":"` + strings.Repeat("9", 300) + `"}]}`))
	f.Add([]byte(`{"Code":"camsq.Cancelled","Data":{"InstanceId":9007199254740993,"SubmitTime":"` + strings.Repeat("é", 300) + `"}}`))
	f.Add([]byte(pageSample[:200]))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decode(body)
		var object map[string]json.RawMessage
		isObject := json.Unmarshal(body, &object) == nil && object != nil
		if isObject && err != nil {
			t.Fatalf("a JSON object is not an answer: %v", err)
		}
		if err != nil {
			return
		}
		if list, _, err := a.instances(); err == nil {
			for _, i := range list {
				if i.InstanceID == "" {
					t.Fatal("an instance without an id")
				}
				bounded(t, i)
			}
		}
		bounded(t, a.instance())
		if code := readableCode(string(a.Code), nil); len(code) > 128 || !plainLine(code) || strings.ContainsAny(code, "@ ") {
			t.Fatalf("the code %q", code)
		}
		if id := readableRequestID(string(a.RequestID)); len(id) > 64 || !plainLine(id) {
			t.Fatalf("the request ID %q", id)
		}
		for _, s := range []string{string(a.Message), a.denied()} {
			if line := message(s, nil); len(line) > maxMessage || !plainLine(line) {
				t.Fatalf("not one short line: %q", line)
			}
		}
	})
}

func TestRetryAfterReadsEveryHeader(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name   string
		header map[string]string
		want   time.Duration
	}{
		{"none", nil, 0},
		{"the newer header is in milliseconds", map[string]string{"x-acs-retry-after": "1500"}, 1500 * time.Millisecond},
		{"the newer header comes first", map[string]string{"x-acs-retry-after": "1", "Retry-After": "9", "x-ratelimit-user": "TimeLeft:5"}, time.Millisecond},
		{"the older header", map[string]string{"x-ratelimit-user-api": "Limit:1,Remain:0,TimeLeft:2000,Reset:1234"}, 2 * time.Second},
		{"the oldest header", map[string]string{"x-ratelimit-user": "Limit:1, Remain:0, TimeLeft: 30"}, 30 * time.Millisecond},
		{"the older header without a time", map[string]string{"x-ratelimit-user-api": "Limit:1", "x-ratelimit-user": "TimeLeft:7"}, 7 * time.Millisecond},
		{"the standard header in seconds", map[string]string{"Retry-After": "2"}, 2 * time.Second},
		{"the standard header as a date", map[string]string{"Retry-After": "Fri, 02 Jan 2026 03:05:05 GMT"}, time.Minute},
		{"a date that has passed", map[string]string{"Retry-After": "Fri, 02 Jan 2026 03:00:00 GMT"}, 0},
		{"a date in another age", map[string]string{"Retry-After": "Fri, 02 Jan 2099 03:00:00 GMT"}, 24 * time.Hour},
		{"negative", map[string]string{"x-acs-retry-after": "-5"}, 0},
		{"not a number", map[string]string{"x-acs-retry-after": "soon", "Retry-After": "later"}, 0},
		{"beyond a duration", map[string]string{"x-acs-retry-after": "9223372036854775807"}, 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for name, value := range tt.header {
				h.Set(name, value)
			}
			if got := retryAfter(h, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
