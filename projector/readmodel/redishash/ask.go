package redishash

import (
	"github.com/refold-dev/refold/projector/redisconn"
)

// value is a reply read whole, for what is asked seldom.
type value struct {
	text   string
	number int64
	list   []value
	err    error // the server's
}

// pairs is the answer of HGETALL.
func (v value) pairs() map[string]string {
	fields := make(map[string]string, len(v.list)/2)
	for i := 0; i+1 < len(v.list); i += 2 {
		fields[v.list[i].text] = v.list[i+1].text
	}
	return fields
}

// ask sends commands together and reads their answers.
func ask(w *redisconn.Wire, commands ...[]string) ([]value, error) {
	var request []byte
	for _, words := range commands {
		request = redisconn.AppendCommand(request, words...)
	}
	if err := w.Send(request); err != nil {
		return nil, err
	}
	return readValues(w, int64(len(commands)))
}

func readValues(w *redisconn.Wire, n int64) (values []value, err error) {
	for range n {
		r, err := w.Reply()
		if err != nil {
			return nil, err
		}
		v := value{text: string(r.Text), number: r.N, err: r.Err()}
		if r.Kind == '*' {
			if v.list, err = readValues(w, r.N); err != nil {
				return nil, err
			}
		}
		values = append(values, v)
	}
	return values, nil
}
