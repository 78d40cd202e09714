package oracle

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/camsq/camsq/callback"
)

type question struct {
	ID      string            `json:"id"`
	Secret  string            `json:"secret"`
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
}

type answer struct {
	Accepted  bool   `json:"accepted"`
	Signature string `json:"signature"`
}

// needNode finds Node.js and the installed packages, or skips; in CI both must be there.
func needNode(t *testing.T) string {
	t.Helper()
	missing := t.Skip
	if os.Getenv("CI") == "true" {
		missing = t.Fatal
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("node is not on PATH")
	}
	if _, err := os.Stat(filepath.Join("node", "node_modules", "standardwebhooks")); err != nil {
		missing(`the Node.js packages are missing: run "npm ci" in callback/internal/oracle/node`)
	}
	return node
}

func TestTheNodeLibraryAndWeAcceptEachOther(t *testing.T) {
	node := needNode(t)
	now := time.Now()
	all := draw(t)
	another := callback.NewSecret()
	questions := make([]question, len(all))
	forged := func(i int) bool { return i%10 == 9 }
	for i, s := range all {
		secrets := s.secret
		switch {
		case forged(i):
			secrets = another
		case i%2 == 0:
			secrets = another + " " + s.secret
		}
		header, err := callback.Sign(s.id, now, []byte(s.body), parse(t, secrets))
		if err != nil {
			t.Fatal(err)
		}
		questions[i] = question{s.id, s.secret, s.body, map[string]string{
			"webhook-id": header.Get("webhook-id"), "webhook-timestamp": header.Get("webhook-timestamp"), "webhook-signature": header.Get("webhook-signature"),
		}}
	}
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "oracle.mjs")
	cmd.Dir = "node"
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, &stderr)
	}
	var answers []answer
	if err := json.Unmarshal(output, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(all) {
		t.Fatalf("%d answers to %d webhooks", len(answers), len(all))
	}
	for i, s := range all {
		if answers[i].Accepted == forged(i) {
			t.Errorf("id %s, body %s: accepted = %v, forged = %v", s.id, s.body, answers[i].Accepted, forged(i))
		}
		header := http.Header{}
		header.Set("webhook-id", s.id)
		header.Set("webhook-timestamp", questions[i].Headers["webhook-timestamp"])
		header.Set("webhook-signature", answers[i].Signature)
		if err := callback.Verify(header, []byte(s.body), now, parse(t, s.secret)); err != nil {
			t.Errorf("id %s, body %s: we refuse the library's signature: %v", s.id, s.body, err)
		}
	}
}
