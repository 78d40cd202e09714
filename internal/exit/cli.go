package exit

func (e wordedError) Error() string { return e.text }

func (e wordedError) Unwrap() error { return e.err }
