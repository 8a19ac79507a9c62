package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// inspectGroup is how long a question about one entity of many takes: what it was,
// and every event that made it. Both read the whole log, beside a projector that
// is at its tail and has nothing to do.
func (b *bench) inspectGroup(ctx context.Context) ([]result, error) {
	sc, err := b.newScene(ctx, theProjector, workload{b.events, b.entities, uniform})
	if err != nil {
		return nil, err
	}
	defer sc.close()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", port)
	subject := sc.projector
	subject.flags = []string{"--inspect", address}
	running, err := sc.startProjector(subject, document(sc.server.addr, subject.reducer))
	if err != nil {
		return nil, err
	}
	defer running.stop()
	if err := running.await(ctx, sc.server, sc.workload.lastID()); err != nil {
		return nil, err
	}
	entity := fmt.Sprintf("http://%s/v1/entities/%d/", address, sc.workload.entities/2)
	var state, history []float64
	question := func(seconds *[]float64, below, want string) func(context.Context) error {
		return func(ctx context.Context) error {
			took, err := ask(ctx, entity+below, want)
			*seconds = append(*seconds, took.Seconds())
			return err
		}
	}
	if err := sc.takeTurns(ctx, sc.drain, question(&state, "state", `"exists":true`), question(&history, "history", `"end":`)); err != nil {
		return nil, err
	}
	rates := millionsPerSecond(sc.workload.events, sc.drainSeconds)
	return []result{
		row("inspect.at.vs_drain", ratioUnit, perRound(sc.drainSeconds, state)).against("raw XRANGE drain", median(rates), rateUnit).aim(atLeast, 0.5),
		row("inspect.explain.vs_drain", ratioUnit, perRound(sc.drainSeconds, history)).against("raw XRANGE drain", median(rates), rateUnit).aim(atLeast, 0.5),
		row("inspect.at.seconds", "s", state),
	}, nil
}

// ask asks one question and reads all of the answer, in which want must be.
func ask(ctx context.Context, url, want string) (took time.Duration, err error) {
	begun := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	took = time.Since(begun)
	switch {
	case err != nil:
		return took, err
	case response.StatusCode != http.StatusOK || !strings.Contains(string(answer), want):
		return took, fmt.Errorf("%s: %s: %.500s", url, response.Status, answer)
	}
	return took, nil
}
