package cams

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
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

// contradiction is the error for an answer that says OK and cannot be taken at its word.
func (a answer) contradiction(err error) *Error {
	e := a.facts
	e.Err = err
	return &e
}

// ListInstancesRequest filters a list. Empty fields do not filter. What the API's
// filters match (the exact name, a part of it, which case) is not documented.
type ListInstancesRequest struct {
	ChannelType  string
	InstanceName string
}

const (
	pageSize = 50
	maxPages = 200
)

// ListInstances returns what the API's ListInstance returns for r, all pages of it.
// A list that is not whole is an error and not a shorter list, since callers decide by
// what is absent. It is safe to repeat. The error is always an *[Error].
func (c *Client) ListInstances(ctx context.Context, r ListInstancesRequest) ([]Instance, error) {
	const op = "ListInstance"
	params := url.Values{"PageSize": {strconv.Itoa(pageSize)}}
	if r.ChannelType != "" {
		params.Set("ChannelType", r.ChannelType)
	}
	if r.InstanceName != "" {
		params.Set("InstanceName", r.InstanceName)
	}
	var list []Instance
	seen := map[string]bool{}
	for index := 1; index <= maxPages; index++ {
		params.Set("PageIndex", strconv.Itoa(index))
		a, e := c.call(ctx, op, params)
		if e != nil {
			return nil, e
		}
		page, total, err := a.instances()
		if err != nil {
			return nil, a.contradiction(err)
		}
		// An instance that was made meanwhile shifts the pages, so rows may come twice.
		// A page of nothing new is the end, or means that pages go in circles.
		last := true
		for _, instance := range page {
			if !seen[instance.InstanceID] {
				seen[instance.InstanceID] = true
				last = false
				list = append(list, instance)
			}
		}
		switch {
		case last && len(list) < total:
			return nil, a.contradiction(fmt.Errorf("the list has %d of its %d instances: pages are missing", len(list), total))
		case last, total > 0 && len(list) >= total:
			return list, nil
		}
	}
	return nil, &Error{Op: op, Sent: true, Status: http.StatusOK, Err: fmt.Errorf("the list does not end within %d pages", maxPages)}
}

// FindInstances returns the instances whose name is exactly instanceName and whose
// channel type is channelType in any case. A row without a channel type counts, so that
// an instance is not called absent for want of a field. It is safe to repeat. The error
// is always an *[Error].
func (c *Client) FindInstances(ctx context.Context, channelType, instanceName string) ([]Instance, error) {
	// The channel type is compared here only: ListInstance documents lower case,
	// CreateInstance upper case, and a filter that does not match hides an instance.
	list, err := c.ListInstances(ctx, ListInstancesRequest{InstanceName: instanceName})
	if err != nil {
		return nil, err
	}
	var found []Instance
	for _, instance := range list {
		if instance.InstanceName == instanceName &&
			(instance.ChannelType == "" || strings.EqualFold(instance.ChannelType, channelType)) {
			found = append(found, instance)
		}
	}
	return found, nil
}
