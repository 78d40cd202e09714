package worker

// Drain is what Run does first when it is told to stop.
func (w *Worker) Drain() { w.drain() }
