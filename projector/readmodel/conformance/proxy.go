package conformance

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between a store and its server and loses replies when told to.
type Proxy struct {
	listener net.Listener
	server   string
	lose     atomic.Bool
	left     atomic.Int64 // replies until everything is cut; no bound when negative

	mu    sync.Mutex
	conns []net.Conn
	done  sync.WaitGroup
}

// NewProxy forwards to server (host:port) until the test ends.
func NewProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, server: server}
	p.left.Store(-1)
	p.done.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where the store connects to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// LoseNextReply passes the next request on and, once the server has answered,
// cuts the connection in place of the answer.
func (p *Proxy) LoseNextReply() { p.lose.Store(true) }

// DieAfter passes n more replies on, of all connections together. The next one is
// lost, and nothing gets through any more.
func (p *Proxy) DieAfter(n int) { p.left.Store(int64(n)) }

// dies counts a reply.
func (p *Proxy) dies() bool {
	for {
		left := p.left.Load()
		if left <= 0 {
			return left == 0
		}
		if p.left.CompareAndSwap(left, left-1) {
			return false
		}
	}
}

// Cut breaks every connection there is.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.Cut()
	p.done.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.done.Go(func() { p.pass(server, client, nil) })
		p.done.Go(func() { p.pass(client, server, &p.lose) })
	}
}

// pass copies until either end closes, or until there is something to lose, which
// is to be lost.
func (p *Proxy) pass(to, from net.Conn, lose *atomic.Bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && lose != nil && (lose.CompareAndSwap(true, false) || p.dies()) {
			return
		}
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}
