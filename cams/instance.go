package cams

import (
	"context"
	"errors"
	"net/url"
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

// Instance is an instance as the API describes it.
type Instance struct {
	InstanceID          string
	InstanceName        string
	InstanceDescription string
	ChannelType         string
	ResourceRegionID    string
	SubmitTime          string // as sent: the format and the time zone are not documented
}

// CreateInstance creates an instance, a real and billed one. It must not be repeated
// after an error whose Sent is true, unless the error proves that nothing was created:
// the API has no client token and does not refuse a name that exists. The error is
// always an *[Error].
//
// Success is a 200 whose code is OK and that names an instance; the Success field is
// not looked at, since the API's own sample of a success has it false. The name
// returned is the one asked for: the page declares it an integer in the answer.
//
// Give ctx a deadline; there is no other.
func (c *Client) CreateInstance(ctx context.Context, r CreateInstanceRequest) (Instance, error) {
	a, e := c.call(ctx, "CreateInstance", r.params(), r.ContactMail, r.OfficeAddress)
	instance := a.instance()
	if e != nil {
		e.InstanceID = instance.InstanceID
		return Instance{}, e
	}
	if instance.InstanceID == "" {
		return Instance{}, a.contradiction(errors.New("the answer is a success but has no InstanceId"))
	}
	instance.InstanceName = r.InstanceName
	return instance, nil
}
