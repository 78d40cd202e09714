package camstest

import (
	"fmt"
	"time"
)

// Fault is what happens to one call instead of the usual. It is a pair: whether the
// instance is created, and what the client gets to see. Validation comes first: a call
// with bad parameters creates nothing.
type Fault struct {
	// Created says that the instance exists although the reply does not say so.
	// ReplyOK always creates, and operations other than CreateInstance never do.
	Created bool

	Reply Reply

	// RetryAfter is sent as x-acs-retry-after with an HTTP error. 0: not sent, but for
	// ReplyThrottled, where it is one second.
	RetryAfter time.Duration

	// Headers are added to the answer, whatever it is.
	Headers map[string]string

	// Status, Code and Message are the answer of ReplyError, Code and Message that of
	// ReplyBusiness.
	Status  int
	Code    string
	Message string

	// Body, with Status and ContentType (text/html by default), is the answer of ReplyPage.
	Body        string
	ContentType string

	// Answer replaces fields of the instance in a success answer, by their names at the
	// API, such as ChannelType or InstanceId: an answer that contradicts the request, or
	// itself. The instance that exists is the usual one. For ReplyOK of CreateInstance.
	Answer map[string]string

	// Size is how long the description is of each instance that ReplyEndless makes up.
	Size int
}

// Reply is what the client gets to see of a call.
type Reply uint8

// The replies. A gateway answers with an HTTP error; the product behind it with 200.
const (
	ReplyOK            Reply = iota // the usual answer
	ReplyReset                      // the request is read, then the connection is reset
	ReplyHang                       // no answer until the client gives up or the server closes
	Reply500                        // InternalError
	Reply502Empty                   // a load balancer's, with no body
	Reply503                        // ServiceUnavailable
	Reply503HTML                    // a load balancer's page
	ReplyGarbage                    // 200, not JSON
	ReplyEmpty                      // 200, no body
	ReplyTruncated                  // 200, cut in the middle of the usual answer
	ReplyOversized                  // 200, the usual answer and 2 MiB more
	ReplyThrottled                  // 400 Throttling.User
	ReplyForbidden                  // 403 NoPermission, with AccessDeniedDetail as an object
	ReplyXML                        // 400 InvalidParameter as XML
	ReplyRedirect                   // 307 to the same place, which would repeat the call
	ReplyRejected                   // 200 InvalidParameter.ChannelTypeNotSupport
	ReplyBusy                       // 200 SystemBusy
	ReplyNoInstanceID               // 200 OK that names no instance; for CreateInstance
	ReplyContradiction              // 200 InternalError that names an instance; for CreateInstance
	ReplyError                      // Status, Code and Message of the Fault
	ReplyBusiness                   // 200 with Code and Message of the Fault, and without Success
	ReplyPage                       // Status and Body of the Fault: a page that no API wrote
	ReplyEndless                    // 200, a full page of new instances of the name, each time; for ListInstance, else as ReplyOK
	replies
)

var replyNames = [replies]string{
	"OK", "Reset", "Hang", "500", "502Empty", "503", "503HTML", "Garbage", "Empty", "Truncated", "Oversized",
	"Throttled", "Forbidden", "XML", "Redirect", "Rejected", "Busy", "NoInstanceID", "Contradiction", "Error",
	"Business", "Page", "Endless",
}

// Replies returns all replies, so that a test can leave none out.
func Replies() []Reply {
	all := make([]Reply, replies)
	for i := range all {
		all[i] = Reply(i)
	}
	return all
}

// String returns the name without "Reply".
func (r Reply) String() string {
	if r >= replies {
		return fmt.Sprintf("Reply(%d)", uint8(r))
	}
	return replyNames[r]
}

// Next queues faults for the next calls of an operation, one each. They come after
// authentication and quota.
func (s *Server) Next(op string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued[op] = append(s.queued[op], faults...)
}

// FailName queues faults for the next creates of that instance name. They come before
// those of Next.
func (s *Server) FailName(name string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faultsByName[name] = append(s.faultsByName[name], faults...)
}

// Always makes every call of an operation meet a fault, after those of Next and
// FailName and before the rules, until it is nil: an account that may not call, for instance.
func (s *Server) Always(op string, f *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always[op] = f
}

// fault returns the fault that this call meets, or nil.
func (s *Server) fault(c call) *Fault {
	op, name := c.op, c.params.Get("InstanceName")
	ruled := s.ruled(c) // counts, whatever else the call meets
	if op == "CreateInstance" {
		if f := pop(s.faultsByName, name); f != nil {
			return f
		}
	}
	if f := pop(s.queued, op); f != nil {
		return f
	}
	if f := s.always[op]; f != nil {
		return f
	}
	if ruled != nil {
		return ruled
	}
	if s.config.FaultRate <= 0 || s.random.Float64() >= s.config.FaultRate {
		return nil
	}
	choices := randomFaults
	if op == "CreateInstance" {
		choices = randomCreateFaults
	}
	choice := choices[s.random.IntN(len(choices))]
	return &choice
}

// randomCreateFaults are those that a job survives, with and without the instance.
var randomCreateFaults = []Fault{
	{Reply: ReplyThrottled},
	{Reply: ReplyThrottled},
	{Reply: ReplyReset, Created: true},
	{Reply: ReplyReset, Created: false},
	{Reply: Reply500, Created: true},
	{Reply: Reply500, Created: false},
	{Reply: Reply503HTML, Created: true},
	{Reply: Reply503HTML, Created: false},
	{Reply: Reply502Empty, Created: true},
	{Reply: Reply502Empty, Created: false},
	{Reply: ReplyGarbage, Created: true},
	{Reply: ReplyTruncated, Created: true},
	{Reply: ReplyNoInstanceID, Created: true},
}

var randomFaults = []Fault{
	{Reply: ReplyThrottled},
	{Reply: ReplyReset},
	{Reply: Reply500},
	{Reply: Reply503HTML},
	{Reply: ReplyGarbage},
	{Reply: ReplyTruncated},
}

func pop(queues map[string][]Fault, key string) *Fault {
	queue := queues[key]
	if len(queue) == 0 {
		return nil
	}
	queues[key] = queue[1:]
	return &queue[0]
}
