package tasks

import (
	"strings"
)

// DefaultAccount is the account of a job that names none.
const DefaultAccount = "default"

// Job is what a producer asks for: one instance.
type Job struct {
	// ID is the producer's own name for the job, or "" for one that is derived
	// from account, channel type and instance name: see [Job.Normalize].
	ID string `json:"id"`
	// Account is the lane whose credentials and quota the call uses. Defaults to "default".
	Account string `json:"account"`
	// Batch names the file or the run that the job came with. It may be empty.
	Batch string `json:"batch,omitempty"`
	// Request holds the API's parameters.
	Request Request `json:"request"`
	// Priority says whether the job goes before the account's others. It is no part
	// of the request: the same job sent with another priority keeps the one it has.
	Priority Priority `json:"priority,omitempty"`
	// CallbackURL is the receiver of the outcome, instead of the default receiver.
	CallbackURL string `json:"callback_url,omitempty"`
	// Metadata is the producer's own; it comes back in the webhook as it was given.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Priority is which of an account's jobs go first. Jobs of high priority get most
// of the quota while there are any, and never all of it.
type Priority string

// The priorities. The zero value is the usual one, which people call "normal".
const (
	PriorityNormal Priority = ""
	PriorityHigh   Priority = "high"
)

// Valid says whether p is one of the priorities, in the form that
// [Job.Normalize] gives it.
func (p Priority) Valid() bool { return p == PriorityNormal || p == PriorityHigh }

func (p Priority) normalize() Priority {
	p = Priority(trimText(mapASCII(string(p), 'A', 'a')))
	if p == "normal" {
		return PriorityNormal
	}
	return p
}

// Request holds the ten parameters of CreateInstance, all strings, under the
// API's own names (seed: CreateInstance, "Request parameters").
type Request struct {
	ChannelType         string `json:"ChannelType"`
	InstanceName        string `json:"InstanceName"`
	InstanceDescription string `json:"InstanceDescription,omitempty"`
	ResourceGroupID     string `json:"ResourceGroupId,omitempty"`
	OfficeAddress       string `json:"OfficeAddress,omitempty"`
	ContactMail         string `json:"ContactMail,omitempty"`
	CountryID           string `json:"CountryId,omitempty"`
	FacebookBmID        string `json:"FacebookBmId,omitempty"`
	IsvTerms            string `json:"IsvTerms,omitempty"`
	IsConfirmAudit      string `json:"IsConfirmAudit,omitempty"`
}

// Param is one of the API's parameters: its name, and where a request keeps it.
type Param struct {
	Name     string
	Required bool
	Field    func(*Request) *string
}

var params = []Param{
	{"ChannelType", true, func(r *Request) *string { return &r.ChannelType }},
	{"InstanceName", true, func(r *Request) *string { return &r.InstanceName }},
	{"InstanceDescription", false, func(r *Request) *string { return &r.InstanceDescription }},
	{"ResourceGroupId", false, func(r *Request) *string { return &r.ResourceGroupID }},
	{"OfficeAddress", false, func(r *Request) *string { return &r.OfficeAddress }},
	{"ContactMail", false, func(r *Request) *string { return &r.ContactMail }},
	{"CountryId", false, func(r *Request) *string { return &r.CountryID }},
	{"FacebookBmId", false, func(r *Request) *string { return &r.FacebookBmID }},
	{"IsvTerms", false, func(r *Request) *string { return &r.IsvTerms }},
	{"IsConfirmAudit", false, func(r *Request) *string { return &r.IsConfirmAudit }},
}

// fields are the parameters in the order of params. Unlike Param.Field, which the
// compiler cannot see through, they leave the request on the stack.
func (r *Request) fields() [10]*string {
	return [...]*string{
		&r.ChannelType, &r.InstanceName, &r.InstanceDescription, &r.ResourceGroupID, &r.OfficeAddress,
		&r.ContactMail, &r.CountryID, &r.FacebookBmID, &r.IsvTerms, &r.IsConfirmAudit,
	}
}

// Params lists the API's parameters in the order of its documentation.
func Params() []Param { return append([]Param(nil), params...) }

// Ref returns the job's name.
func (j Job) Ref() Ref { return Ref{Account: j.Account, ID: j.ID} }

// Normalize returns the job as it is kept. Two jobs that look the same to a reader are
// then the same:
//
//   - every parameter is composed (Unicode's NFC), and what cannot be seen at its ends is
//     dropped: white space of any kind, and characters without a shape, as zero widths,
//     byte order marks and marks of direction are; job_id, account, priority and
//     callback_url lose it too;
//   - white space inside InstanceName is one plain space each, however wide it was;
//   - an optional parameter that holds a word for nothing, as programs write it (NULL, \N,
//     nan, undefined, N/A, -), is empty; InstanceName keeps it, for [Job.Validate] to
//     refuse, and CountryId keeps NA, which is Namibia and no number;
//   - the channel type and IsConfirmAudit are in upper case (the only form that the
//     vendor's page shows), the priority is in lower case and "normal" is [PriorityNormal],
//     and the account defaults to "default";
//   - a job without an ID gets one that is derived from account, channel type and instance
//     name, so that the same row is the same job however often it is sent.
//
// Batch and Metadata stay as they are.
func (j Job) Normalize() Job {
	// Before the texts are composed: an upper-case letter may compose where a lower-case one does not.
	j.Request.ChannelType = mapASCII(j.Request.ChannelType, 'a', 'A')
	j.Request.IsConfirmAudit = mapASCII(j.Request.IsConfirmAudit, 'a', 'A')
	for i, f := range j.Request.fields() {
		switch {
		case *f == "":
		case f == &j.Request.InstanceName:
			*f = cleanName(*f)
		default:
			*f = CleanText(*f)
			if !params[i].Required && (isNothing(*f) || isDash(*f)) && !(f == &j.Request.CountryID && *f == "NA") {
				*f = ""
			}
		}
	}
	j.ID = trimText(j.ID)
	j.Account = trimText(j.Account)
	j.CallbackURL = trimText(j.CallbackURL)
	j.Priority = j.Priority.normalize()
	if j.Account == "" {
		j.Account = DefaultAccount
	}
	if j.ID == "" {
		j.ID = "job_" + digest(j.Account, j.Request.ChannelType, j.Request.InstanceName)
	}
	return j
}

// NameKey identifies (ChannelType, InstanceName) within an account, in whichever form the
// API may store the name: see [FoldName]. Jobs with the same key never overlap.
func (r Request) NameKey() string { return NameKey(r.ChannelType, r.InstanceName) }

// NameKey is [Request.NameKey] of an instance that the API lists.
func NameKey(channelType, name string) string {
	return digest(strings.ToUpper(channelType), FoldName(name))
}

// Redact returns text with every personal value of the request cut out of it. A
// vendor's message may repeat what it was sent.
func (r Request) Redact(text string) string {
	for _, v := range []string{r.ContactMail, r.OfficeAddress} {
		if v != "" {
			text = strings.ReplaceAll(text, v, "[redacted]")
		}
	}
	return text
}

// ValidAccount says whether a name can name an account: 1 to 63 of a-z, 0-9,
// underscore and hyphen, the first a letter or digit.
func ValidAccount(name string) bool {
	return name != "" && len(name) <= 63 && lowerOrDigit[name[0]] && accountBytes.all(name)
}

func validID(id string) bool {
	return id != "" && len(id) <= 128 && letterOrDigit[id[0]] && idBytes.all(id)
}

// byteSet holds the bytes that a name may have.
type byteSet [256]bool

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	digit   = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + lower
	alnum   = letters + digit
)

var (
	digits        = bytesOf(digit)
	lowerOrDigit  = bytesOf(lower + digit)
	letterOrDigit = bytesOf(alnum)
	accountBytes  = bytesOf(lower + digit + "_-")
	idBytes       = bytesOf(alnum + "._:@/=+-")
	keyBytes      = bytesOf(alnum + "_.-")
	dotAtomBytes  = bytesOf(alnum + ".!#$%&'*+-/=?^_`{|}~")
)

func bytesOf(text string) *byteSet {
	var set byteSet
	for i := range len(text) {
		set[text[i]] = true
	}
	return &set
}

func (s *byteSet) all(text string) bool {
	for i := range len(text) {
		if !s[text[i]] {
			return false
		}
	}
	return true
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
