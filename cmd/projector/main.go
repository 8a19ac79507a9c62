// Command projector keeps one read model in step with its log, as a contract
// tells it. A projector with reducers of its own has a main like this one.
package main

import (
	"os"

	"github.com/refold-dev/refold/projector/reduce/builtin"
	"github.com/refold-dev/refold/projector/run"
)

var version = "dev"

func main() {
	run.Version = version
	os.Exit(run.Main(builtin.Registry()))
}
