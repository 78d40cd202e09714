package metrics

import (
	"slices"

	"github.com/camsq/camsq/tasks"
)

const (
	// other stands for every label value that is not in a closed list.
	other = "other"
	// none stands for a code where there was no answer to have one.
	none = "none"
)

// callCodes lists the codes with series of their own, under the outcome that a call
// with this code is expected to have. A code with another outcome is counted as
// well; its series then begins with its first event instead of at zero.
//
// Sources: the vendor's page of codes common to all products (document 48054)
// and the chat app's own (document 196974), of which only a part is public.
var callCodes = map[tasks.Outcome][]string{
	tasks.OutcomeSucceeded: {"OK", "200"},
	tasks.OutcomeThrottled: {"Throttling", "Throttling.User", "Throttling.Api"},
	tasks.OutcomeRejected: {
		"MissingParameter",
		"InvalidParameter",
		"InvalidParameter.ChannelTypeNotSupport",
		"InvalidParameter.CreateError",
		"InvalidParameter.LanguageNotSupport",
		"InvalidParameter.MessageInvalid",
		"InvalidParameter.PageInvalid",
		"InvalidParameter.PhoneNumberError",
		"InvalidParameter.TemplateNameExist",
		"InvalidParameter.TemplateTypeNotSupport",
		"UnsupportedParameter",
	},
	tasks.OutcomeBlocked: {
		tasks.CodeNoCredentials,
		"Authentication.NoAuth",
		"NoPermission",
		"Forbidden",
		"Forbidden.RAM",
		"Forbidden.RiskControl",
		"Forbidden.UserVerification",
		"Forbidden.AccessKeyDisabled",
		"InvalidAccessKeyId.NotFound",
		"InvalidAccessKeyId.Inactive",
		"InvalidSecurityToken.Expired",
		"InvalidSecurityToken.Malformed",
		"InvalidSecurityToken.MismatchWithAccessKey",
		"MissingSecurityToken",
		"SignatureDoesNotMatch",
		"IncompleteSignature",
		"InvalidSignatureMethod",
		"InvalidTimeStamp.Expired",
		"InvalidTimeStamp.Format",
		"IllegalTimestamp",
		"InsufficientBalance",
		"InvalidAction.NotFound",
		"InvalidApi.NotFound",
		"InvalidVersion",
		"NoSuchVersion",
		"InvalidProduct.NotFound",
		"UnsupportedHTTPMethod",
		"InvalidProtocol.NeedSsl",
	},
	tasks.OutcomeAmbiguous: {
		tasks.CodeNoAnswer,
		tasks.CodeCallerDied,
		"InternalError",
		"UnknownError",
		"ServiceUnavailable",
		"OperationConflict",
		"SystemBusy",
		"LastTokenProcessing",
		"SignatureNonceUsed",
		"Throttling.ConcurrentLimitExceeded",
		"Rejected.Throttling",
	},
	tasks.OutcomeUnsent: {tasks.CodeUnsent},
}

// requestCodes lists the codes whose requests are counted from zero, under the
// outcome that they are expected with: those of an API that is well, and those of one
// that is away. Any other code's series begins with its first request, so that an
// account has few that say nothing.
var requestCodes = map[tasks.Outcome][]string{
	tasks.OutcomeSucceeded: {"OK"},
	tasks.OutcomeThrottled: {"Throttling.User"},
	tasks.OutcomeAmbiguous: {tasks.CodeNoAnswer, "HTTP.500", "HTTP.502", "HTTP.503", "HTTP.504"},
	tasks.OutcomeUnsent:    {tasks.CodeUnsent},
}

// httpCodes lists the codes of answers that have none of their own, but for their
// HTTP status: those of the web servers, proxies and load balancers in between.
var httpCodes = []string{
	"HTTP.200", "HTTP.301", "HTTP.302", "HTTP.303", "HTTP.307", "HTTP.308",
	"HTTP.400", "HTTP.401", "HTTP.403", "HTTP.404", "HTTP.405", "HTTP.407", "HTTP.408", "HTTP.409", "HTTP.413", "HTTP.429",
	"HTTP.499", "HTTP.500", "HTTP.502", "HTTP.503", "HTTP.504",
}

// familyCodes lists what the vendor's metadata documents for other operations of the
// chat app, and for products of the same department. Like those of httpCodes, their
// series begin with the first event.
var familyCodes = []string{
	"System.LimitControl", "isv.BUSINESS_LIMIT_CONTROL", "SYSTEM_LIMIT_CONTROL", "FlowLimited",
	"Product.Unsubscript", "isv.PRODUCT_UN_SUBSCRIPT",
	"Ram.PermissionDeny", "RamPermissionDeny", "isp.RAM_PERMISSION_DENY",
	"isv.AMOUNT_NOT_ENOUGH", "Insufficient.Balance", "isv.ACCOUNT_NOT_EXISTS", "isv.ACCOUNT_ABNORMAL",
	"isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL",
	"ServiceBusy", "isp.UNKNOWN",
}

// allCodes lists every code with a series of its own, whatever it is of.
func allCodes() []string { return slices.Concat(namedCodes(), familyCodes, httpCodes) }

// namedCodes lists those of the API and of camsq itself.
func namedCodes() []string {
	all := append([]string{none, other}, tasks.Codes()...)
	for _, codes := range callCodes {
		all = append(all, codes...)
	}
	return all
}

// finishCodes lists the codes that a job is expected to enter a state with.
func finishCodes(state tasks.State) []string {
	switch state {
	case tasks.StateCreated:
		return append([]string{none, other, tasks.CodeExists, tasks.CodeResolved}, callCodes[tasks.OutcomeSucceeded]...)
	case tasks.StateHeld:
		return []string{none, other, tasks.CodeSeveral, tasks.CodeNearMatch, tasks.CodeAbsent, tasks.CodeContradicted}
	case tasks.StateCancelled:
		return []string{none, other, tasks.CodeCancelled}
	case tasks.StateFailed:
		// A job whose budget is spent may end with any answer's code.
		return namedCodes()
	case tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain:
	}
	return nil
}
