package asynqx

import "strings"

// MessageTemplate is the message that asynq composes for a task of a queue whose payload
// is its ID, without the ID, for all IDs of one length: such messages differ in the
// bytes of the ID alone. So asynq composes two tasks for many, and not one for each.
type MessageTemplate struct {
	// Before, Between and After surround the ID, which is in the message twice: as the
	// task's ID and as its payload.
	Before, Between, After string
	// At is asynq's time of enqueueing, in nanoseconds.
	At string
}

// Template has asynq compose two tasks like t, with IDs of the length, and compares
// them. Its error means that this version of asynq composes messages in another way.
func (c *Composer) Template(t Task, length int) (MessageTemplate, error) {
	var messages [2][]byte
	var m MessageTemplate
	for i, letter := range []string{"a", "b"} {
		t.ID = strings.Repeat(letter, length)
		t.Payload = t.ID
		call, err := c.Call(t)
		if err != nil {
			return MessageTemplate{}, err
		}
		var ok bool
		if messages[i], m.At, ok = enqueueArgs(call, t); !ok {
			return MessageTemplate{}, errUnknownAsynq
		}
	}
	parts, ok := splitAround(messages, length)
	if !ok {
		return MessageTemplate{}, errUnknownAsynq
	}
	m.Before, m.Between, m.After = parts[0], parts[1], parts[2]
	return m, nil
}

// splitAround splits two messages at the places in which they differ: those must be
// two, of the given length.
func splitAround(messages [2][]byte, length int) (parts [3]string, ok bool) {
	a, b := messages[0], messages[1]
	if len(a) != len(b) {
		return parts, false
	}
	part, from := 0, 0
	for i := 0; i < len(a); i++ {
		if a[i] == b[i] {
			continue
		}
		end := i + length
		if part == len(parts)-1 || end > len(a) || differing(a[i:end], b[i:end]) != length {
			return parts, false
		}
		parts[part] = string(a[from:i])
		part, from = part+1, end
		i = end - 1
	}
	parts[part] = string(a[from:])
	return parts, part == len(parts)-1
}

func differing(a, b []byte) int {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
