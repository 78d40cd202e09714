package redisconn_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
)

// reply is an error that Redis sent.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestEveryErrorOfRedisIsSilencePassesOrStays(t *testing.T) {
	const fine, silence, notReady, refusal, strange = redisconn.Fine, redisconn.Silence, redisconn.NotReady, redisconn.Refusal, redisconn.Strange
	for _, tt := range []struct {
		err  error
		want redisconn.Answer
		text string // what follows the server's name
	}{
		{nil, fine, ""},
		{redis.Nil, fine, ""},
		{fmt.Errorf("ledger: %w", context.Canceled), fine, ""},
		{io.EOF, silence, "does not answer: EOF"},
		{context.DeadlineExceeded, silence, "does not answer: context deadline exceeded"},
		{redis.ErrPoolTimeout, silence, ""},
		{reply("LOADING Redis is loading the dataset in memory"), notReady, "answers, and is not ready: LOADING Redis is loading the dataset in memory"},
		{fmt.Errorf("ledger: %w", reply("READONLY You can't write against a read only replica.")), notReady, "answers, and is not ready: READONLY You can't write against a read only replica."},
		{reply("MASTERDOWN Link with MASTER is down"), notReady, ""},
		{reply("CLUSTERDOWN Hash slot not served"), notReady, ""},
		{reply("TRYAGAIN Multiple keys request during rehashing of slot"), notReady, ""},
		{reply("BUSY Redis is busy running a script."), notReady, ""},
		{reply("NOREPLICAS Not enough good replicas to write."), notReady, ""},
		{reply("MISCONF Redis is configured to save RDB snapshots"), notReady, ""},
		{reply("ERR max number of clients reached"), notReady, "answers, and is not ready: ERR max number of clients reached"},
		{reply("ERR LOADING says a proxy"), notReady, ""},
		{reply("WRONGPASS invalid username-password pair or user is disabled."), refusal, "refuses: the user name or the password is wrong"},
		{reply("ERR invalid password"), refusal, "refuses: the user name or the password is wrong"},
		{reply("NOAUTH Authentication required."), refusal, "refuses: it wants a password, and CAMSQ_REDIS_URL has none"},
		{fmt.Errorf("failed to initialize connection options: %w", reply("NOPERM User ana has no permissions to run the 'select' command")), refusal,
			"refuses: this user may not send SELECT"},
		{reply("NOPERM this user has no permissions to run the 'evalsha' command or its subcommand"), refusal, "refuses: this user may not send EVALSHA"},
		{reply("NOPERM User ana has no permissions to run the 'cluster|slots' command"), refusal, "refuses: this user may not send CLUSTER SLOTS"},
		{reply("NOPERM No permissions to access a key"), refusal, "refuses: this user may not use the key"},
		{reply("NOPERM No permissions to access a channel"), refusal, "refuses: this user may not use the channel"},
		{reply("ERR unknown command 'EVAL', with args beginning with: 'return 1' '1' 'ana@example.com' "), refusal, "refuses: it does not have the command EVAL"},
		{reply("ERR unknown command `evalsha`, with args beginning with: `ab`"), refusal, "refuses: it does not have the command EVALSHA"},
		{reply("ERR 'EVAL' command is disabled"), refusal, "refuses: ERR 'EVAL' command is disabled"},
		{reply("ERR bad lua script for redis cluster, all the keys that the script uses should be passed using the KEYS array"), refusal,
			"refuses: it checks that scripts name each key as KEYS[n] (ERR bad lua script for redis cluster), and camsq's and asynq's do not; set script_check_enable to 0 in its parameters"},
		{reply("ERR DB index is out of range"), refusal, "refuses: ERR DB index is out of range"},
		{&x509.UnknownAuthorityError{}, silence, ""}, // never comes as a pointer
		{x509.UnknownAuthorityError{}, refusal, "answers with a certificate that is not trusted: its authority is unknown here"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "redis.example.com"}, refusal, "answers with a certificate that is not trusted: it is not for redis.example.com"},
		{errors.New("remote error: tls: certificate required"), refusal, "refuses the TLS connection: certificate required"},
		{reply("ERR whatever\nit is"), strange, "answers: ERR whatever it is"},
	} {
		if got := redisconn.AnswerOf(tt.err); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
		if got := redisconn.Told(tt.err); tt.text != "" && got != tt.text {
			t.Errorf("%v: told as %q, want %q", tt.err, got, tt.text)
		}
	}
}
