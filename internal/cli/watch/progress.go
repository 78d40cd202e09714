package watch

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// progress shows how far the followed jobs are: a bar on a terminal, a line now
// and then elsewhere.
type progress interface {
	show(inspect.StateCounts, *eta)
	// say puts a line beside it.
	say(string)
	// close takes away what should not stay.
	Close()
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
	return &lines{w: w, start: time.Now(), shown: -1}
}

const (
	lineEvery = 5 * time.Second // at most
	lineLeast = time.Minute     // at least: a log that is silent looks dead
)

// lines prints a line when another tenth of the jobs has ended.
type lines struct {
	w           io.Writer
	start, last time.Time
	shown       int64 // the tenth that was printed last
}

func (l *lines) show(t inspect.StateCounts, o *eta) {
	done, total := t.Ended(), max(t.Sum(), 1)
	tenth, since := done*10/total, time.Since(l.last)
	if done < total && since < lineEvery || tenth == l.shown && since < lineLeast {
		return
	}
	l.shown, l.last = tenth, time.Now()
	fmt.Fprintf(l.w, "%s of %s ended after %s: %s%s\n", humanize.Group(done), humanize.Group(total), humanize.Duration(time.Since(l.start)), t, o)
}

func (l *lines) say(text string) { fmt.Fprintln(l.w, text) }

func (l *lines) Close() {}

// bar is a bar that goes away in the end: what it said is in the summary.
type bar struct {
	*progressbar.ProgressBar
	w     io.Writer
	width func() int // of the terminal
}

func newBar(w io.Writer, total int, width func() int) *bar {
	return &bar{w: w, width: width, ProgressBar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(24),
		progressbar.OptionShowCount(),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
	)}
}

// show puts first what matters most: a narrow terminal cuts the rest off, since
// a line that wraps could not be taken back.
func (b *bar) show(t inspect.StateCounts, o *eta) {
	var parts []string
	for _, s := range []tasks.State{
		tasks.StateCreated, tasks.StateFailed, tasks.StateHeld, tasks.StateCancelled,
		tasks.StateUncertain, tasks.StateCalling, tasks.StateQueued,
	} {
		if t[s] != 0 {
			parts = append(parts, humanize.Group(t[s])+" "+string(s))
		}
	}
	text := o.short() + strings.Join(parts, ", ")
	// The bar itself gives way to the text, but not its count and its clock.
	room := b.width() - len(fmt.Sprintf("100%% || (%d/%[1]d) [99h59m59s]   ", t.Sum()))
	b.Describe(text[:min(len(text), max(0, room))])
	if sum := t.Sum(); sum != b.GetMax64() {
		b.ChangeMax64(sum) // more jobs of a batch have come
	}
	_ = b.Set64(t.Ended())
}

func (b *bar) say(text string) {
	_ = b.Clear()
	fmt.Fprintln(b.w, text)
}

func (b *bar) Close() { _ = b.Clear() }
