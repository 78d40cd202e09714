package cams

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// answer is the envelope that all operations share, and that the gateway uses for errors.
type answer struct {
	Code               text
	Message            text
	RequestID          text `json:"RequestId"`
	AccessDeniedDetail json.RawMessage
	TotalCount         text
	Data               json.RawMessage

	// facts is what an error about this answer says, whatever Code is.
	facts Error
}

// text is a scalar whatever its JSON type. The API page declares InstanceName an
// integer and shows a string; a code may be "OK" or 200. The literal is kept, so a
// long number loses no digits. Null, objects and arrays are empty.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		return json.Unmarshal(b, (*string)(t))
	case '{', '[', 'n':
		*t = ""
	default:
		*t = text(b)
	}
	return nil
}

// decode reads an answer's body: JSON, or the XML form of a gateway error.
func decode(body []byte) (answer, error) {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return answer{}, errors.New("unreadable answer: the body is empty")
	case body[0] == '{':
		var a answer
		if err := json.Unmarshal(body, &a); err != nil {
			return answer{}, fmt.Errorf("unreadable answer: %w", err)
		}
		return a, nil
	case body[0] == '<':
		if a, ok := decodeXML(body); ok {
			return a, nil
		}
		if page.Match(body) {
			return answer{}, errors.New("unreadable answer: the body is a web page (HTML), not a JSON object")
		}
	}
	return answer{}, errors.New("unreadable answer: the body is not a JSON object")
}

var page = regexp.MustCompile(`(?i)^<(!doctype )?html[\s>]`)

func decodeXML(body []byte) (answer, bool) {
	var e struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
	}
	if err := xml.Unmarshal(body, &e); err != nil || e.Code == "" {
		return answer{}, false
	}
	return answer{Code: text(e.Code), Message: text(e.Message), RequestID: text(e.RequestID)}, true
}

// ok reports whether the code is the one for success. The page says OK; its Chinese
// twin says 200.
func (a answer) ok() bool { return a.Code == "OK" || a.Code == "200" }

// row reads Data as one instance. Data of another shape is an empty one.
func (a answer) row() instanceRow {
	var row instanceRow
	if err := json.Unmarshal(a.Data, &row); err != nil {
		return instanceRow{}
	}
	return row
}

// instance is the instance that Data names. It has no InstanceID if Data has none, or
// one that can be none.
func (a answer) instance() Instance { return a.row().instance() }

// instances reads Data as a page of a list, and the number of instances that the
// whole list has, or 0 if that is not said.
func (a answer) instances() ([]Instance, int, error) {
	total, _ := strconv.Atoi(string(a.TotalCount))
	if len(a.Data) == 0 {
		return nil, total, nil
	}
	var rows []instanceRow
	if err := json.Unmarshal(a.Data, &rows); err != nil {
		return nil, 0, fmt.Errorf("unreadable answer: Data: %w", err)
	}
	page := make([]Instance, 0, len(rows))
	for _, row := range rows {
		instance := row.instance()
		switch {
		case row.InstanceID == "":
			return nil, 0, errors.New("unreadable answer: an instance in the list has no InstanceId")
		case instance.InstanceID == "":
			return nil, 0, errors.New("unreadable answer: an instance in the list has an InstanceId that can be none")
		}
		page = append(page, instance)
	}
	return page, total, nil
}

type instanceRow struct {
	InstanceID          text `json:"InstanceId"`
	InstanceName        nameText
	InstanceDescription text
	ChannelType         text
	ResourceRegionID    text `json:"ResourceRegionId"`
	SubmitTime          text
}

// instance is the row within its bounds. Its name stays as it was sent: see nameWithin.
func (r instanceRow) instance() Instance {
	field := func(t text) string { return oneLine(string(t), maxField) }
	return Instance{
		InstanceID:          readableID(string(r.InstanceID)),
		InstanceName:        nameWithin(string(r.InstanceName.text)),
		InstanceDescription: field(r.InstanceDescription),
		ChannelType:         field(r.ChannelType),
		ResourceRegionID:    field(r.ResourceRegionID),
		SubmitTime:          field(r.SubmitTime),
	}
}

// nameText is a name, and whether it was a JSON string.
type nameText struct {
	text   text
	quoted bool
}

func (n *nameText) UnmarshalJSON(b []byte) error {
	n.quoted = b[0] == '"'
	return n.text.UnmarshalJSON(b)
}

// number is what the API's page declares an instance's name to be.
var number = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)

// says returns the name that the row gives the instance, or "" if it gives none: the
// API's page declares the name an integer, and its sample shows 0.
func (n nameText) says() string {
	name := notPlaceholder(string(n.text))
	if !n.quoted || number.MatchString(name) {
		return ""
	}
	return name
}

// denied reads AccessDeniedDetail, a string in some answers and an object in others.
// Of the object it takes what says why; the rest names the caller's account.
func (a answer) denied() string {
	var object struct{ NoPermissionType, AuthAction text }
	if err := json.Unmarshal(a.AccessDeniedDetail, &object); err == nil {
		return strings.TrimSpace(string(object.NoPermissionType) + " " + string(object.AuthAction))
	}
	var s text
	if err := json.Unmarshal(a.AccessDeniedDetail, &s); err != nil {
		return ""
	}
	return notPlaceholder(string(s))
}

// notPlaceholder empties the words that the API's samples have where there is nothing to say.
func notPlaceholder(s string) string {
	switch s {
	case "NULL", "null", "None", "{}":
		return ""
	}
	return s
}
