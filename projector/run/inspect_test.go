package run_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/inspect/api"
	"github.com/refold-dev/refold/projector/reduce/builtin"
	"github.com/refold-dev/refold/projector/run"
)

// asked is a projector that answers questions.
func (w *world) asked(extra ...string) (p *process, ask *process) {
	w.t.Helper()
	address := freeAddress(w.t)
	p = w.start(append(extra, "--inspect="+address)...)
	return p, &process{w: w, url: "http://" + address}
}

func TestAProjectorAnswersQuestions(t *testing.T) {
	w := newWorld(t)
	w.burst(300, 1)
	p, ask := w.asked()
	p.awaitTail()
	body, code := ask.get(api.InfoPath)
	var info api.Info
	if err := json.Unmarshal([]byte(body), &info); err != nil || code != http.StatusOK {
		t.Fatalf("%d: %v: %s", code, err, body)
	}
	if status, _ := p.status(); info.Projection != "shop/users" || info.Position != status.Position || !info.Published || len(info.Contract) != 64 {
		t.Errorf("%+v", info)
	}
	var listed api.Keys
	if body, _ := ask.get(api.EntitiesPath); json.Unmarshal([]byte(body), &listed) != nil || len(listed.Keys) == 0 {
		t.Fatal(body)
	}
	key := string(listed.Keys[0])
	var now, folded api.Entity
	for path, into := range map[string]*api.Entity{api.EntityPath(key): &now, api.EntityPath(key, api.State): &folded} {
		body, code := ask.get(path)
		if err := json.Unmarshal([]byte(body), into); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d: %s", path, code, body)
		}
	}
	want := w.client.HGetAll(t.Context(), keyPrefix+key).Val()
	for name, text := range want {
		if now.Fields[name] != api.Text(text) || folded.Fields[name] != api.Text(text) {
			t.Errorf("%s is %q, was said to be %q and %q", name, text, now.Fields[name], folded.Fields[name])
		}
	}
	if len(want) == 0 || len(want) != len(folded.Fields) {
		t.Errorf("%v, %v", want, folded)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// With a client that follows and one in the middle of a scan it ends as fast as ever.
func TestWhoAsksDoesNotHoldUpTheEnd(t *testing.T) {
	w := newWorld(t)
	w.burst(300, 1)
	p, ask := w.asked()
	p.awaitTail()
	response, err := http.Get(ask.url + api.LogPath + "?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	began := time.Now()
	if code := p.stop(); code != 0 || time.Since(began) > 4*time.Second {
		t.Errorf("it ended with %d after %s", code, time.Since(began))
	}
	for _, err := range api.Lines(response.Body) {
		if err != nil {
			return // it says that it was cut
		}
	}
	t.Error("a stream that was cut looks whole")
}

func TestAContractThatIsRefusedIsSaidToWhoAsks(t *testing.T) {
	w := newWorld(t)
	w.contract.Reducer.Key = "evnt.id"
	p, ask := w.asked()
	p.awaitProblem(contract.ReasonInvalidContract)
	body, code := ask.get(api.EntityPath("41"))
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "evnt") {
		t.Errorf("%d: %s", code, body)
	}
}

func TestOnlyTheLoopbackIsListenedOn(t *testing.T) {
	for _, address := range []string{":8081", "0.0.0.0:8081", "[::]:8081", "10.0.0.7:8081", "localhost:8081", "example.org:8081", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999"} {
		var out bytes.Buffer
		code := run.Command(t.Context(), builtin.Registry(), []string{"run", "--inspect", address}, &out)
		if code != 2 || !strings.Contains(out.String(), "--inspect") {
			t.Errorf("%s: %d: %s", address, code, out.String())
		}
	}
	w := newWorld(t)
	_, ask := w.asked()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(ask.url, "http://"))
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, code := ask.get(api.InfoPath); code == http.StatusOK || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, a := range addresses {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.IsLinkLocalUnicast() {
			continue
		}
		tried++
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		cn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(ip.IP.String(), port))
		if cancel(); err == nil {
			_ = cn.Close()
			t.Errorf("it is reached at %s", ip.IP)
		}
	}
	if tried == 0 {
		t.Log("this machine has no other address to try")
	}
}

func TestAnAddressForQuestionsThatIsTakenHoldsUpNothing(t *testing.T) {
	w := newWorld(t)
	w.burst(10, 1)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	p := w.start("--inspect=" + taken.Addr().String())
	p.awaitTail()
	if code := p.stop(); code != 0 || !strings.Contains(p.log.String(), "--inspect") || !strings.Contains(p.log.String(), "address already in use") {
		t.Errorf("%d: %s", code, p.log.String())
	}
}

func TestTheAddressForStatusThatIsTakenIsSaid(t *testing.T) {
	w := newWorld(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	p := w.start("--listen=" + taken.Addr().String())
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	if p.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(p.log.String(), "address already in use") {
		t.Errorf("%d: %s", p.cmd.ProcessState.ExitCode(), p.log.String())
	}
}

// An image that does not know the API passes a variable over.
func TestTheEnvironmentTellsWhereQuestionsAreAnswered(t *testing.T) {
	w := newWorld(t)
	w.burst(10, 1)
	address := freeAddress(t)
	p := w.start(contract.InspectVariable + "=" + address)
	p.awaitTail()
	if body, code := (&process{w: w, url: "http://" + address}).get(api.InfoPath); code != http.StatusOK {
		t.Errorf("%d: %s", code, body)
	}
}
