package pod

import (
	"fmt"
	"io"
	"time"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// bar is one line of progress on a terminal's stderr, for what takes over a second.
type bar struct {
	factory *cli.Factory
	on      bool
	began   time.Time
	shown   bool
	prefix  string // which of several scans
}

func newBar(f *cli.Factory) *bar {
	return &bar{factory: f, on: f.TerminalErrors(), began: time.Now()}
}

const (
	barWidth = 24
	barAfter = time.Second
)

func (b *bar) show(p api.Progress) {
	if took := time.Since(b.began); b.on && took >= barAfter {
		b.shown = true
		fmt.Fprintf(b.factory.Streams.ErrOut, "\r%s\x1b[K", cli.Clip(b.prefix+progress(p, took), max(0, b.factory.ColumnsErrors()-1)))
	}
}

// progress is how far a scan is; how much there is may not be known.
func progress(p api.Progress, took time.Duration) string {
	rate := float64(p.Entries) / took.Seconds()
	if p.Of <= 0 || p.Entries > p.Of {
		return fmt.Sprintf("%s looked at, %s/s", cli.Count(p.Entries), cli.Count(int64(rate)))
	}
	percent := float64(p.Entries) / float64(p.Of) * 100
	text := fmt.Sprintf("%s %3.0f %%  %s/s", cli.Bar(percent, barWidth), percent, cli.Count(int64(rate)))
	if rate > 0 {
		left := time.Duration(float64(p.Of-p.Entries) / rate * float64(time.Second))
		text += fmt.Sprintf(", at most %s left", left.Round(time.Second))
	}
	return text
}

// clear takes the line away: something else is printed now.
func (b *bar) clear() {
	if b.shown {
		b.shown = false
		fmt.Fprint(b.factory.Streams.ErrOut, "\r\x1b[K")
	}
}

// clearing is where results go.
type clearing struct {
	io.Writer
	bar *bar
}

func (c clearing) Write(p []byte) (int, error) {
	c.bar.clear()
	return c.Writer.Write(p)
}
