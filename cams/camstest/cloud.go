package camstest

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/camsq/camsq/cams"
)

// record is an instance, whose it is, and since when.
type record struct {
	cams.Instance
	account string
	since   time.Time
}

// Add puts an instance there that no call has made; lists show it at once. InstanceID
// and SubmitTime are filled in if empty. An empty keyID is the first key by name.
func (s *Server) Add(keyID string, i cams.Instance) cams.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store(s.keyOr(keyID), i, time.Time{})
}

func (s *Server) store(account string, i cams.Instance, since time.Time) cams.Instance {
	if i.InstanceID == "" {
		// Longer than a float64 is exact, so that a client who reads it as a number is found out.
		i.InstanceID = strconv.FormatUint(1<<60+s.config.Seed%(1<<20)<<32+uint64(len(s.instances)+1), 10)
	}
	if i.SubmitTime == "" {
		i.SubmitTime = s.config.Clock().UTC().Format(time.DateTime)
	}
	if i.ResourceRegionID == "" {
		i.ResourceRegionID = cams.DefaultRegion
	}
	s.instances = append(s.instances, record{Instance: i, account: account, since: since})
	return i
}

var (
	digits = regexp.MustCompile(`^[0-9]*$`)

	channelTypes = []string{"whatsapp", "messenger", "instagram", "viber"}

	createParams = []string{
		"ChannelType", "InstanceName", "InstanceDescription", "ResourceGroupId", "OfficeAddress",
		"ContactMail", "CountryId", "FacebookBmId", "IsvTerms", "IsConfirmAudit",
	}
)

func (s *Server) createInstance(account string, params url.Values, f *Fault) reply {
	if invalid := s.invalid(params); invalid != nil {
		return *invalid
	}
	instance := cams.Instance{
		InstanceName:        params.Get("InstanceName"),
		InstanceDescription: params.Get("InstanceDescription"),
		ChannelType:         params.Get("ChannelType"),
	}
	if f == nil || f.Created || f.Reply == ReplyOK {
		instance = s.store(account, instance, s.config.Clock())
	}
	if f == nil {
		return s.created(instance)
	}
	return s.failing(*f, s.created(instance), instance)
}

// invalid checks the parameters of a create as far as the API's page says what they are.
func (s *Server) invalid(params url.Values) *reply {
	refuse := func(r reply) *reply { return &r }
	for _, name := range []string{"ChannelType", "InstanceName"} {
		if params.Get(name) == "" {
			return refuse(s.refuse(http.StatusBadRequest, "MissingParameter", "The input parameter "+name+" that is mandatory for processing this request is not supplied."))
		}
	}
	for name, values := range params {
		if !slices.Contains(createParams, name) || len(values) != 1 || values[0] == "" {
			return refuse(s.refuse(http.StatusBadRequest, "InvalidParameter", "The parameter "+name+" is unknown, empty or repeated."))
		}
	}
	switch {
	case !slices.Contains(channelTypes, strings.ToLower(params.Get("ChannelType"))):
		return refuse(s.business("InvalidParameter.ChannelTypeNotSupport", "The channel type is not supported.", ""))
	case !digits.MatchString(params.Get("CountryId")):
		return refuse(s.business("InvalidParameter.CountryId", "The country code is not a number.", ""))
	case !digits.MatchString(params.Get("FacebookBmId")):
		return refuse(s.business("InvalidParameter.FacebookBmId", "The Facebook BM is not a number.", ""))
	case !slices.Contains([]string{"", "Y", "N"}, params.Get("IsConfirmAudit")):
		return refuse(s.business("InvalidParameter.IsConfirmAudit", "Want Y or N.", ""))
	}
	return nil
}

// listInstance finds names that contain the one asked for, and channel types in the lower
// case that the list's page shows: neither is documented, and both catch a client that trusts.
func (s *Server) listInstance(account string, params url.Values, f *Fault) reply {
	var found []record
	for _, r := range slices.Backward(s.instances) {
		channel := params.Get("ChannelType")
		if s.visible(r, account) && strings.Contains(r.InstanceName, params.Get("InstanceName")) &&
			(channel == "" || channel == strings.ToLower(r.ChannelType)) {
			found = append(found, r)
		}
	}
	size, index := number(params, "PageSize", 10), number(params, "PageIndex", 1)
	if size < 1 || index < 1 {
		return s.refuse(http.StatusBadRequest, "InvalidParameter.PageInvalid", "PageIndex and PageSize start at 1.")
	}
	if !s.config.Calm {
		size = min(size, 20) // a client must not take a short page for the last
	}
	from := min((index-1)*size, len(found))
	usual := s.listed(found[from:min(from+size, len(found))], len(found))
	if f == nil {
		return usual
	}
	return s.failing(*f, usual, cams.Instance{})
}

func (s *Server) queryInstance(account string, params url.Values, f *Fault) reply {
	id := params.Get("InstanceId")
	if id == "" {
		return s.refuse(http.StatusBadRequest, "MissingParameter", "The input parameter InstanceId that is mandatory for processing this request is not supplied.")
	}
	usual := s.business("QueryError.InstanceNotExist", "The instance does not exist.", "")
	for _, r := range s.instances {
		if s.visible(r, account) && r.InstanceID == id {
			usual = s.queried(r)
		}
	}
	if f == nil {
		return usual
	}
	return s.failing(*f, usual, cams.Instance{})
}

func (s *Server) visible(r record, account string) bool {
	return r.account == account && s.config.Clock().Sub(r.since) >= s.config.ListLag
}

func number(params url.Values, name string, fallback int) int {
	if params.Get(name) == "" {
		return fallback
	}
	n, err := strconv.Atoi(params.Get(name))
	if err != nil || n > 1<<20 {
		return 0
	}
	return n
}
