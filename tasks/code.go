package tasks

// Codes that camsq itself puts where the API's code would stand. The API's own
// have no such prefix.
const (
	// CodeExists means that an instance of that name stood there before the first call.
	CodeExists = "camsq.InstanceExists"
	// CodeSeveral means that there are several instances between which only an operator can choose.
	CodeSeveral = "camsq.SeveralInstances"
	// CodeNearMatch means that the API returned instances for the job's name whose own
	// names are not exactly it: only an operator can decide whether one is the job's.
	CodeNearMatch = "camsq.NearMatch"
	// CodeAbsent means that no instance was found for the whole settle window after an uncertain call.
	CodeAbsent = "camsq.NoneFound"
	// CodeContradicted means that an answer named an instance and contradicted itself or the request, and no look
	// showed that this is the job's.
	CodeContradicted = "camsq.Contradicted"
	// CodeTriesSpent and CodeAgeSpent mean that the job's budget is spent.
	CodeTriesSpent = "camsq.TriesSpent"
	CodeAgeSpent   = "camsq.AgeSpent"
	// CodeNoAnswer means that a call was sent and nothing readable came back.
	CodeNoAnswer = "camsq.NoAnswer"
	// CodeCallerDied means that the process that was calling did not say how it ended.
	CodeCallerDied = "camsq.CallerDied"
	// CodeUnsent means that the call did not leave.
	CodeUnsent = "camsq.Unsent"
	// CodeNoCredentials means that the account has no usable credentials.
	CodeNoCredentials = "camsq.NoCredentials"
	// CodeResolved means that an operator decided.
	CodeResolved = "camsq.Resolved"
	// CodeCancelled means that an operator cancelled the job.
	CodeCancelled = "camsq.Cancelled"
)

// Codes lists the codes that camsq itself decides, for metrics.
func Codes() []string {
	return []string{
		CodeExists, CodeSeveral, CodeNearMatch, CodeAbsent, CodeContradicted, CodeTriesSpent, CodeAgeSpent, CodeNoAnswer,
		CodeCallerDied, CodeUnsent, CodeNoCredentials, CodeResolved, CodeCancelled,
	}
}
