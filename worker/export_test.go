package worker

// Drain is what Run does first when it is told to stop.
func (w *Worker) Drain() { w.drain() }

// Config is the configuration with its defaults.
func (w *Worker) Config() Config { return w.cfg }
