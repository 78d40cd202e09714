package camstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/camsq/camsq/cams"
)

// reply is what goes out, or how the connection ends.
type reply struct {
	status int
	header map[string]string
	body   []byte
	end    ending
	// throttled says that it is a refusal by flow control.
	throttled bool
}

type ending uint8

const (
	endWhole ending = iota
	endCut          // half of the body, then a reset
	endReset
	endHang
)

type field struct {
	name  string
	value any
}

// object writes the fields as JSON: in order if calm, else shuffled.
func (s *Server) object(fields ...field) json.RawMessage {
	if !s.config.Calm {
		s.random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	parts := make([]string, 0, len(fields))
	for _, f := range fields {
		value, err := json.Marshal(f.value)
		if err != nil {
			panic(err) // only strings, numbers and raw JSON are given
		}
		parts = append(parts, strconv.Quote(f.name)+":"+string(value))
	}
	return json.RawMessage("{" + strings.Join(parts, ",") + "}")
}

// oneOf is the first choice if calm, else any.
func (s *Server) oneOf(choices ...any) any {
	if s.config.Calm {
		return choices[0]
	}
	return choices[s.random.IntN(len(choices))]
}

// envelope is an answer of the product: what all operations share, with the values that
// the API's page shows, declares, or shows in place of what it declares.
func (s *Server) envelope(code any, message string, success bool, more ...field) reply {
	fields := []field{{"RequestId", s.requestID()}, {"Code", code}}
	said := s.oneOf(message, message, message)
	if message == "" {
		said = s.oneOf("NULL", "", "None", nil, "OK")
	}
	optional := []field{
		{"AccessDeniedDetail", s.oneOf("None", "{}", nil, json.RawMessage("{}"))},
		{"Message", said},
		{"Success", s.oneOf(success, true, false)},
	}
	for _, f := range optional {
		if s.config.Calm || f.value == message || s.random.IntN(4) > 0 {
			fields = append(fields, f)
		}
	}
	if !s.config.Calm {
		fields = append(fields, field{"Extra" + strconv.Itoa(s.random.IntN(100)), s.oneOf(json.RawMessage(`{"Code":"no","InstanceId":[1]}`), 1, nil, "x")})
	}
	return reply{status: http.StatusOK, body: s.object(append(fields, more...)...)}
}

// created is the answer to a create that asked for a name. Fields of the instance may be
// replaced.
func (s *Server) created(i cams.Instance, requested string, replaced map[string]string) reply {
	data := s.data(i, s.oneOf(requested, 0, nil))
	for at := range data {
		if value, ok := replaced[data[at].name]; ok {
			data[at].value = value
		}
	}
	return s.envelope(s.oneOf("OK", "OK", "OK", "200", 200), "", true, field{"Data", s.object(data...)})
}

func (s *Server) data(i cams.Instance, name any) []field {
	fields := []field{
		{"InstanceId", i.InstanceID},
		{"InstanceName", name},
		{"InstanceDescription", i.InstanceDescription},
		{"ChannelType", s.oneOf(i.ChannelType, i.ChannelType, strings.ToLower(i.ChannelType))},
		{"ResourceRegionId", i.ResourceRegionID},
		{"SubmitTime", i.SubmitTime},
	}
	if !s.config.Calm {
		fields = append(fields, field{"CustType", "01"}, field{"Extra", json.RawMessage(`{"deep":[{}]}`)})
	}
	return fields
}

func (s *Server) listed(page []record, total int) reply {
	rows := make([]json.RawMessage, 0, len(page))
	for _, r := range page {
		rows = append(rows, s.object(append(s.data(r.Instance, r.InstanceName), field{"State", "published"})...))
	}
	data := any(rows)
	if len(rows) == 0 {
		data = s.oneOf(rows, nil)
	}
	fields := []field{{"Data", data}}
	if s.config.Calm || s.random.IntN(8) > 0 {
		fields = append(fields, field{"TotalCount", s.oneOf(total, strconv.Itoa(total))})
	}
	return s.envelope("OK", "", true, fields...)
}

// endless is a page of a list without an end: each instance on it is new.
func (s *Server) endless(f Fault, name string, size int) reply {
	rows := make([]json.RawMessage, 0, size)
	for range size {
		i := cams.Instance{
			InstanceID: strconv.FormatUint(s.random.Uint64()>>1, 10), InstanceName: name,
			InstanceDescription: strings.Repeat("d", f.Size), ResourceRegionID: cams.DefaultRegion,
		}
		rows = append(rows, s.object(s.data(i, name)...))
	}
	return s.envelope("OK", "", true, field{"Data", rows})
}

func (s *Server) queried(r record) reply {
	return s.envelope("OK", "", true, field{"Data", s.object(s.data(r.Instance, r.InstanceName)...)})
}

// business is a refusal by the product: HTTP 200, and only the code says no.
func (s *Server) business(code, message, instanceID string) reply {
	var more []field
	if instanceID != "" {
		more = append(more, field{"Data", s.object(field{"InstanceId", instanceID})})
	}
	return s.envelope(code, message, false, more...)
}

// refuse is a refusal by the gateway: an HTTP error.
func (s *Server) refuse(status int, code, message string) reply {
	fields := []field{
		{"RequestId", s.requestID()},
		{"HostId", "cams.ap-southeast-1.aliyuncs.com"},
		{"Code", code},
		{"Message", message},
		{"Recommend", "https://api.aliyun.com/troubleshoot"},
	}
	if status == http.StatusForbidden {
		fields = append(fields, field{"AccessDeniedDetail", s.object(
			field{"AuthAction", "cams:CreateInstance"},
			field{"AuthPrincipalType", "SubUser"},
			field{"AuthPrincipalOwnerId", "1000000000000001"},
			field{"NoPermissionType", "ImplicitDeny"},
			field{"PolicyType", "AccountLevelIdentityBasedPolicy"},
		)})
	}
	return reply{status: status, body: s.object(fields...)}
}

func (s *Server) throttle(wait time.Duration) reply {
	r := s.refuse(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.")
	r.throttled = true
	if !s.config.NoRetryAfter {
		r.header = retryHeader(wait)
	}
	return r
}

func retryHeader(wait time.Duration) map[string]string {
	ms := (wait + time.Millisecond - 1) / time.Millisecond
	return map[string]string{"x-acs-retry-after": strconv.FormatInt(int64(max(ms, 1)), 10)}
}

func (s *Server) requestID() string {
	a, b := s.random.Uint64(), s.random.Uint64()
	return fmt.Sprintf("%08X-%04X-%04X-%04X-%012X", uint32(a>>32), uint16(a>>16), uint16(a), uint16(b>>48), b&(1<<48-1))
}

// failing is the reply that a fault asks for. The usual one is what it spoils.
func (s *Server) failing(f Fault, usual reply, i cams.Instance) reply {
	r := s.spoil(f, usual, i)
	header := map[string]string{}
	maps.Copy(header, r.header)
	if f.RetryAfter > 0 && r.status >= 300 {
		maps.Copy(header, retryHeader(f.RetryAfter))
	}
	maps.Copy(header, f.Headers)
	r.header = header
	return r
}

func (s *Server) spoil(f Fault, usual reply, i cams.Instance) reply {
	switch f.Reply {
	case ReplyOK, ReplyEndless:
		return usual
	case ReplyReset:
		return reply{end: endReset}
	case ReplyHang:
		return reply{end: endHang}
	case Reply500:
		return s.refuse(500, "InternalError", "The request processing has failed due to some unknown error.")
	case Reply502Empty:
		return reply{status: 502}
	case Reply503:
		return s.refuse(503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
	case Reply503HTML:
		return reply{status: 503, header: map[string]string{"Content-Type": "text/html"}, body: []byte("<html>\n<head><title>503 Service Temporarily Unavailable</title></head>\n<body></body>\n</html>\n")}
	case ReplyGarbage:
		return reply{status: 200, body: []byte("\x00\x1f\x8bOK")}
	case ReplyEmpty:
		return reply{status: 200}
	case ReplyTruncated:
		usual.end = endCut
		return usual
	case ReplyOversized:
		usual.body = append(slices.Clone(usual.body), strings.Repeat(" ", 2<<20)...)
		return usual
	case ReplyThrottled:
		return s.throttle(time.Second)
	case ReplyForbidden:
		return s.refuse(403, "NoPermission", "You are not authorized to do this action.")
	case ReplyXML:
		return reply{
			status: 400, header: map[string]string{"Content-Type": "text/xml;charset=utf-8"},
			body: []byte("<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>" + s.requestID() + "</RequestId><HostId>cams</HostId><Code>InvalidParameter</Code><Message>A parameter is not valid.</Message></Error>"),
		}
	case ReplyRedirect:
		return reply{status: 307}
	case ReplyRejected:
		return s.business("InvalidParameter.ChannelTypeNotSupport", "The channel type is not supported.", "")
	case ReplyBusy:
		return s.business("SystemBusy", "The system is busy. Try again later.", "")
	case ReplyNoInstanceID:
		return s.envelope("OK", "", true, field{"Data", s.oneOf(json.RawMessage("{}"), nil, "")})
	case ReplyContradiction:
		if i.InstanceID == "" {
			i.InstanceID = "4040404"
		}
		return s.business("InternalError", "The request processing has failed.", i.InstanceID)
	case ReplyError:
		if f.Status == http.StatusOK {
			return s.business(f.Code, f.Message, "")
		}
		r := s.refuse(f.Status, f.Code, f.Message)
		r.throttled = strings.Contains(f.Code, "Throttling")
		return r
	case ReplyBusiness:
		return reply{status: http.StatusOK, body: s.object(
			field{"RequestId", s.requestID()}, field{"Code", f.Code}, field{"Message", f.Message},
		)}
	case ReplyPage:
		kind := f.ContentType
		if kind == "" {
			kind = "text/html"
		}
		return reply{status: f.Status, header: map[string]string{"Content-Type": kind}, body: []byte(f.Body)}
	}
	panic("camstest: a Fault has the unknown reply " + f.Reply.String())
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, out reply) {
	switch out.end {
	case endHang:
		select {
		case <-r.Context().Done():
		case <-s.listening.closed:
		}
		hangUp(w)
		return
	case endReset:
		hangUp(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=utf-8")
	h.Set("Date", s.config.Clock().UTC().Format(http.TimeFormat))
	h.Set("Content-Length", strconv.Itoa(len(out.body)))
	for name, value := range out.header {
		h.Set(name, value)
	}
	if out.status == http.StatusTemporaryRedirect {
		h.Set("Location", r.URL.String()) // who follows it uses a nonce twice
	}
	w.WriteHeader(out.status)
	if out.end == endCut {
		_, _ = w.Write(out.body[:len(out.body)/2])
		_ = http.NewResponseController(w).Flush() // the head must arrive, or it is only a reset
		hangUp(w)
		return
	}
	_, _ = w.Write(out.body) // the client may have gone
}

// hangUp ends the connection with a reset, where there is a socket to reset.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
