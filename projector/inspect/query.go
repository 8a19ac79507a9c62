package inspect

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/inspect/api"
)

// query is a request's parameters.
type query struct {
	url.Values
	err error // in how they are written
}

func queryOf(u *url.URL) query {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		err = badRequest("the parameters cannot be read: %v", err)
	}
	return query{values, err}
}

// known refuses parameters that there are not: a misspelt one would be passed
// over in silence. Those that are named with a … may be there more than once.
func (q query) known(names ...string) error {
	for name, values := range q.Values {
		switch {
		case slices.Contains(names, name+"…"):
		case !slices.Contains(names, name):
			return badRequest("there is no parameter %q; there are: %s", name, strings.ReplaceAll(strings.Join(names, ", "), "…", ""))
		case len(values) > 1:
			return badRequest("%s: it is there more than once", name)
		}
	}
	return nil
}

// number is a count from 1 to most.
func (q query) number(name string, or, most int) (int, error) {
	if !q.Has(name) {
		return or, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 1 || n > most {
		return 0, badRequest("%s: %q is no number from 1 to %d", name, q.Get(name), most)
	}
	return n, nil
}

// flag is true or false; a name alone is true.
func (q query) flag(name string) (bool, error) {
	switch q.Get(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "":
		return q.Has(name), nil
	}
	return false, badRequest("%s: %q is neither true nor false", name, q.Get(name))
}

// id is an ID that parse reads, or what stands for it.
func (q query) id(name string, parse func(string) (projector.ID, error), or projector.ID) (projector.ID, error) {
	if !q.Has(name) {
		return or, nil
	}
	id, err := parse(q.Get(name))
	if err != nil {
		return id, &failure{http.StatusBadRequest, api.ReasonBadID, name + ": " + err.Error()}
	}
	return id, nil
}

// part is a share of all keys, as in "3/8"; nil for all.
func (q query) part() (func(key string) bool, error) {
	if !q.Has("part") {
		return nil, nil
	}
	first, second, _ := strings.Cut(q.Get("part"), "/")
	n, err := strconv.Atoi(first)
	of, err2 := strconv.Atoi(second)
	if err != nil || err2 != nil || of < 1 || of > mostParts || n < 1 || n > of {
		return nil, badRequest("part: %q is none: write 3/8 for the third of eight, of at most %d", q.Get("part"), mostParts)
	}
	return func(key string) bool { return partOf(key, of) == n-1 }, nil
}
