package tasks

// MaxEvent bounds the body of a webhook. What a valid job and the API's answer bring fits
// at the very worst too: 20 values of metadata of 500 characters that JSON writes with six
// bytes each are 60,000 bytes, and 1,966 are left beside all other fields for a message.
const MaxEvent = 64 << 10

// mostText is what a text may take in an event that is still too long without its message
// and its metadata. No job that [Job.Validate] accepts has one.
const mostText = 512

// encodeWithin encodes an event within its bound. An outcome that could not be delivered would
// break the promise, so one that is too long is shortened, always in the same way: first
// the message, then the metadata goes, then the texts are cut that no valid job has.
func encodeWithin(e Event) ([]byte, error) {
	body, err := encode(e)
	if err != nil || len(body) <= MaxEvent {
		return body, err
	}
	if over := len(body) - MaxEvent; e.Data.Batch == nil && e.Data.Message != "" {
		e.Data.Message = clip(e.Data.Message, max(0, len(e.Data.Message)-over-len("…")))
		if body, err = encode(e); err != nil || len(body) <= MaxEvent {
			return body, err
		}
		e.Data.Message = ""
		if body, err = encode(e); err != nil || len(body) <= MaxEvent {
			return body, err
		}
	}
	e.Data.Metadata = map[string]string{}
	d := &e.Data
	texts := []*string{&d.JobID, &d.BatchID, &d.Account, &d.Request.ChannelType, &d.Request.InstanceName, &d.Code, &d.RequestID}
	if d.Instance != nil {
		i := *d.Instance // the record keeps its own
		d.Instance = &i
		texts = append(texts, &i.InstanceID, &i.InstanceName, &i.ChannelType, &i.ResourceRegionID, &i.SubmitTime)
	}
	for _, text := range texts {
		*text = clip(*text, mostText)
	}
	if d.Batch != nil { // the record keeps its own
		b, failed := *d.Batch, int64(0)
		for _, n := range b.Codes {
			failed += n
		}
		b.Codes = map[string]int64{CodeOther: failed}
		d.Batch = &b
	}
	return encode(e)
}
