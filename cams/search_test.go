package cams_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/cams"
)

// A search holds what has exactly its name, up to a bound, and hands out the rest of the
// channel with each page, so that its memory does not grow with the list.
func TestASearchHandsOutTheOthersOfEachPage(t *testing.T) {
	s := cams.Search{ChannelType: "VIBER", InstanceName: "shop"}
	row := func(id, name, channel string) cams.Instance {
		return cams.Instance{InstanceID: id, InstanceName: name, ChannelType: channel}
	}
	for n, page := range [][]cams.Instance{
		{row("1", "shop", "viber"), row("2", "Shop", "VIBER"), row("3", "Shop", "WHATSAPP"), row("4", "shop ", "")},
		{row("2", "Shop", "VIBER"), row("5", "sho", "Viber")},
	} {
		if done, err := s.Take(page, 5); done != (n == 1) || err != nil {
			t.Fatalf("page %d: %t, %v", n+1, done, err)
		}
		want := [][]cams.Instance{{page[1], row("4", "shop ", "")}, {row("5", "sho", "Viber")}}[n]
		if n == 0 {
			want[1] = page[3]
		}
		if diff := cmp.Diff(want, s.Others()); diff != "" {
			t.Errorf("page %d (-want +got):\n%s", n+1, diff)
		}
	}
	if len(s.Found()) != 1 || s.Over() {
		t.Errorf("found %v, over %t", s.Found(), s.Over())
	}
}

func TestASearchEndsAtItsBound(t *testing.T) {
	s := cams.Search{ChannelType: "VIBER", InstanceName: "shop"}
	for n := range cams.MaxFound + 1 {
		done, err := s.Take([]cams.Instance{{InstanceID: fmt.Sprint(n), InstanceName: "shop"}}, 0)
		if err != nil || done != (n == cams.MaxFound) || s.Over() != done {
			t.Fatalf("instance %d: done %t, over %t, %v", n+1, done, s.Over(), err)
		}
	}
	if len(s.Found()) != cams.MaxFound {
		t.Errorf("found %d", len(s.Found()))
	}
}

func TestAPageOfFarMoreThanWasAskedForIsAnError(t *testing.T) {
	for rows, fits := range map[int]bool{100: true, 101: false} {
		var b strings.Builder
		for i := range rows {
			fmt.Fprintf(&b, `,{"InstanceId":"%d","InstanceName":"x"}`, i)
		}
		body := fmt.Sprintf(`{"Code":"OK","TotalCount":%d,"Data":[%s]}`, rows, b.String()[1:])
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		c := newClient(t, cams.Config{Endpoint: server.URL, Credentials: cams.StaticCredentials(cams.Credentials{AccessKeyID: "id", AccessKeySecret: "secret"})})
		_, err := c.FindInstances(t.Context(), "VIBER", "x")
		if (err == nil) != fits {
			t.Errorf("a page of %d instances: %v", rows, err)
		}
		server.Close()
	}
}

// An API that counts the rows of the page where it should count the list hides what is on
// the next page: a full first page is not believed to be all.
func TestATotalThatIsThePagesOwnIsNotBelieved(t *testing.T) {
	page := func(from, n int) (rows []cams.Instance) {
		for i := range n {
			rows = append(rows, cams.Instance{InstanceID: fmt.Sprint(from + i), InstanceName: "shop"})
		}
		return rows
	}
	var s cams.Search
	s.InstanceName = "shop"
	if done, err := s.Take(page(0, 20), 20); done || err != nil {
		t.Fatalf("after a full page: done %t, %v; want another page", done, err)
	}
	for _, next := range [][]cams.Instance{page(20, 20), page(40, 7)} {
		if done, err := s.Take(next, len(next)); done || err != nil {
			t.Fatalf("after the next: done %t, %v; want another page", done, err)
		}
	}
	if done, err := s.Take(nil, 0); !done || err != nil || len(s.Found()) != 47 {
		t.Errorf("after an empty page: done %t, %v, found %d; want 47", done, err, len(s.Found()))
	}
	s = cams.Search{InstanceName: "shop"}
	if done, err := s.Take(page(0, 3), 3); !done || err != nil {
		t.Errorf("a short page that is all: done %t, %v", done, err)
	}
	s = cams.Search{InstanceName: "shop"}
	if done, err := s.Take(page(0, 20), 20); done || err != nil {
		t.Fatal(done, err)
	}
	if done, err := s.Take(nil, 20); !done || err != nil || len(s.Found()) != 20 {
		t.Errorf("a full page that is all, and an empty one: done %t, %v, found %d", done, err, len(s.Found()))
	}
}
