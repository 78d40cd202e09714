package app

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/camsq/camsq/internal/exit"
)

// Listen takes an address; an error names the setting or flag that gave it.
func Listen(setting, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, exit.Usagef("%s: cannot listen on %s; give another address: %w", setting, addr, err)
	}
	return l, nil
}

// Serve answers until stop is called. What net/http complains of goes to log.
func Serve(l net.Listener, h http.Handler, log slog.Handler) (stop func()) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log, slog.LevelWarn)}
	go func() { _ = s.Serve(l) }() // ends with Close
	return func() { _ = s.Close() }
}
