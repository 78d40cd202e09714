package cams

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestCredentialsNeverPrint(t *testing.T) {
	c := Credentials{AccessKeyID: "the-id", AccessKeySecret: "the-secret", SecurityToken: "the-token"}
	config := Config{Credentials: StaticCredentials(c)}
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, value := range []any{c, &c, []Credentials{c}, map[string]Credentials{"a": c}, struct{ C Credentials }{c}, config, client} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "c", value)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "c", c, "in", struct{ C Credentials }{c})
	asJSON, err := json.Marshal(struct{ C Credentials }{c})
	if err != nil {
		t.Fatal(err)
	}
	asXML, err := xml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.WriteString(c.String() + string(asJSON) + string(asXML))

	for _, secret := range []string{"the-id", "the-secret", "the-token", fmt.Sprintf("%x", "the-secret")} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed:\n%s", secret, out.String())
		}
	}
	if want := `{"C":"REDACTED"}`; string(asJSON) != want {
		t.Errorf("JSON: got %s, want %s", asJSON, want)
	}
}
