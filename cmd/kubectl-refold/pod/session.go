package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refold-dev/refold/cmd/kubectl-refold/cli"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// session is one run of a command against one projector.
type session struct {
	*commands
	*target
	texts
	bar    *bar
	out    io.Writer // results: what is drawn of progress is taken away before
	tunnel Tunnel
	client *http.Client
}

// ask opens a session. Nothing is dialled before something is asked.
func (c *commands) ask(ctx context.Context, name string, a asked) (*session, error) {
	t, err := c.locate(ctx, name, a.revision)
	if err != nil {
		return nil, err
	}
	tunnel := c.open(t.Cluster, t.pod)
	bar := newBar(c.Factory)
	return &session{
		commands: c, target: t, tunnel: tunnel, bar: bar,
		texts: texts{full: a.full, Paint: c.Paint(), columns: c.Columns()},
		out:   clearing{c.Streams.Out, bar},
		client: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return tunnel.Dial(ctx) },
		}},
	}, nil
}

// close ends the tunnel, and what the projector may still do for it.
func (s *session) close() {
	s.bar.clear()
	s.client.CloseIdleConnections()
	_ = s.tunnel.Close()
}

// note is a remark beside the results.
func (s *session) note(format string, args ...any) {
	s.bar.clear()
	fmt.Fprintln(s.Streams.ErrOut, "note: "+safe(fmt.Sprintf(format, args...)))
}

// finish says what there is to say once all is printed.
func (s *session) finish(end api.End) {
	if end.Incomplete {
		s.note("a part of the history is gone from the log: what came of it is missing here")
	}
	if end.Halted != "" {
		s.note("the projector does not pass the event %s, so nothing is folded from there on; %s says why", end.Halted, s.command("status"))
	}
	if s.cut > 0 {
		s.note("%s cut (…): --full shows all", plural(s.cut, "value is", "values are"))
	}
}

// structured is where results in a format for programs go.
func (s *session) structured() io.Writer {
	if s.Terminal() {
		return &guard{out: s.out}
	}
	return s.out
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return cli.Count(int64(n)) + " " + more
}

// info asks what there is to be asked about.
func (s *session) info(ctx context.Context) (info api.Info, err error) {
	response, err := s.get(ctx, api.InfoPath, nil)
	if err != nil {
		return info, err
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&info); err != nil {
		return info, s.lost(ctx, err)
	}
	return info, nil
}

// lines asks for a stream, and hands on all but progress and the end.
func (s *session) lines(ctx context.Context, path string, query url.Values, each func(api.Line) error) (api.End, error) {
	response, err := s.get(ctx, path, query)
	if err != nil {
		return api.End{}, err
	}
	defer func() { _ = response.Body.Close() }()
	for line, err := range api.Lines(response.Body) {
		switch {
		case err != nil:
			return api.End{}, s.lost(ctx, err)
		case line.End != nil:
			s.bar.clear()
			return *line.End, nil
		case line.Progress != nil:
			s.bar.show(*line.Progress)
		default:
			if err := each(line); err != nil {
				return api.End{}, err
			}
		}
	}
	return api.End{}, s.lost(ctx, api.ErrCut)
}

func (s *session) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	address := "http://127.0.0.1:" + strconv.Itoa(api.Port) + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", api.StreamType)
	request.Header.Set("User-Agent", "kubectl-refold/"+s.Version)
	response, err := s.client.Do(request)
	if err != nil {
		return nil, s.lost(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		defer func() { _ = response.Body.Close() }()
		return nil, s.refusal(response)
	}
	return response, nil
}

// mostWords bounds an error's message.
const mostWords = 64 << 10

// refusal is what the projector says in place of an answer.
func (s *session) refusal(response *http.Response) error {
	var f api.Failure
	err := json.NewDecoder(io.LimitReader(response.Body, mostWords)).Decode(&f)
	if err != nil || f.Error.Message == "" {
		return cli.Failf("the projector in pod %s answers %s, and does not say why", s.pod.Name, response.Status).
			WithHint("it is of another release than this program, kubectl-refold %s", s.Version)
	}
	return failed(f.Error)
}

// failed puts an error of the projector's in one line. Its words are about the
// API's parameters; here they are flags.
func failed(e api.Error) error {
	message := strings.ReplaceAll(e.Message, "incomplete=true", "--incomplete")
	return &cli.Error{Code: cli.ExitFailed, Message: fmt.Sprintf("%s (%s)", safe(message), safe(e.Reason)), Err: e}
}

// lost says why there is no answer.
func (s *session) lost(ctx context.Context, err error) error {
	var said api.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &said):
		return failed(said)
	case errors.Is(err, errRefused):
		return s.refused()
	}
	explained := s.Explain(cli.Request{Verb: "create", Resource: "pods/portforward", Namespace: s.pod.Namespace}, rootOf(err))
	var told *cli.Error
	if errors.As(explained, &told) && told.Hint != "" {
		return told
	}
	return cli.Failf("the connection to the projector in pod %s was lost: %s", s.pod.Name, safe(rootOf(err).Error())).
		WithHint("ask again; %s says whether it runs", s.command("status"))
}

// rootOf leaves out how the request was sent.
func rootOf(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err
	}
	return err
}

// refused tells a projector that does not know the API from one that is not up yet.
func (s *session) refused() error {
	if !knowsInspect(s.pod) {
		return cli.Failf("the projector in pod %s is older than this program, and cannot be asked", s.pod.Name).
			WithHint("bring Refold up to %s (docs/install.md); its operator then starts projectors that can", s.Version)
	}
	return cli.Failf("the projector in pod %s does not answer on %s", s.pod.Name, contract.InspectAddress).
		WithHint("ask again if it has only just started; else kubectl logs -n %s %s says why", s.pod.Namespace, s.pod.Name)
}

// order sorts names of fields as the manifest has them; others come last.
func (t *target) order(names []string) []string {
	place := map[string]int{}
	for i, f := range t.projection.Spec.ReadModel.Fields {
		place[string(f.Name)] = i - len(t.projection.Spec.ReadModel.Fields)
	}
	slices.SortFunc(names, func(a, b string) int {
		if place[a] != place[b] {
			return place[a] - place[b]
		}
		return strings.Compare(a, b)
	})
	return names
}

// when is a time as all commands write it.
func when(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
