package main

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is a proxy in front of Redis, at one address for as long as it lives.
type link struct {
	name, address, upstream string
	proxy                   *toxiproxy.Proxy
}

// sickness is a toxic as toxiproxy's documents have it.
type sickness struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]int `json:"attributes"`
}

func newLink(name, upstream string) (*link, error) {
	l := &link{name: name, address: "127.0.0.1:0", upstream: upstream}
	return l, l.open()
}

// open makes a healthy proxy. Toxics are not taken out of a running one: that
// waits for connections on which nothing moves.
func (l *link) open() error {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l.proxy = toxiproxy.NewProxy(server, l.name, l.address, l.upstream)
	if err := l.proxy.Start(); err != nil {
		return err
	}
	l.address = l.proxy.Listen
	return nil
}

// close cuts every connection and takes no new ones.
func (l *link) close() { l.proxy.Stop() }

// infect makes connections sick, those that there are and those to come. It
// does not wait for one that is stuck.
func (l *link) infect(s sickness) error {
	document, err := json.Marshal(s)
	if err != nil {
		return err
	}
	proxy, done := l.proxy, make(chan error, 1)
	go func() {
		_, err := proxy.Toxics.AddToxicJson(bytes.NewReader(document))
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return nil
	}
}
