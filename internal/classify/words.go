package classify

import (
	"slices"
	"strings"
	"unicode"
)

// group is codes, or words in codes, that mean one thing. A code is compared without
// regard to case and to the separators . _ - between its words, so that No.Permission,
// NO_PERMISSION and NoPermission are one. A pattern is a part of the code; "^" at its
// front means the code's beginning, "|" the beginning of one of its words, and "$" at its
// end the code's end.
type group struct {
	kind Kind
	// unsure is set where the words do not prove that the call was turned away before
	// it was carried out.
	unsure   bool
	source   string
	patterns []string
}

// groups are tried from the top; the first that matches counts. No list of codes is
// whole, so most patterns are the words that codes of one meaning share; what each
// proves is our judgement. Sources:
//
//	gateway    the common error pages of the vendor's API gateway
//	metadata   error codes for each operation in the vendor's OpenAPI metadata, edition of
//	           2024-07-30 (as kept by github.com/dew-serverless/acs-sdk-php)
//	terraform  the codes that github.com/aliyun/terraform-provider-alicloud retries
//	siblings   the error pages of the vendor's messaging products: SMS, voice, numbers
//	           (dysmsapi, vms, pnp, dyplsapi, dypnsapi, dytnsapi), whose codes begin with isv. or isp.
var groups = []group{
	// Turned away by the gateway before the product saw the call.
	{KindFlow, false, "gateway", []string{"^throttling$", "^throttlinguser$", "^throttlingapi$"}},
	// Others of the family have been seen after the product had accepted
	// (terraform-provider-alicloud, pull request 10310).
	{KindFlow, true, "terraform", []string{"throttling", "^toomanyrequests$"}},
	// Each request has a nonce of its own: if this one is used, the request came twice,
	// and the first may have been carried out.
	{KindBusy, false, "gateway", []string{"signaturenonceused"}},

	// The key, its token, or what it signed.
	{KindCredentials, false, "gateway", []string{
		"securitytoken", "invalidaccesskey", "missingaccesskey", "accesskeydisabled", "accesskeynotfound",
		"inactiveaccesskey", "signaturedoesnotmatch", "invalidsignature$",
	}},
	// This host, or this program: its clock, its signature's form, the endpoint.
	{KindAccount, false, "gateway", []string{
		"timestamp", "incompletesignature", "invalidsignaturemethod", "|clock",
		"^invalidaction", "^invalidapi", "^invalidversion", "^nosuchversion", "^invalidproduct", "^invalidregionid",
		"unsupportedhttpmethod", "^invalidprotocol", "productnotfound", "apinotfound", "domainnotfound",
	}},

	// A parameter, whatever its name: before the words below, which it may contain.
	{KindRequest, false, "gateway, metadata, siblings", []string{
		"|invalidparam", "|missingparam", "|illegalparam", "|unsupportedparam", "|paramillegal", "|parameterillegal",
		"|parametermissing", "|parameternotsupport",
	}},

	// What the account may have in all, or in a day or a month: waiting for seconds does
	// not help.
	{KindAccount, false, "siblings, metadata", []string{
		"|daylimit", "|dailylimit", "|monthlimit", "|monthlylimit", "perday", "permonth", "daily", "monthly",
		"instancelimit", "limitexceededinstance", "instanceoverlimit", "instancequota", "maxinstance", "toomanyinstance", "instancecountlimit", "instancenumlimit",
	}},
	{KindFlow, false, "metadata, siblings", []string{
		"limitcontrol", "flowcontrol", "flowlimit", "trafficcontrol", "trafficlimit", "ratelimit", "ratecontrol", "rateexceed",
		"requestlimit", "requestslimit", "apilimit", "calllimit", "overlimit", "|qps", "toomanyrequest", "toomanycall", "toofrequent", "toofast", "frequen", "slowdown",
		"persecond", "perminute", "perhour", "concurrencylimit", "concurrentlimit", "|throttle",
	}},
	{KindAccount, false, "metadata, terraform", []string{
		"quotaexceed", "exceedquota", "exceedsquota", "exceededquota", "overquota", "quotafull", "quotanotenough", "quotalimit", "noquota", "|quotainsufficient",
	}},
	// Flow control by what is said of them; the words could be those of a call that has begun.
	{KindFlow, true, "metadata", []string{"|taskconflict", "acquirelock", "toomany"}},

	// An account that is locked is not busy.
	{KindAccount, false, "metadata, siblings", []string{
		"accountlock", "accountblock", "userlock", "userblock", "ipblock", "blacklist", "ipdeny", "denyip", "whitelist",
	}},
	// The product was busy with something: it may have begun.
	{KindBusy, false, "gateway, metadata, terraform, siblings", []string{
		"busy", "|lock", "blocking", "conflict", "concurren", "processing", "beingprocess", "inprocess", "inprogress", "lasttoken",
		"ishandling", "ishanding", "|internal", "systemerror", "systemfail", "systemexception", "servererror", "serverfail",
		"serviceerror", "serviceexception", "innererror", "invokefail", "invokeerror", "invokeservicefail", "callservicefail",
		"unknownerr", "ispunknown", "unknownexception", "temporar", "retrylater", "trylater", "tryagain", "|ioexception", "unavailable",
		"timeout", "timedout", "notready", "maintenance", "upgrading", "networkerror", "databaseerror", "dberror",
	}},
	{KindAccount, false, "gateway, metadata, terraform, siblings", []string{
		"unsubscri", "notsubscri", "nosubscri", "subscriptionexpired", "notactivat", "inactivated", "notopen", "needopen", "unopen", "notpurchas", "notbought",
		"permission", "notauthori", "unauthori", "|noauth", "|notauth", "|authentication", "|authfail", "|forbid",
		"accessdeni", "accessdeny", "explicitdeny", "implicitdeny", "policydeni", "ramdeny", "|ramdeni",
		"balance", "arrear", "overdue", "|indebt", "|debt", "|owe", "outstandingpay", "payment", "notenough", "insufficientfund", "creditlimit", "nocredit",
		"accountstatus", "accountdisable", "accountabnormal", "accountnotexist", "accountnotfound", "accountfrozen", "accountfreeze", "accountexpire",
		"accountsuspend", "accountclose", "accountinvalid", "^invalidaccount", "^invaliduser", "^invalidaliuid", "userdisable", "userfrozen", "usernotexist",
		"usernotfound", "userabnormal", "usersuspend", "|suspended", "|risk", "realname", "notcertif", "uncertif", "notverified",
		"outofservice", "servicestop", "businessstop",
	}},

	// This request, before any write.
	{KindRequest, false, "gateway, metadata", []string{
		"^invalid", "^isvinvalid", "^missing", "^isvmissing", "^illegal", "^unsupported", "notsupport$", "notsupported$", "notexist$", "notexists$", "malformed$",
	}},
}

// texts are asked of the message where the code says nothing. A message may repeat what
// the producer wrote, so these are whole phrases, and none of them proves that a call was
// turned away. The vendor's messages are English or Chinese.
var texts = []group{
	{KindFlow, true, "metadata", []string{
		"flowcontrol", "ratelimit", "toomanyrequests", "toofrequent", "requestspersecond", "requestsperminute", "qpslimit",
		"exceedsthelimitof", "流控", "限流", "频繁",
	}},
	{KindBusy, false, "metadata, siblings", []string{
		"isbusy", "systembusy", "beingprocessed", "internalerror", "unknownerror", "temporarily", "retrylater", "trylater", "tryagain", "againlater", "繁忙", "稍后",
	}},
	{KindAccount, false, "metadata, siblings", []string{
		"insufficientbalance", "balanceisinsufficient", "notenoughbalance", "balanceisnotenough", "overduepayment", "isoverdue", "arrears",
		"notauthorized", "nopermission", "permissiondenied", "donothavepermission", "notsubscribed", "notactivated", "notopened",
		"accountisdisabled", "accountissuspended", "accountisfrozen", "accountislocked", "riskcontrol", "余额不足", "欠费", "未开通", "无权限", "没有权限",
	}},
}

// kindOf returns what a code is about, and what the message is where the code says nothing.
// sure is false where the words do not prove that nothing was carried out.
func kindOf(code, message string) (kind Kind, sure bool) {
	// Some gateways put an expired token into the message of a general code.
	if strings.Contains(message, "SecurityToken.Expired") {
		return KindCredentials, true
	}
	if g := find(groups, code); g != nil {
		return g.kind, !g.unsure
	}
	if g := find(texts, message); g != nil {
		return g.kind, !g.unsure
	}
	return KindUnknown, false
}

func find(all []group, text string) *group {
	joined := fold(text)
	for i := range all {
		if slices.ContainsFunc(all[i].patterns, joined.has) {
			return &all[i]
		}
	}
	return nil
}

// gateway reports whether the code is one of the gateway's own for flow control, and
// afterAcceptance whether it is one of that family which has been seen later.
func gateway(code string) bool         { return find(groups[:1], code) != nil }
func afterAcceptance(code string) bool { return !gateway(code) && find(groups[1:2], code) != nil }

// folded is a text in lower case without what separates its words.
type folded struct {
	text string
	// starts are the places in text where a word begins.
	starts map[int]bool
}

// fold takes a text apart at its separators, and where a lower case letter or a digit is followed by
// an upper case one.
func fold(text string) folded {
	var b strings.Builder
	starts := map[int]bool{}
	last := '.'
	for _, r := range text {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			last = '.'
			continue
		case last == '.', unicode.IsUpper(r) && !unicode.IsUpper(last):
			starts[b.Len()] = true
		}
		b.WriteRune(unicode.ToLower(r))
		last = r
	}
	return folded{b.String(), starts}
}

// has reports whether the text matches a pattern: see [group].
func (f folded) has(pattern string) bool {
	word := strings.TrimSuffix(pattern, "$")
	end := word != pattern
	anchor := byte(0)
	if word[0] == '^' || word[0] == '|' {
		anchor, word = word[0], word[1:]
	}
	for from := 0; ; {
		at := strings.Index(f.text[from:], word)
		if at < 0 {
			return false
		}
		at += from
		if (anchor != '^' || at == 0) && (anchor != '|' || f.starts[at]) && (!end || at+len(word) == len(f.text)) {
			return true
		}
		from = at + 1
	}
}
