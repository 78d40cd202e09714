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

// record is an instance, and the call that made it. For one that no call has made it
// has no times.
type record struct {
	cams.Instance
	requested string // the name that the call asked for
	account   string
	since     time.Time
	arrived   time.Time
}

// Create is a call that has made an instance.
type Create struct {
	cams.Instance
	// Requested is the name that the call asked for. The instance may be stored under another.
	Requested string
	KeyID     string
	// Arrived is when the request came in, on Config.Clock.
	Arrived time.Time
}

// Creates returns the calls that have made instances, in the order in which they did.
func (s *Server) Creates() []Create {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Create
	for _, r := range s.instances {
		if !r.since.IsZero() {
			list = append(list, Create{r.Instance, r.requested, r.account, r.arrived})
		}
	}
	return list
}

// Add puts an instance there that no call has made, as it is; lists show it at once.
// InstanceID and SubmitTime are filled in if empty. An empty keyID is the first key by name.
func (s *Server) Add(keyID string, i cams.Instance) cams.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store(record{Instance: i, requested: i.InstanceName, account: s.keyOr(keyID)})
}

func (s *Server) store(r record) cams.Instance {
	i := &r.Instance
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
	at := len(s.instances)
	s.instances = append(s.instances, r)
	s.byID[i.InstanceID] = at
	s.byName.add(r.account, i.InstanceName, at)
	return *i
}

var (
	digits = regexp.MustCompile(`^[0-9]*$`)

	channelTypes = []string{"whatsapp", "messenger", "instagram", "viber"}

	createParams = []string{
		"ChannelType", "InstanceName", "InstanceDescription", "ResourceGroupId", "OfficeAddress",
		"ContactMail", "CountryId", "FacebookBmId", "IsvTerms", "IsConfirmAudit",
	}
)

func (s *Server) createInstance(c call, f *Fault) reply {
	if invalid := s.invalid(c.params); invalid != nil {
		return *invalid
	}
	requested := c.params.Get("InstanceName")
	instance := cams.Instance{
		InstanceName:        s.stored(requested),
		InstanceDescription: c.params.Get("InstanceDescription"),
		ChannelType:         c.params.Get("ChannelType"),
	}
	if f == nil || f.Created || f.Reply == ReplyOK || f.Reply == ReplyEndless {
		instance = s.store(record{Instance: instance, requested: requested, account: c.account, since: s.config.Clock(), arrived: c.arrived})
	}
	if f == nil {
		return s.created(instance, requested, nil)
	}
	return s.failing(*f, s.created(instance, requested, f.Answer), instance)
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
func (s *Server) listInstance(c call, f *Fault) reply {
	params, now := c.params, s.config.Clock()
	name, channel := s.filtered(params.Get("InstanceName")), params.Get("ChannelType")
	var found []record
	s.byName.find(c.account, name, func(at int) {
		r := s.instances[at]
		if s.visible(r, now) && strings.Contains(r.InstanceName, name) && (channel == "" || channel == strings.ToLower(r.ChannelType)) {
			found = append(found, r)
		}
	})
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
	if f.Reply == ReplyEndless {
		usual = s.endless(*f, params.Get("InstanceName"), size)
	}
	return s.failing(*f, usual, cams.Instance{})
}

func (s *Server) queryInstance(c call, f *Fault) reply {
	id := c.params.Get("InstanceId")
	if id == "" {
		return s.refuse(http.StatusBadRequest, "MissingParameter", "The input parameter InstanceId that is mandatory for processing this request is not supplied.")
	}
	usual := s.business("QueryError.InstanceNotExist", "The instance does not exist.", "")
	if at, ok := s.byID[id]; ok {
		if r := s.instances[at]; r.account == c.account && s.visible(r, s.config.Clock()) {
			usual = s.queried(r)
		}
	}
	if f == nil {
		return usual
	}
	return s.failing(*f, usual, cams.Instance{})
}

func (s *Server) visible(r record, now time.Time) bool {
	return now.Sub(r.since) >= s.config.ListLag
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
