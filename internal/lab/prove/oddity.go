package prove

import (
	"fmt"
	"slices"
	"strings"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
)

// oddity is a kind of unusual behaviour of the API, beside lost calls and answers.
type oddity string

const (
	oddNames          oddity = "names"          // stores names in another form than they were sent
	oddCodes          oddity = "codes"          // flow control, busy and unknown codes, and an account that is refused for a while
	oddPages          oddity = "pages"          // answers with web pages for a while
	oddContradictions oddity = "contradictions" // success answers that do not match the request
)

var oddities = []oddity{oddNames, oddCodes, oddPages, oddContradictions}

// DefaultOddities is the default of --odd.
const DefaultOddities = "all"

// ParseOddities reads a list such as "names,codes", or "all", or "none". The error is one of
// usage.
func ParseOddities(list string) ([]oddity, error) {
	switch list {
	case "all":
		return oddities, nil
	case "none":
		return nil, nil
	}
	var out []oddity
	for name := range strings.SplitSeq(list, ",") {
		o := oddity(strings.TrimSpace(name))
		if !slices.Contains(oddities, o) {
			return nil, exit.Usagef("prove: --odd %s: want names, codes, pages, contradictions, with commas between them, or all, or none", humanize.ShellQuote(list))
		}
		out = append(out, o)
	}
	return out, nil
}

// odd reports whether the trial has this kind.
func (o Options) odd(kind oddity) bool { return slices.Contains(o.Oddities, kind) }

// name is the instance name of the n-th job. With oddNames, every form changes something
// in it, and truncated names stay different.
func (o Options) name(n int) string {
	if o.odd(oddNames) {
		return fmt.Sprintf("%06d Prové & Co %d", n, o.Seed)
	}
	return fmt.Sprintf("prove_%d_%06d", o.Seed, n)
}

// storedShare of the names are stored in another form, each in its own; in storedWhole of
// the trials all names are, in one form.
const storedShare, storedWhole = 0.2, 0.25

// stored is the form in which the API stores a name.
func (o Options) stored(name string) string {
	ways := []string{"lower", "upper", "nfd", "html", "truncate", "suffix"}
	way := ""
	switch {
	case !o.odd(oddNames):
	case share(o.Seed, "all names", storedWhole):
		way = ways[draw(o.Seed, "way", 0).IntN(len(ways))]
	case share(o.Seed, "stored "+name, storedShare):
		way = ways[draw(o.Seed, "way "+name, 0).IntN(len(ways))]
	}
	if store, ok := camstest.StoreForm(way); ok {
		return store(name)
	}
	return name
}

// madeUp are the IDs of instances that answers name and that do not exist. The last one is
// the stand-in's own.
var madeUp = []string{"cams-invented", "4040404"}

// contradiction is a success answer that does not match the request. The instance is
// created all the same.
func contradiction(n int) *camstest.Fault {
	answers := []map[string]string{
		{"ChannelType": "PIGEON"},
		{"InstanceName": "another-name"},
		{"InstanceId": "cams\n\x1b[31m\x00"},
		{"InstanceId": strings.Repeat("9", 300)},
		{"InstanceId": ""},
		{"InstanceId": madeUp[0], "ChannelType": "PIGEON"},
	}
	return &camstest.Fault{Answer: answers[n%len(answers)]}
}

// strangeCode is an answer whose code the vendor documents for other products, or nowhere.
// Flow control refuses the call; the others may have carried it out.
func strangeCode(n int, made bool) *camstest.Fault {
	codes := []camstest.Fault{
		{Reply: camstest.ReplyError, Status: 400, Code: "System.LimitControl", Message: "The system is under flow control."},
		{Reply: camstest.ReplyBusiness, Code: "isv.BUSINESS_LIMIT_CONTROL", Message: "The request is too frequent."},
		{Reply: camstest.ReplyError, Status: 400, Code: "Some.New.Limit", Message: "slow down", Headers: map[string]string{"x-acs-retry-after": "300"}},
		{Reply: camstest.ReplyError, Status: 400, Code: "ServiceBusy", Created: made},
		{Reply: camstest.ReplyError, Status: 400, Code: "SystemError", Created: made},
		{Reply: camstest.ReplyError, Status: 400, Code: "OperationFailed.LastTokenProcessing", Created: made},
		{Reply: camstest.ReplyBusiness, Code: "isp.UNKNOWN", Created: made},
		{Reply: camstest.ReplyError, Status: 404, Code: "Strange.New.Code", Created: made},
		{Reply: camstest.ReplyBusiness, Code: "Strange.New.Code", Created: made},
	}
	return &codes[n%len(codes)]
}

// oddFault returns an odd answer to a create, or nil. n is a random number.
func (o Options) oddFault(n int, made bool) *camstest.Fault {
	switch p := n % 100; {
	case p < 12 && o.odd(oddContradictions):
		return contradiction(n / 100)
	case p >= 12 && p < 32 && o.odd(oddCodes):
		return strangeCode(n/100, made)
	}
	return nil
}

// oddRefusals are the answers to every call of an account for a while.
var oddRefusals = map[faultKind][]camstest.Fault{
	faultRefused: {
		{Reply: camstest.ReplyError, Status: 400, Code: "Product.Unsubscript", Message: "You have not subscribed to the specified product."},
		{Reply: camstest.ReplyError, Status: 400, Code: "Ram.PermissionDeny", Message: "You are not authorized to perform the operation."},
		{Reply: camstest.ReplyBusiness, Code: "isv.AMOUNT_NOT_ENOUGH", Message: "The balance is not enough."},
	},
	faultPages: {
		{Reply: camstest.ReplyPage, Status: 404, Body: "<html><body><h1>404 Not Found</h1><hr>nginx</body></html>"},
		{Reply: camstest.ReplyPage, Status: 403, Body: "<html>This page is blocked by your administrator.</html>"},
		{Reply: camstest.ReplyPage, Status: 400, Body: "Bad Request", ContentType: "text/plain"},
	},
}
