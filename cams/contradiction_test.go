package cams_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
)

// A success answer that is not about what was asked for: what the caller gets to know.
func TestASuccessThatContradictsTheRequestIsNone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answer  map[string]string
		created bool   // it is a success all the same
		id      string // of the error: "real" is the instance's own
		because string
	}{
		{"another channel type", map[string]string{"ChannelType": "WHATSAPP"}, false, "real", "for the channel type WHATSAPP, and not for VIBER"},
		{"another channel type, with more to it", map[string]string{"ChannelType": "\x1b[31mWHATS\u202eAPP" + strings.Repeat("!", 900)}, false, "real", "for the channel type [31mWHATSAPP!"},
		{"the channel type in another case", map[string]string{"ChannelType": "viber"}, true, "", ""},
		{"no channel type", map[string]string{"ChannelType": ""}, true, "", ""},
		{"a placeholder of one", map[string]string{"ChannelType": "NULL"}, true, "", ""},
		{"another name", map[string]string{"InstanceName": "someone-else"}, false, "real", "another instance name"},
		{"the name in another case", map[string]string{"InstanceName": strings.ToUpper(request.InstanceName)}, false, "real", "another instance name"},
		{"the name cut off", map[string]string{"InstanceName": request.InstanceName[:5]}, false, "real", "another instance name"},
		{"the name", map[string]string{"InstanceName": request.InstanceName}, true, "", ""},
		{"a name that is a number", map[string]string{"InstanceName": "0"}, true, "", ""},
		{"no name", map[string]string{"InstanceName": ""}, true, "", ""},
		{"a placeholder of one", map[string]string{"InstanceName": "None"}, true, "", ""},
		{"an ID with a line feed, ESC and NUL", map[string]string{"InstanceId": "cams\n\x1b[31m\x00"}, false, "", "InstanceId can be none"},
		{"an ID that is too long", map[string]string{"InstanceId": strings.Repeat("9", 900_000)}, false, "", "InstanceId can be none"},
		{"a placeholder of an ID", map[string]string{"InstanceId": "NULL"}, false, "", "InstanceId can be none"},
		{"an empty ID", map[string]string{"InstanceId": ""}, false, "", "has no InstanceId"},
		{"an ID with spaces around it", map[string]string{"InstanceId": "  cams-1 "}, true, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, camstest.Config{Calm: true})
			s.Next("CreateInstance", camstest.Fault{Answer: maps.Clone(tt.answer)})
			i, err := newClient(t, s.ClientConfig("")).CreateInstance(t.Context(), request)
			real := s.Instances()[0].InstanceID
			if tt.created {
				want := real
				if id, given := tt.answer["InstanceId"]; given {
					want = strings.TrimSpace(id)
				}
				if err != nil || i.InstanceID != want || i.ChannelType != "VIBER" || i.InstanceName != request.InstanceName || i.RequestID == "" {
					t.Errorf("got %+v, %v", i, err)
				}
				return
			}
			e := asError(t, err)
			want := strings.Replace(tt.id, "real", real, 1)
			if e.Code != "OK" || !e.Sent || e.InstanceID != want || e.RequestID == "" || e.Err == nil || !strings.Contains(e.Err.Error(), tt.because) || len(e.Error()) > 400 {
				t.Errorf("got %+v, want the instance %q and %q", e, want, tt.because)
			}
		})
	}
}

func TestAListWithAnIDThatCanBeNoneIsNoList(t *testing.T) {
	s := newServer(t, camstest.Config{Calm: true})
	s.Add("", cams.Instance{InstanceID: "good", InstanceName: "shop", ChannelType: "VIBER"})
	s.Add("", cams.Instance{InstanceID: "bad\x1b", InstanceName: "shop", ChannelType: "VIBER"})
	found, err := newClient(t, s.ClientConfig("")).FindInstances(t.Context(), "VIBER", "shop")
	if e := asError(t, err); found != nil || !strings.Contains(e.Error(), "InstanceId that can be none") {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestWhatAListSaysIsBounded(t *testing.T) {
	s := newServer(t, camstest.Config{Calm: true})
	s.Add("", cams.Instance{
		InstanceName: "shop", ChannelType: "VIBER", InstanceDescription: strings.Repeat("d", 19_000),
		ResourceRegionID: "a\x1bb", SubmitTime: strings.Repeat("\u202e9", 300),
	})
	found, err := newClient(t, s.ClientConfig("")).FindInstances(t.Context(), "VIBER", "shop")
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	i := found[0]
	if len(i.InstanceDescription) != 256 || i.ResourceRegionID != "a b" || i.SubmitTime != strings.Repeat("9", 256) {
		t.Errorf("got %+v", i)
	}
}

// net/http reads 10 MB of header fields unless it is told not to.
func TestAnAnswerWhoseHeaderNeverEndsIsNone(t *testing.T) {
	for _, size := range []int{1 << 10, 10 << 20} {
		s := newServer(t, camstest.Config{Calm: true})
		s.Next("CreateInstance", camstest.Fault{Headers: map[string]string{"X-Noise": strings.Repeat("n", size)}})
		_, err := newClient(t, s.ClientConfig("")).CreateInstance(t.Context(), request)
		if size < 64<<10 {
			if err != nil {
				t.Errorf("a header of %d bytes: %v", size, err)
			}
			continue
		}
		if e := asError(t, err); !e.Sent || e.Status != 0 || errors.Unwrap(e) == nil || !strings.Contains(e.Error(), "headers exceeded") {
			t.Errorf("a header of %d bytes: got %v", size, err)
		}
	}
}

func TestACodeOfNoFormIsNotRepeated(t *testing.T) {
	s := newServer(t, camstest.Config{Calm: true})
	s.Next("CreateInstance", camstest.Fault{Reply: camstest.ReplyError, Status: 400, Code: "Bad mail " + mail, Message: "no"})
	_, err := newClient(t, s.ClientConfig("")).CreateInstance(t.Context(), request)
	e := asError(t, err)
	if e.Code != cams.CodeUnreadable || e.Message != "its code is not readable: no" {
		t.Errorf("got %+v", e)
	}
	leaksNothing(t, err)
}
