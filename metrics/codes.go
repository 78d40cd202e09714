package metrics

import "github.com/camsq/camsq/tasks"

const (
	// other stands for every label value that is not in a closed list.
	other = "other"
	// none stands for a code where there was no answer to have one.
	none = "none"
)

// apiCodes lists the answers' codes that are told apart, under the outcome that
// they are expected to lead to. A code with another outcome is counted as well;
// its series then begins with its first event instead of at zero.
//
// Sources: the vendor's page of codes common to all products (document 48054)
// and the chat app's own (document 196974), of which only a part is public.
var apiCodes = []struct {
	outcome tasks.Outcome
	codes   []string
}{
	{tasks.OutcomeSucceeded, []string{"OK", "200"}},
	{tasks.OutcomeThrottled, []string{
		"Throttling",
		"Throttling.User",
		"Throttling.Api",
		"Throttling.ConcurrentLimitExceeded",
		"Rejected.Throttling",
	}},
	{tasks.OutcomeRejected, []string{
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
		"InvalidAction.NotFound",
		"InvalidApi.NotFound",
		"InvalidVersion",
		"NoSuchVersion",
		"InvalidProduct.NotFound",
		"UnsupportedHTTPMethod",
		"InvalidProtocol.NeedSsl",
	}},
	{tasks.OutcomeBlocked, []string{
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
	}},
	{tasks.OutcomeAmbiguous, []string{
		"InternalError",
		"UnknownError",
		"ServiceUnavailable",
		"OperationConflict",
		"SystemBusy",
		"LastTokenProcessing",
		"SignatureNonceUsed",
	}},
}
