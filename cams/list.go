package cams

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/url"
	"strconv"
	"strings"
)

// ListInstancesRequest filters a list. Empty fields do not filter. What the API's
// filters match (the exact name, a part of it, which case) is not documented.
type ListInstancesRequest struct {
	ChannelType  string
	InstanceName string
}

const (
	pageSize = 50
	maxPages = 20_000
	// maxRows is how many rows a page may have: more than was asked for, since the size
	// of a page may be a wish only, and not so many that they fill the memory.
	maxRows = 2 * pageSize
)

// MaxFound is how many instances of exactly one name a [Search] finds: see [Search.Over].
const MaxFound = 1_000

// ListInstances returns what the API's ListInstance returns for r, all pages of it.
// A list that is not whole is an error and not a shorter list, since callers decide by
// what is absent. What is made or deleted meanwhile may be in it or not. It is safe to
// repeat. The error is always an *[Error].
func (c *Client) ListInstances(ctx context.Context, r ListInstancesRequest) ([]Instance, error) {
	var all []Instance
	var l listing
	for {
		a, page, total, err := c.page(ctx, r, l.pages+1)
		if err != nil {
			return nil, err
		}
		fresh, done, err := l.add(page, total)
		all = append(all, fresh...)
		if err != nil {
			return nil, a.contradiction(err)
		}
		if done {
			return all, nil
		}
	}
}

// page asks for a page of a list.
func (c *Client) page(ctx context.Context, r ListInstancesRequest, index int) (a answer, page []Instance, total int, err error) {
	params := url.Values{"PageSize": {strconv.Itoa(pageSize)}, "PageIndex": {strconv.Itoa(index)}}
	if r.ChannelType != "" {
		params.Set("ChannelType", r.ChannelType)
	}
	if r.InstanceName != "" {
		params.Set("InstanceName", r.InstanceName)
	}
	a, e := c.call(ctx, "ListInstance", params)
	if e != nil {
		return a, nil, 0, e
	}
	if page, total, err = a.instances(); err != nil {
		return a, nil, 0, a.contradiction(err)
	}
	if len(page) > maxRows {
		return a, nil, 0, a.contradiction(fmt.Errorf("a page of the list has %d instances, and %d were asked for", len(page), pageSize))
	}
	return a, page, total, nil
}

// Search looks for the instances whose name is exactly InstanceName and whose channel
// type is ChannelType in any case, page by page: see [Client.SearchPage]. A row without
// a channel type counts, so that an instance is not called absent for want of a field.
// The API may find many more: names that only contain this one, or this one as the API
// keeps it. They are handed out with their page: see [Search.Others].
type Search struct {
	ChannelType, InstanceName string

	found, others []Instance
	list          listing
	over          bool
}

// Found returns the instances that were found so far, [MaxFound] at most.
func (s *Search) Found() []Instance { return s.found }

// Over says that there are more of them. The search has ended then, and is not whole.
func (s *Search) Over() bool { return s.over }

// Others returns the other instances of the channel type that the last page had and none
// before it: the API returned them for this name, and their name is another one. What the
// API does to a name that it stores is not documented, so one of them may be meant.
func (s *Search) Others() []Instance { return s.others }

// Pages is how many pages were taken.
func (s *Search) Pages() int { return s.list.pages }

// Take takes the next page of what the API finds, and reports whether it is the last.
// total is how many it finds in all, or 0 if that is not known. An error means that
// what is absent in Found may be there all the same: the search is to begin anew.
func (s *Search) Take(page []Instance, total int) (done bool, err error) {
	fresh, done, err := s.list.add(page, total)
	s.others = nil
	for _, i := range fresh {
		switch {
		case i.ChannelType != "" && !strings.EqualFold(i.ChannelType, s.ChannelType):
		case i.InstanceName != s.InstanceName:
			s.others = append(s.others, i)
		case len(s.found) == MaxFound:
			s.over = true
		default:
			s.found = append(s.found, i)
		}
	}
	return done || s.over && err == nil, err
}

// SearchPage asks for the next page of a search, and reports whether it was the last. It
// is one call. After an error the same page may be asked for again, unless the error's
// code is OK: then the search is to begin anew. The error is always an *[Error].
func (c *Client) SearchPage(ctx context.Context, s *Search) (done bool, err error) {
	// The channel type is compared here only: ListInstance documents lower case,
	// CreateInstance upper case, and a filter that does not match hides an instance.
	a, page, total, err := c.page(ctx, ListInstancesRequest{InstanceName: s.InstanceName}, s.list.pages+1)
	if err != nil {
		return false, err
	}
	if done, err = s.Take(page, total); err != nil {
		return false, a.contradiction(err)
	}
	return done, nil
}

// FindInstances returns what a [Search] finds, all pages of it, without a pause between
// them, and [MaxFound] instances at most. It is safe to repeat. The error is always an
// *[Error].
func (c *Client) FindInstances(ctx context.Context, channelType, instanceName string) ([]Instance, error) {
	s := Search{ChannelType: channelType, InstanceName: instanceName}
	for {
		if done, err := c.SearchPage(ctx, &s); err != nil {
			return nil, err
		} else if done {
			return s.Found(), nil
		}
	}
}

// listing is how much of a list has been read.
type listing struct {
	pages int
	total int // at the first page
	// countsPage says that the totals are not believed: see the constant.
	countsPage bool
	// seen are digests of the IDs: a million stay small. If two are the same, the list
	// ends as one that is not whole.
	seen map[uint64]struct{}
	seed maphash.Seed
}

// countsPage is from how many rows on a total that is just the first page's may be that of
// an API which counts the page where it should count the list. It is not believed, and the
// list ends where a page brings nothing new.
const countsPage = 10

// add takes a page, returns the instances that were on no page before it, and reports
// whether the list is whole. It is if it has all that there were when it began:
// what is made meanwhile shifts the pages, so that rows come twice, and hides none. What
// is deleted may hide one behind the end of the page before, and shows in the total,
// unless something is made at the same time.
func (l *listing) add(page []Instance, total int) (fresh []Instance, done bool, err error) {
	if l.pages == 0 {
		l.countsPage = len(page) == total && total >= countsPage
	}
	if l.countsPage {
		total = 0 // not known
	}
	if l.pages == 0 {
		l.total, l.seen, l.seed = total, map[uint64]struct{}{}, maphash.MakeSeed()
	}
	l.pages++
	for _, instance := range page {
		key := maphash.String(l.seed, instance.InstanceID)
		if _, twice := l.seen[key]; !twice {
			l.seen[key] = struct{}{}
			fresh = append(fresh, instance)
		}
	}
	// A page of nothing new is the end, or means that pages go in circles.
	switch have := len(l.seen); {
	case total > 0 && total < l.total:
		return fresh, false, fmt.Errorf("the list has become shorter while it was read: %d instances, then %d", l.total, total)
	case total > 0 && have >= total:
		return fresh, true, nil
	case len(fresh) == 0 && have < l.total:
		return fresh, false, fmt.Errorf("the list has %d of its %d instances: pages are missing", have, l.total)
	case len(fresh) == 0:
		return fresh, true, nil
	case l.pages >= maxPages:
		return fresh, false, fmt.Errorf("the list does not end within %d pages", maxPages)
	}
	return fresh, false, nil
}

// contradiction is the error for an answer that says OK and cannot be taken at its word.
func (a answer) contradiction(err error) *Error {
	e := a.facts
	e.Err = err
	return &e
}
