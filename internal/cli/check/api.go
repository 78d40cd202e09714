package check

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
)

// skewBound is well within the 15 minutes by which the API says that a clock may be wrong.
const skewBound = 2 * time.Minute

// explain makes a result of a list that failed. What the answer is about is judged as
// the worker judges it.
func (k *checker) explain(a config.Account, err error) {
	e, ok := errors.AsType[*cams.Error](err)
	if !ok {
		k.fail(exit.CodeUnreachable, "api", a.Name, err.Error(), "")
		return
	}
	if skew := skewOf(e); skew > skewBound {
		k.fail(exit.CodeUsage, "clock", a.Name, fmt.Sprintf("this machine's clock is %v from the API's", skew), "synchronise it; the API refuses what is 15 minutes off")
		if refusesTime(e) {
			return
		}
	}
	said := humanize.Clip(strings.TrimSpace(e.Code+" "+e.Message), 300)
	answers := fmt.Sprintf("%s answers HTTP %d", a.Host(), e.Status)
	switch classify.Of(err).Kind {
	case classify.KindUnsent:
		k.fail(exit.CodeUnreachable, "api", a.Name, fmt.Sprintf("%s cannot be reached: %v", a.Host(), e.Err), "look at the network, the proxy and CAMSQ_ENDPOINT")
	case classify.KindSilent:
		k.fail(exit.CodeUnreachable, "api", a.Name, fmt.Sprintf("%s does not answer: %v", a.Host(), e.Err), "look at the network, the proxy and CAMSQ_ENDPOINT")
	case classify.KindForeign:
		k.explainForeign(a, e, answers)
	case classify.KindBusy:
		k.fail(exit.CodeUnreachable, "api", a.Name, answers+": "+said, "the API is busy or has a fault; check again later")
	case classify.KindFlow:
		k.warn("api", a.Name, a.Host()+" answers, but turns the list away: "+said, "the account is at its quota; check again later")
	case classify.KindCredentials:
		if errors.Is(err, cams.ErrCredentials) {
			k.fail(exit.CodeUsage, "credentials", a.Name, e.Err.Error(), "")
			return
		}
		// Not its message, which may repeat what was signed.
		k.fail(exit.CodeUsage, "api", a.Name, "the API refuses the key: "+e.Code, "correct the access key ID, its secret and its token")
	case classify.KindAccount:
		r := refusalOf(e)
		k.fail(exit.CodeUsage, r.check, a.Name, r.text+": "+said, r.do)
	case classify.KindOK, classify.KindRequest, classify.KindUnknown:
		if e.Err != nil {
			k.explainForeign(a, e, answers)
			return
		}
		k.fail(exit.CodeUsage, "api", a.Name, fmt.Sprintf("the API rejected the list call: HTTP %d %s", e.Status, said), "see the vendor's page of error codes")
	}
}

// explainForeign reports an answer that is not one of the API's.
func (k *checker) explainForeign(a config.Account, e *cams.Error, answers string) {
	text := answers + ", and not as CAMS does"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Status >= 500 {
		k.fail(exit.CodeUnreachable, "api", a.Name, text, "check again later; if it stays so, correct CAMSQ_ENDPOINT, or look at the proxy")
		return
	}
	k.fail(exit.CodeUsage, "api", a.Name, text, "correct CAMSQ_ENDPOINT, or look at the proxy")
}

// skewOf is how far this machine's clock is from the API's, as far as that is known.
func skewOf(e *cams.Error) time.Duration {
	if e.ServerTime.IsZero() {
		return 0
	}
	return time.Since(e.ServerTime).Round(time.Second).Abs()
}

// refusal is a way in which the API refuses an account, and what to do about it.
type refusal struct {
	words           []string
	check, text, do string
}

// refusals are distinguished by words in the code, and in the message where the code has
// none of them; the first that fits counts. That the account is meant is judged before,
// by the worker.
var refusals = []refusal{
	{[]string{"timestamp", "clock"}, "clock", "the API refuses this machine's time", "synchronise the clock"},
	{[]string{"invalidaction", "invalidapi", "apinotfound", "invalidversion", "nosuchversion", "invalidproduct", "productnotfound", "invalidprotocol",
		"httpmethod", "regionid", "domainnotfound"},
		"api", "this endpoint does not know the request", "correct CAMSQ_ENDPOINT and CAMSQ_REGION"},
	{[]string{"subscri", "activat", "notopen", "needopen", "unopen", "purchas", "bought"}, "api", "the account has no CAMS", "activate the service in the vendor's console"},
	{[]string{"balance", "amount", "arrear", "overdue", "debt", "pay", "credit", "fund", "notenough"}, "api", "the account cannot pay", "pay, or charge the account"},
	{[]string{"risk", "realname", "certif", "verif"}, "api", "the vendor holds the account back", "look at the account's notices in the vendor's console"},
	{[]string{"quota", "limit", "daily", "monthly", "perday", "permonth", "toomany", "maxinstance"}, "api", "the account has used up what it may have",
		"raise the limit in the vendor's Quota Center, or wait until it is renewed"},
	{[]string{"permission", "ramden", "authori", "noauth", "notauth", "forbid", "denied", "deny", "policy"}, "api", "the key may not list instances",
		"allow it cams:ListInstance and cams:CreateInstance in RAM"},
	{[]string{""}, "api", "the API refuses the account", "look at the account in the vendor's console"},
}

func refusalOf(e *cams.Error) refusal {
	for _, text := range []string{e.Code, e.Message} {
		for _, r := range refusals[:len(refusals)-1] {
			for _, word := range r.words {
				if strings.Contains(joined(text), word) {
					return r
				}
			}
		}
	}
	return refusals[len(refusals)-1]
}

// refusesTime says whether the answer refuses this machine's time.
func refusesTime(e *cams.Error) bool { return refusalOf(e).check == "clock" }

// joined is a text in lower case, without what separates its words.
func joined(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}
