package tasks

import (
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds that no setting moves. All are ours.
const (
	maxBatch         = 128
	maxFacebookBmID  = 32
	maxMail          = 254 // RFC 5321 leaves no room for a longer address
	maxURL           = 2048
	maxMetadata      = 20
	maxMetadataValue = 500
	maxQuery         = 8000 // the parameters travel in the request line, which many servers cut near 8 KB
)

// Rules bounds what [Job.Validate] accepts. The zero value holds the defaults.
//
// The vendor's page says of its parameters only that they are strings and that
// ChannelType and InstanceName are required. Every rule below is ours: it stops
// what is a mistake for certain, or what would be costly if it were one.
type Rules struct {
	// ChannelTypes are the channel types that may be asked for. Ours: the page of
	// CreateInstance lists none, that of ListInstance lists these.
	// Defaults to WHATSAPP, MESSENGER, INSTAGRAM, VIBER.
	ChannelTypes []string
	// MaxName bounds InstanceName, in characters. Ours. Defaults to 128.
	MaxName int
	// MaxDescription bounds InstanceDescription and OfficeAddress, in characters.
	// Ours. Defaults to 512.
	MaxDescription int
	// AnyTerms lets IsvTerms be something else than an https URL. Ours: the
	// vendor's English page calls it a URL, the Chinese one a file's name.
	AnyTerms bool
	// AccountKnown says whether an account is configured. Ours. Defaults to any
	// name that [ValidAccount] accepts.
	AccountKnown func(account string) bool
	// AllowPrivateCallbacks lets callback_url be http. Ours. It is meant for
	// receivers on a private network; addresses are checked when it is sent.
	AllowPrivateCallbacks bool
}

// FieldError is what is wrong with one field.
type FieldError struct {
	// Field is the name that the producer knows: a parameter of the API, or
	// job_id, account, batch, priority, callback_url, metadata, metadata.KEY;
	// "request" stands for all parameters together.
	Field string
	// Reason is one clause that says what to do. It repeats no value but that of
	// ChannelType, clipped.
	Reason string
}

// InvalidError lists everything that is wrong with a job.
type InvalidError struct {
	Fields []FieldError
}

// Error is one line.
func (e *InvalidError) Error() string {
	all := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		all[i] = f.Field + ": " + f.Reason
	}
	return "tasks: job is not valid: " + strings.Join(all, "; ")
}

// Validate checks a job that [Job.Normalize] returned. Its error is an
// [*InvalidError] that names all faults at once, at most one for each field.
//
// The vendor's rule: ChannelType and InstanceName are required. Ours:
//
//   - no text holds control characters or is anything but UTF-8; OfficeAddress
//     alone may hold line feeds, since an address has lines;
//   - no text holds characters that cannot be seen, except where a script or an emoji
//     needs them: a joiner between two letters of Persian or Hindi, the style of an emoji;
//   - InstanceName is no word for nothing that a program has left, such as NULL or #N/A,
//     no placeholder of a template, and more than strokes and dots; nor is job_id such a
//     word; no parameter is a spreadsheet's error;
//   - ChannelType, InstanceName, InstanceDescription, OfficeAddress and IsvTerms
//     are bounded as [Rules] says;
//   - CountryId is 1 to 6 digits, FacebookBmId up to 32, IsConfirmAudit Y or N,
//     ContactMail one bare address; ResourceGroupId is opaque;
//   - an ID or a name that a spreadsheet has rounded (3.93993E+08) is refused;
//   - the encoded parameters take at most 8000 bytes;
//   - job_id is 1 to 128 of A-Z a-z 0-9 . _ : @ / = + - and begins with a letter or digit;
//     account is as in [ValidAccount]; batch is up to 128 printable characters;
//   - priority is one of those that there are: see [Priority];
//   - callback_url is an absolute https URL without user info;
//   - metadata has up to 20 keys as in [ValidMetadataKey], each with up to 500 characters.
func (j Job) Validate(rules Rules) error {
	var faults faults
	faults.add("job_id", checkID(j.ID))
	faults.add("account", rules.checkAccount(j.Account))
	for i, f := range j.Request.fields() {
		faults.add(params[i].Name, rules.checkParam(params[i], *f))
	}
	faults.add("request", checkSize(&j.Request))
	faults.add("batch", checkBatch(j.Batch))
	faults.add("priority", checkPriority(j.Priority))
	faults.add("callback_url", rules.checkCallback(j.CallbackURL))
	if len(j.Metadata) > maxMetadata {
		faults.add("metadata", fmt.Sprintf("must have at most %d keys", maxMetadata))
	}
	for _, key := range sortedKeys(j.Metadata) {
		if !ValidMetadataKey(key) {
			faults.add("metadata", fmt.Sprintf("the key %q must be 1 to 40 of A-Z a-z 0-9 . _ -", clip(key, 40)))
			continue
		}
		faults.add("metadata."+key, checkMetadataValue(j.Metadata[key]))
	}
	if len(faults) > 0 {
		return &InvalidError{Fields: faults}
	}
	return nil
}

func sortedKeys(metadata map[string]string) []string {
	if len(metadata) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(metadata))
}

type faults []FieldError

func (f *faults) add(field, reason string) {
	if reason != "" {
		*f = append(*f, FieldError{Field: field, Reason: reason})
	}
}

// Every check below returns the reason to refuse a value, or "".

const reasonRounded = "looks like a number that a spreadsheet has rounded; format the column as text"

// roundedRule asks for the plus sign, which spreadsheets always write: 7e10 may be a true ID.
var roundedRule = regexp.MustCompile(`^[0-9]+([.,][0-9]+)?[eE]\+[0-9]+$`)

// isRounded looks for the plus sign first: a regular expression takes longer than all
// else that is done with a value.
func isRounded(value string) bool {
	return strings.IndexByte(value, '+') >= 0 && roundedRule.MatchString(value)
}

// ValidMetadataKey says whether a name can be a key of a job's metadata: 1 to
// 40 of A-Z, a-z, 0-9, dot, underscore and hyphen.
func ValidMetadataKey(key string) bool { return key != "" && len(key) <= 40 && keyBytes.all(key) }

func checkID(id string) string {
	switch {
	case isRounded(id):
		return reasonRounded
	case isNothing(id), isSheetError(id):
		return "is a word for nothing, as a program leaves it; give the job an ID, or none for one that is derived from its name"
	case !validID(id):
		return "must be 1 to 128 of A-Z a-z 0-9 . _ : @ / = + - and begin with a letter or digit"
	}
	return ""
}

func (r Rules) checkAccount(account string) string {
	switch {
	case !ValidAccount(account):
		return "must be 1 to 63 of a-z 0-9 _ - and begin with a letter or digit"
	case r.AccountKnown != nil && !r.AccountKnown(account):
		return "names no configured account"
	}
	return ""
}

func (r Rules) checkParam(p Param, value string) string {
	if value == "" {
		if p.Required {
			return "is required"
		}
		return ""
	}
	if reason := checkText(value, p.Name == "OfficeAddress"); reason != "" {
		return reason
	}
	if isSheetError(value) {
		return "is a spreadsheet's error; correct the formula, or type the value"
	}
	switch p.Name {
	case "ChannelType":
		return r.checkChannel(value)
	case "InstanceName":
		if isRounded(value) {
			return reasonRounded
		}
		if reason := checkNothing(value); reason != "" {
			return reason
		}
		return checkLength(value, or(r.MaxName, 128))
	case "InstanceDescription", "OfficeAddress":
		return checkLength(value, or(r.MaxDescription, 512))
	case "ResourceGroupId":
		if isRounded(value) {
			return reasonRounded
		}
	case "ContactMail":
		return checkMail(value)
	case "CountryId":
		return checkDigits(value, 6, "must be 1 to 6 digits, without a plus sign")
	case "FacebookBmId":
		if len(value) > maxFacebookBmID {
			return fmt.Sprintf("must be at most %d digits", maxFacebookBmID)
		}
		return checkDigits(value, maxFacebookBmID, "must be digits only")
	case "IsvTerms":
		return r.checkTerms(value)
	case "IsConfirmAudit":
		if value != "Y" && value != "N" {
			return "must be Y or N"
		}
	}
	return ""
}

func (r Rules) checkChannel(value string) string {
	allowed := r.ChannelTypes
	if len(allowed) == 0 {
		allowed = []string{"WHATSAPP", "MESSENGER", "INSTAGRAM", "VIBER"}
	}
	if slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, value) }) {
		return ""
	}
	return fmt.Sprintf("%q is not one of %s", clip(value, 40), strings.Join(allowed, ", "))
}

func (r Rules) checkTerms(value string) string {
	if r.AnyTerms {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return "must be the https URL of the terms file"
	}
	return ""
}

func (r Rules) checkCallback(value string) string {
	if value == "" {
		return ""
	}
	if reason := checkText(value, false); reason != "" {
		return reason
	}
	if len(value) > maxURL {
		return fmt.Sprintf("must be at most %d bytes long", maxURL)
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "":
		return "must be an absolute URL, such as https://example.com/hook"
	case u.Scheme != "https" && !(u.Scheme == "http" && r.AllowPrivateCallbacks):
		return "must be an https URL"
	case u.User != nil:
		return "must hold no user name or password"
	}
	return ""
}

func checkMail(value string) string {
	if len(value) > maxMail {
		return fmt.Sprintf("must be at most %d characters long", maxMail)
	}
	if isDotAtoms(value) {
		return ""
	}
	if hasOddSpace(value) {
		return "holds a space that is not a plain one; remove it"
	}
	// ParseAddress also takes "Name <address>"; only the bare form comes back as it was.
	a, err := mail.ParseAddress(value)
	if err != nil || a.Address != value {
		return "is not a mail address"
	}
	return ""
}

// isDotAtoms says whether a value is an address of the usual form, which needs no
// parser: RFC 5322's dot-atom on both sides of the @.
func isDotAtoms(value string) bool {
	local, domain, ok := strings.Cut(value, "@")
	return ok && isDotAtom(local) && isDotAtom(domain)
}

func isDotAtom(text string) bool {
	for i := range len(text) {
		if text[i] == '.' && (i == 0 || i == len(text)-1 || text[i-1] == '.') {
			return false
		}
	}
	return text != "" && dotAtomBytes.all(text)
}

func checkDigits(value string, most int, reason string) string {
	switch {
	case isRounded(value):
		return reasonRounded
	case len(value) > most || !digits.all(value):
		return reason
	}
	return ""
}

func checkBatch(value string) string {
	if reason := checkText(value, false); reason != "" {
		return reason
	}
	if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "must hold printable characters only"
	}
	return checkLength(value, maxBatch)
}

func checkPriority(p Priority) string {
	if !p.Valid() {
		return "must be high or normal; leave it out for normal"
	}
	return ""
}

func checkMetadataValue(value string) string {
	if reason := checkText(value, false); reason != "" {
		return reason
	}
	return checkLength(value, maxMetadataValue)
}

func checkLength(value string, limit int) string {
	if utf8.RuneCountInString(value) > limit {
		return fmt.Sprintf("must be at most %d characters long", limit)
	}
	return ""
}

// checkSize counts what the parameters take in the query, percent-encoded.
func checkSize(request *Request) string {
	size, most := 0, 0
	for i, f := range request.fields() {
		most += len(params[i].Name) + len("=&") + len("%XX")*len(*f)
	}
	if most <= maxQuery {
		return "" // however much of it is encoded
	}
	for i, f := range request.fields() {
		value := *f
		if value == "" {
			continue
		}
		size += len(params[i].Name) + len("=&")
		for _, b := range []byte(value) {
			if unreserved(b) {
				size++
			} else {
				size += len("%XX")
			}
		}
	}
	if size > maxQuery {
		return fmt.Sprintf("takes more than %d bytes when encoded; shorten the longest parameters", maxQuery)
	}
	return ""
}

// unreserved is RFC 3986, 2.3: what percent-encoding leaves as it is.
func unreserved(b byte) bool {
	switch {
	case 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', '0' <= b && b <= '9':
		return true
	}
	return strings.IndexByte("-_.~", b) >= 0
}

func or(set, fallback int) int {
	if set > 0 {
		return set
	}
	return fallback
}
