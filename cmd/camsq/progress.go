package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/camsq/camsq/tasks"
)

// progress shows how far the followed jobs are: a bar on a terminal, a line now
// and then elsewhere.
type progress interface {
	show(tally)
	// say puts a line beside it.
	say(string)
	// close takes away what should not stay.
	close()
}

func newProgress(w io.Writer, total int) progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return newBar(f, total, func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80
			}
			return width
		})
	}
	return &lines{w: w, begin: time.Now(), shown: -1}
}

// done counts the jobs of a tally that go no further.
func (t tally) done() int64 {
	var n int64
	for s, count := range t {
		if settled(s) {
			n += count
		}
	}
	return n
}

const (
	lineEvery = 5 * time.Second // at most
	lineLeast = time.Minute     // at least: a log that is silent looks dead
)

// lines prints a line when another tenth of the jobs has ended.
type lines struct {
	w           io.Writer
	begin, last time.Time
	shown       int64 // the tenth that was printed last
}

func (l *lines) show(t tally) {
	done, total := t.done(), t.sum()
	tenth, since := done*10/total, time.Since(l.last)
	if done < total && since < lineEvery || tenth == l.shown && since < lineLeast {
		return
	}
	l.shown, l.last = tenth, time.Now()
	fmt.Fprintf(l.w, "%s of %s ended after %s: %s\n", thousands(done), thousands(total), span(time.Since(l.begin)), t)
}

func (l *lines) say(text string) { fmt.Fprintln(l.w, text) }

func (l *lines) close() {}

// bar is a bar that goes away in the end: what it said is in the summary.
type bar struct {
	*progressbar.ProgressBar
	w     io.Writer
	width func() int
}

func newBar(w io.Writer, total int, width func() int) *bar {
	return &bar{w: w, width: width, ProgressBar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
	)}
}

// rest is what the bar's own parts take of a line.
const rest = 64

func (b *bar) show(t tally) {
	under := tally{}
	for _, s := range tasks.States() {
		under[s] = t[s]
	}
	text := []rune(under.String())
	if room := max(0, b.width()-rest); len(text) > room {
		text = text[:room]
	}
	b.Describe(string(text))
	_ = b.Set64(t.done())
}

func (b *bar) say(text string) {
	_ = b.Clear()
	fmt.Fprintln(b.w, text)
}

func (b *bar) close() { _ = b.Clear() }
