package camstest

import "slices"

// nameIndex finds an account's instances by a part of their name without looking at
// all of them: for each account, the positions of the names that hold three bytes in a
// row. Under the three bytes zero it has them all.
type nameIndex map[string]map[trigram][]int

type trigram [3]byte

// add takes in a name. Positions must be given in rising order.
func (x nameIndex) add(account, name string, at int) {
	of := x[account]
	if of == nil {
		of = map[trigram][]int{}
		x[account] = of
	}
	of[trigram{}] = append(of[trigram{}], at)
	for t := range trigrams(name) {
		// Names may repeat their letters.
		if list := of[t]; len(list) == 0 || list[len(list)-1] != at {
			of[t] = append(list, at)
		}
	}
}

// find yields, the highest first, the positions of all names that hold part, and
// maybe of some that do not.
func (x nameIndex) find(account, part string, yield func(at int)) {
	of := x[account]
	shortest := of[trigram{}]
	for t := range trigrams(part) {
		if list := of[t]; len(list) < len(shortest) {
			shortest = list
		}
	}
	for _, at := range slices.Backward(shortest) {
		yield(at)
	}
}

func trigrams(s string) func(yield func(trigram) bool) {
	return func(yield func(trigram) bool) {
		for i := range len(s) - 2 {
			if !yield(trigram{s[i], s[i+1], s[i+2]}) {
				return
			}
		}
	}
}
