package api

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
)

// ErrCut is given where a stream ends without an end: the connection was lost.
var ErrCut = errors.New("the answer ended before it was complete: ask again")

// Lines reads a stream up to its end. The last of what it gives is either a line
// with End or an error: an Error of the projector's, ErrCut, or one of reading.
func Lines(r io.Reader) iter.Seq2[Line, error] {
	decoder := json.NewDecoder(r)
	return func(yield func(Line, error) bool) {
		for {
			var line Line
			err := decoder.Decode(&line)
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				err = ErrCut
			case err == nil && line.Error != nil:
				err = *line.Error
			}
			if !yield(line, err) || err != nil || line.End != nil {
				return
			}
		}
	}
}
