// Package progress tells a person what the testbed is doing: one line for each step with its time, and a sign of life every
// few seconds while a step is long.
//
// It decides nothing and never writes to standard output, which belongs to results.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Log writes the lines. Its methods may be called by several goroutines at once.
type Log struct {
	mu     sync.Mutex
	out    io.Writer
	start  time.Time
	period time.Duration // between two signs of life of one step
}

// New returns a log that writes to out.
func New(out io.Writer) *Log {
	return &Log{out: out, start: time.Now(), period: 10 * time.Second}
}

// Say writes one line.
func (l *Log) Say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.out, "testbed: "+format+"\n", args...)
}

// Write passes a program's own output on, so that a Log can be its standard error.
func (l *Log) Write(content []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(content)
}

// Elapsed is the time since New, rounded for reading.
func (l *Log) Elapsed() time.Duration { return round(time.Since(l.start)) }

// Step runs do and writes one line when it has ended. Meanwhile do may call now to tell how far it is; the last such word is
// shown every ten seconds.
func (l *Log) Step(name string, do func(now func(string)) error) error {
	began := time.Now()
	var (
		mu   sync.Mutex
		word string
	)
	stop := l.every(func() {
		mu.Lock()
		defer mu.Unlock()
		l.Say("  … %s %s, %s", name, word, round(time.Since(began)))
	})
	err := do(func(now string) {
		mu.Lock()
		defer mu.Unlock()
		word = now
	})
	stop()
	if err != nil {
		l.Say("%7s  %s: failed", round(time.Since(began)), name)
		return fmt.Errorf("%s: %w", name, err)
	}
	l.Say("%7s  %s", round(time.Since(began)), name)
	return nil
}

// every calls tell each period until the function it returns is called, which waits for the last call.
func (l *Log) every(tell func()) (stop func()) {
	ticker := time.NewTicker(l.period)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				tell()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(quit)
		<-ended
	}
}

func round(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(100 * time.Millisecond)
}
