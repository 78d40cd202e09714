package importer

import (
	"testing"

	"github.com/camsq/camsq/tasks"
)

func TestWhereAJobCameFirstIsKnownAcrossFiles(t *testing.T) {
	s := NewIndex(5)
	ref := func(id string) tasks.Ref { return tasks.Ref{Account: "default", ID: id} }
	s.beginFile("a.csv")
	s.add(ref("1"), 2, 0)
	s.add(ref("2"), 900, 7)
	s.beginFile("empty.csv")
	s.beginFile("b.csv")
	s.add(ref("3"), 2, 0)
	s.add(ref("4"), 3, 0)
	s.beginFile("c.csv")
	s.add(ref("5"), 2, 0)
	s.add(ref("6"), 3, 0) // beyond what is kept
	for id, want := range map[string]string{"1": "a.csv:2", "2": "a.csv:900", "3": "b.csv:2", "4": "b.csv:3", "5": "c.csv:2", "6": "", "7": ""} {
		first, _, ok := s.find(ref(id))
		if got := first.String(); ok != (want != "") || ok && got != want {
			t.Errorf("job %s came first at %s, %v; want %s", id, got, ok, want)
		}
	}
	if _, ok := s.jobs[indexKey(tasks.Ref{Account: "other", ID: "1"})]; ok {
		t.Error("jobs of two accounts are taken for one")
	}
}
