package metrics

import "github.com/camsq/camsq/tasks"

const (
	// other stands for every label value that is not in a closed list.
	other = "other"
	// none stands for a code where there was no answer to have one.
	none = "none"
)

// callCodes lists the codes that are told apart, under the outcome that a call
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

// allCodes lists every code that is told apart, whatever it is of.
func allCodes() []string {
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
		return []string{none, other, tasks.CodeSeveral, tasks.CodeAbsent, tasks.CodeContradicted}
	case tasks.StateCancelled:
		return []string{none, other, tasks.CodeCancelled}
	case tasks.StateFailed:
		// A job whose budget is spent may end with any answer's code.
		return allCodes()
	case tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain:
	}
	return nil
}
