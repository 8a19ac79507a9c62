package main

import (
	"bytes"
	"context"
	"iter"
	"net"
	"slices"

	"github.com/refold-dev/refold/projector/redisconn"
)

// Bounds of a pump. More at once is no faster: a server that is asked for all
// at once piles the replies up in its memory before it sends the first.
const (
	inFlight        = 4
	pumpBufferBytes = 256 << 10
)

var (
	ping = redisconn.AppendCommand(nil, "PING")
	pong = []byte("+PONG\r\n")
)

// pump sends batches of commands over a bare connection as fast as the server
// takes them, drops the replies unseen and returns how many bytes they were. A
// PING behind each batch tells when it is answered. What is asked for must be
// such that its effect can be counted afterwards: a refusal is dropped too.
func pump(ctx context.Context, addr string, batches iter.Seq[[]byte]) (replyBytes int64, err error) {
	cn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = cn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = cn.Close() })()
	replies := dropper{cn: cn, buffer: make([]byte, pumpBufferBytes)}
	sent := 0
	for batch := range batches {
		for sent-replies.pongs >= inFlight {
			if err := replies.drop(); err != nil {
				return 0, err
			}
		}
		if _, err := cn.Write(slices.Concat(batch, ping)); err != nil {
			return 0, err
		}
		sent++
	}
	for replies.pongs < sent {
		if err := replies.drop(); err != nil {
			return 0, err
		}
	}
	return replies.bytes, nil
}

// dropper reads replies into one buffer and looks at nothing but the PONGs.
type dropper struct {
	cn     net.Conn
	buffer []byte
	kept   int // bytes at the buffer's start that may be the beginning of a PONG
	pongs  int
	bytes  int64
}

// drop waits for some replies.
func (d *dropper) drop() error {
	n, err := d.cn.Read(d.buffer[d.kept:])
	if err != nil {
		return err
	}
	d.bytes += int64(n)
	got := d.buffer[:d.kept+n]
	d.pongs += bytes.Count(got, pong)
	if last := bytes.LastIndex(got, pong); last >= 0 {
		got = got[last+len(pong):]
	}
	d.kept = copy(d.buffer, got[max(0, len(got)-len(pong)+1):])
	return nil
}
