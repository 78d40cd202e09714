package oracle

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/camsq/camsq/callback"
)

const samples = 300

// sample is a random webhook.
type sample struct {
	id, secret, body string
}

func draw(t *testing.T) []sample {
	t.Helper()
	out := make([]sample, samples)
	for i := range out {
		text := make([]rune, rand.IntN(200))
		for j := range text {
			// Control characters, quotes, dots, Chinese and characters beyond the first plane.
			text[j] = []rune{rune(rand.IntN(128)), rune(0x4e00 + rand.IntN(5000)), rune(0x1f600 + rand.IntN(60))}[rand.IntN(3)]
		}
		body, err := json.Marshal(map[string]any{"type": "instance.created", "data": map[string]any{"n": rand.Int64(), "text": string(text)}})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = sample{id: fmt.Sprintf("msg_%d-%d", i, rand.Uint64()), secret: callback.NewSecret(), body: string(body)}
	}
	return out
}

func parse(t *testing.T, secrets string) callback.Keyring {
	t.Helper()
	keys, err := callback.ParseSecrets(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
