package camstest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Rule gives calls of an operation a fault. Of a server's rules the first that fits
// a call counts; if none does, the call meets the usual.
type Rule struct {
	// Action is the operation. Defaults to CreateInstance.
	Action string
	// Name fits calls whose InstanceName it matches. Defaults to any.
	Name *regexp.Regexp
	// Over fits calls above so many of the operation in the running second of the
	// clock. 0 fits from the first on.
	Over int
	// Times fits only so many calls, if it is not nil.
	Times *int
	// Fault is what happens to a call that the rule fits.
	Fault Fault
}

// ruleState is a rule and how often it has fitted.
type ruleState struct {
	Rule
	fitted int
}

// SetRules replaces Config.Rules while the server runs. Their counts begin anew.
func (s *Server) SetRules(rules []Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
	for _, r := range rules {
		r.Action = cmp.Or(r.Action, "CreateInstance")
		s.rules = append(s.rules, &ruleState{Rule: r})
	}
}

// ruled counts the call, and returns the fault that the rules have for it, or nil.
func (s *Server) ruled(c call) *Fault {
	now := s.config.Clock().Unix()
	rate := s.rates[c.account+" "+c.op]
	if rate.second != now {
		rate = pace{second: now}
	}
	rate.calls++
	s.rates[c.account+" "+c.op] = rate
	for _, r := range s.rules {
		switch {
		case r.Action != c.op, rate.calls <= r.Over:
		case r.Name != nil && !r.Name.MatchString(c.params.Get("InstanceName")):
		case r.Times != nil && r.fitted >= *r.Times:
		default:
			r.fitted++
			return &r.Fault
		}
	}
	return nil
}

// pace is how many calls came in a second of the clock.
type pace struct {
	second int64
	calls  int
}

// RulesFile is how a file configures a server: see ParseRules.
type RulesFile struct {
	Rules []Rule
	// Store names the form in which names are kept, as StoreForm knows it.
	Store string
	// FilterStored is as in Config.
	FilterStored bool
}

// ruleText is a rule as it stands in a file.
type ruleText struct {
	Action      string            `json:"action"`
	Name        string            `json:"name"`
	Over        int               `json:"over"`
	Times       *int              `json:"times"`
	Lose        bool              `json:"lose"`
	Created     bool              `json:"created"`
	Status      int               `json:"status"`
	Code        string            `json:"code"`
	Message     string            `json:"message"`
	HTML        *string           `json:"html"`
	ContentType string            `json:"content_type"`
	Headers     map[string]string `json:"headers"`
	Answer      map[string]string `json:"answer"`
	Endless     *int              `json:"endless"`
}

// ParseRules reads JSON of the form
//
//	{"rules": [{"status": 400, "code": "System.LimitControl", "over": 8}], "store": "lower", "filter": "stored"}
//
// The first rule that fits a call counts. A rule fits by action (default
// CreateInstance), name (a regular expression), over (only above so many calls of the
// action in the running second) and times (only the first so many calls that fit). What
// happens then:
//
//   - lose: the instance is made, and the connection ends without an answer;
//   - html: that page, with status (default 200) and content_type;
//   - code and message: with status 200 a business answer without Success, with another
//     (default 400) the gateway's error;
//   - status alone: an answer without a body;
//   - answer: a success whose instance has these fields instead, such as
//     {"ChannelType": "WHATSAPP"};
//   - endless: a page of the list that never ends, each instance with a description of
//     so many bytes;
//   - none of them: the usual success, for a rule that only adds headers.
//
// headers are added to the answer. created makes the instance although the answer does
// not say so. store is a form of StoreForm; filter is "stored" or "sent" (the default).
// A field that is not one of these is an error that names it.
func ParseRules(text []byte) (RulesFile, error) {
	var file struct {
		Rules  []json.RawMessage `json:"rules"`
		Store  string            `json:"store"`
		Filter string            `json:"filter"`
	}
	if err := strict(text, &file); err != nil {
		return RulesFile{}, fmt.Errorf("camstest: rules: %w", err)
	}
	out := RulesFile{Store: file.Store, FilterStored: file.Filter == "stored"}
	if _, known := StoreForm(file.Store); !known && file.Store != "" {
		return RulesFile{}, fmt.Errorf("camstest: rules: store %q is not one of %s", file.Store, strings.Join(StoreForms(), ", "))
	}
	if !slices.Contains([]string{"", "stored", "sent"}, file.Filter) {
		return RulesFile{}, fmt.Errorf("camstest: rules: filter %q is neither stored nor sent", file.Filter)
	}
	for i, raw := range file.Rules {
		var t ruleText
		err := strict(raw, &t)
		if err == nil {
			var rule Rule
			rule, err = t.rule()
			out.Rules = append(out.Rules, rule)
		}
		if err != nil {
			return RulesFile{}, fmt.Errorf("camstest: rule %d: %w", i+1, err)
		}
	}
	return out, nil
}

// strict decodes one JSON value that has no field which v does not have.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if d.More() {
		return errors.New("there is more after the end of the JSON object")
	}
	return nil
}

func (t ruleText) rule() (Rule, error) {
	r := Rule{Action: cmp.Or(t.Action, "CreateInstance"), Over: t.Over, Times: t.Times}
	if operations[r.Action] == nil {
		return r, fmt.Errorf("action %q is not one of CreateInstance, ListInstance, QueryInstance", t.Action)
	}
	if t.Over < 0 || t.Times != nil && *t.Times < 0 {
		return r, errors.New("over and times may not be negative")
	}
	if t.Name != "" {
		var err error
		if r.Name, err = regexp.Compile(t.Name); err != nil {
			return r, fmt.Errorf("name: %w", err)
		}
	}
	var err error
	r.Fault, err = t.fault()
	return r, err
}

// fault is what the rule does to a call. Of the ways to answer it may have one.
func (t ruleText) fault() (Fault, error) {
	f := Fault{Created: t.Created, Headers: t.Headers, Status: t.Status, Code: t.Code, Message: t.Message, Answer: t.Answer, ContentType: t.ContentType}
	ways := 0
	for _, given := range []bool{t.Lose, t.HTML != nil, t.Code != "" || t.Message != "", t.Answer != nil, t.Endless != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return f, errors.New("give one of lose, html, code with message, answer, endless")
	case t.Status != 0 && (t.Status < 200 || t.Status > 599):
		return f, fmt.Errorf("status %d is not from 200 to 599", t.Status)
	case t.Status != 0 && (t.Lose || t.Answer != nil || t.Endless != nil):
		return f, errors.New("status goes with code or html, or stands alone")
	case t.ContentType != "" && t.HTML == nil:
		return f, errors.New("content_type goes with html")
	case t.Lose:
		f.Reply, f.Created = ReplyReset, true
	case t.HTML != nil:
		f.Reply, f.Body, f.Status = ReplyPage, *t.HTML, cmp.Or(t.Status, http.StatusOK)
	case t.Status == http.StatusOK && (t.Code != "" || t.Message != ""):
		f.Reply = ReplyBusiness
	case t.Code != "" || t.Message != "":
		f.Reply, f.Status = ReplyError, cmp.Or(t.Status, http.StatusBadRequest)
	case t.Status != 0:
		f.Reply = ReplyPage
	case t.Endless != nil:
		f.Reply, f.Size = ReplyEndless, *t.Endless
	}
	return f, nil
}
