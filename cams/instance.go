package cams

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// CreateInstanceRequest holds the ten parameters of CreateInstance, all of them
// strings. Empty ones are not sent. ChannelType and InstanceName are required by the
// API. See https://www.alibabacloud.com/help/en/chatapp/developer-reference/api-cams-2020-06-06-createinstance.
type CreateInstanceRequest struct {
	ChannelType         string // such as VIBER
	InstanceName        string
	InstanceDescription string
	ResourceGroupID     string
	OfficeAddress       string // personal data: never in an error
	ContactMail         string // personal data: never in an error
	CountryID           string
	FacebookBmID        string
	IsvTerms            string // URL of the ISV terms file
	IsConfirmAudit      string // Y
}

func (r CreateInstanceRequest) params() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"ChannelType":         r.ChannelType,
		"InstanceName":        r.InstanceName,
		"InstanceDescription": r.InstanceDescription,
		"ResourceGroupId":     r.ResourceGroupID,
		"OfficeAddress":       r.OfficeAddress,
		"ContactMail":         r.ContactMail,
		"CountryId":           r.CountryID,
		"FacebookBmId":        r.FacebookBmID,
		"IsvTerms":            r.IsvTerms,
		"IsConfirmAudit":      r.IsConfirmAudit,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// Instance is an instance as the API describes it. Each field has its bound: the ID is 1
// to 128 letters, digits and _ . : - and begins with a letter or digit, the others are one
// line of at most 256 bytes. The name alone is as it was sent, for it is compared, and has
// at most 1 KiB: it may hold what no terminal should get.
type Instance struct {
	InstanceID          string
	InstanceName        string
	InstanceDescription string
	ChannelType         string
	ResourceRegionID    string
	SubmitTime          string // as sent: the format and the time zone are not documented

	// RequestID is the API's own for the call that created it, to be quoted to its
	// support. Empty in lists.
	RequestID string
}

// CreateInstance creates an instance, a real and billed one. It must not be repeated
// after an error whose Sent is true, unless the error proves that nothing was created:
// the API has no client token and does not refuse a name that exists. The error is
// always an *[Error].
//
// Success is a 200 whose code is OK and that names the instance which was asked for; the
// Success field is not looked at, since the API's own sample of a success has it false.
// An answer that says OK of another channel type, of another name, or of an ID that can be
// none is an error with the code OK, and [Error.InstanceID] if it names an instance. The
// name and the channel type returned are those asked for, in that spelling.
//
// Give ctx a deadline; there is no other.
func (c *Client) CreateInstance(ctx context.Context, r CreateInstanceRequest) (Instance, error) {
	a, e := c.call(ctx, "CreateInstance", r.params(), r.ContactMail, r.OfficeAddress)
	row := a.row()
	instance := row.instance()
	if e == nil {
		if err := r.contradicted(row); err != nil {
			e = a.contradiction(err)
		}
	}
	if e != nil {
		e.InstanceID = instance.InstanceID
		return Instance{}, e
	}
	instance.ChannelType, instance.InstanceName, instance.RequestID = r.ChannelType, r.InstanceName, a.facts.RequestID
	return instance, nil
}

// contradicted says what of a success answer is not what was asked for. What the answer
// leaves out contradicts nothing, and neither does a name that is a number. Names are
// compared as they are: whether a name that differs is this one as the API keeps it, a
// lookup has to report.
func (r CreateInstanceRequest) contradicted(row instanceRow) error {
	channel := oneLine(notPlaceholder(string(row.ChannelType)), maxField)
	name := row.InstanceName.says()
	switch {
	case row.InstanceID == "":
		return errors.New("the answer is a success but has no InstanceId")
	case readableID(string(row.InstanceID)) == "":
		return errors.New("the answer is a success but its InstanceId can be none")
	case channel != "" && !strings.EqualFold(channel, r.ChannelType):
		return fmt.Errorf("the answer is a success for the channel type %s, and not for %s", cut(channel, 40), r.ChannelType)
	case name != "" && name != r.InstanceName:
		return errors.New("the answer is a success for another instance name")
	}
	return nil
}
