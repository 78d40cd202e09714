package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/redis/go-redis/v9"
)

// Answer is what an error says of Redis: whether it gave an answer, and whether waiting
// helps. It is judged here alone, for commands, worker and check.
type Answer int

const (
	// Fine is no error, or one that says nothing of Redis: a missing key, the end of
	// a context that the caller has cancelled.
	Fine Answer = iota
	// Silence is no answer: refused, cut, timed out.
	Silence
	// NotReady is an answer that ends by itself, or by what is under way: Redis loads,
	// changes its role, has too many clients, is full.
	NotReady
	// Refusal is an answer that stays until an operator changes a setting, here or there.
	Refusal
	// Strange is any other answer.
	Strange
)

// AnswerOf judges an error of go-redis, however wrapped.
func AnswerOf(err error) Answer {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, redis.Nil):
		return Fine
	case untrusted(err) != "":
		return Refusal
	}
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return Silence
	}
	text := reply.Error()
	switch {
	case begins(text, notReady):
		return NotReady
	case refuses(text):
		return Refusal
	}
	return Strange
}

// notReady are the beginnings of the replies of a Redis that is not ready yet. A proxy or a script may put ERR
// before them.
var notReady = []string{
	"LOADING ", "READONLY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ", "NOREPLICAS ", "MISCONF ", "OOM ", "BUSY ", "MOVED ", "ASK ",
	"max number of clients reached", "max number of clients + cluster connections reached",
}

// refusing are the beginnings of the replies that stay.
var refusing = []string{
	"WRONGPASS ", "NOAUTH ", "NOPERM ", "DENIED ", "unknown command", "invalid password", "Client sent AUTH, but no password is set",
	"AUTH <password> called without any password", "operation not permitted", "bad lua script for redis cluster",
	"invalid DB index", "DB index is out of range", "SELECT is not allowed in cluster mode",
	"This instance has cluster support disabled",
}

// forbids finds a vendor's word for a command that it does not serve.
var forbids = regexp.MustCompile(`(?i)\b(eval|evalsha|script|lua)\b.*\b(disabled|not supported|not allowed|forbidden|unsupported)\b`)

func refuses(reply string) bool {
	return begins(reply, refusing) || forbids.MatchString(reply)
}

func begins(reply string, with []string) bool {
	reply = strings.TrimPrefix(reply, "-")
	bare := strings.TrimPrefix(reply, "ERR ")
	for _, prefix := range with {
		if strings.HasPrefix(reply, prefix) || strings.HasPrefix(bare, prefix) {
			return true
		}
	}
	return false
}

// untrusted says what is wrong with the TLS that Redis speaks, or "".
func untrusted(err error) string {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		_ = unknown
		return "answers with a certificate that is not trusted: its authority is unknown here"
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return "answers with a certificate that is not trusted: it is not for " + clean(name.Host, 80)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return "answers with a certificate that is not trusted: " + strings.TrimPrefix(clean(invalid.Error(), 120), "x509: ")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "answers with a certificate that is not trusted"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "answers without TLS, and CAMSQ_REDIS_URL asks for it (rediss)"
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return "refuses the TLS connection: " + strings.TrimPrefix(alert.Error(), "tls: ")
	}
	if err != nil && strings.Contains(err.Error(), "remote error: tls: ") {
		_, alert, _ := strings.Cut(err.Error(), "remote error: tls: ")
		return "refuses the TLS connection: " + clean(alert, 80)
	}
	return ""
}

// Told is what Redis did, in words that follow its name: "refuses: …", "is not ready:
// …", "does not answer: …". It repeats no key, no value and no user's name.
func Told(err error) string {
	if text := untrusted(err); text != "" {
		return text
	}
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return "does not answer: " + clean(fmt.Sprint(err), 300)
	}
	text := reply.Error()
	switch AnswerOf(err) {
	case NotReady:
		if redis.IsOOMError(err) {
			return "is full: " + clean(text, 200)
		}
		return "answers, and is not ready: " + clean(text, 200)
	case Refusal:
		return "refuses: " + refusalText(text)
	}
	return "answers: " + clean(text, 200)
}

// Advice is what an operator does about an error of Redis.
func Advice(err error) string {
	reply := ""
	if r, ok := errors.AsType[redis.Error](err); ok {
		reply = r.Error()
	}
	switch answer := AnswerOf(err); {
	case untrusted(err) != "" && strings.Contains(untrusted(err), "authority"):
		return "let the file that SSL_CERT_FILE names hold its authority too, or correct CAMSQ_REDIS_URL"
	case untrusted(err) != "":
		return "correct CAMSQ_REDIS_URL or that Redis's certificate"
	case redis.IsOOMError(err):
		return "give it more memory (maxmemory), or let workers take jobs out"
	case answer == NotReady:
		return "wait until it is ready, or see its log"
	case answer == Refusal && begins(reply, []string{"NOPERM "}):
		return "give the user all commands on camsq:* and asynq:*"
	case answer == Refusal && begins(reply, []string{"bad lua script"}):
		return "docs/operations.md names the settings of hosted servers"
	case answer == Refusal:
		return "correct CAMSQ_REDIS_URL"
	case answer == Strange:
		return "see what CAMSQ_REDIS_URL names, and its log"
	}
	return "start it, or correct CAMSQ_REDIS_URL"
}

// What Redis says of a command that it refused, in version 6 ('get' command), 7
// ('client|setname' command) and of one that it does not have (unknown command `get`).
var commandNamed = regexp.MustCompile("(?:'([a-zA-Z|._-]+)' command|unknown command ['`]([a-zA-Z|._-]+)['`])")

func refusalText(reply string) string {
	command := ""
	if m := commandNamed.FindStringSubmatch(reply); m != nil {
		command = strings.ToUpper(strings.ReplaceAll(m[1]+m[2], "|", " "))
	}
	switch {
	case begins(reply, []string{"WRONGPASS ", "invalid password", "Client sent AUTH", "AUTH <password> called"}):
		return "the user name or the password is wrong"
	case begins(reply, []string{"NOAUTH ", "operation not permitted"}):
		return "it wants a password, and CAMSQ_REDIS_URL has none"
	case begins(reply, []string{"NOPERM "}) && command != "":
		return "this user may not send " + command
	case begins(reply, []string{"NOPERM "}) && strings.Contains(reply, "channel"):
		return "this user may not use the channel"
	case begins(reply, []string{"NOPERM "}):
		return "this user may not use the key"
	case begins(reply, []string{"unknown command"}) && command != "":
		return "it does not have the command " + command
	case begins(reply, []string{"bad lua script for redis cluster"}):
		return "it checks that scripts name each key as KEYS[n] (ERR bad lua script for redis cluster), and camsq's and asynq's do not; set script_check_enable to 0 in its parameters"
	}
	return clean(reply, 200)
}

// clean makes one printable line of some length.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return strings.TrimSpace(text)
}
