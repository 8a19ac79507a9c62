// Package run is a projector's program: flags, the contract, the wiring, HTTP
// and signals. A projector with reducers of its own is
//
//	func main() { os.Exit(run.Main(registry)) }
//
// with a registry that holds them. What the program does is the other
// packages' business: nothing is folded, read or stored here.
package run

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
)

// Version is the build's version, shown in /statusz. A main package sets it.
var Version = "dev"

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

const usage = `usage: projector [run|drop] [flags]

  run    fold, until SIGTERM (the default)
  drop   remove the read model and the consumer group, then exit
`

// Main runs the program with os.Args until it is done or signalled, and
// returns its exit code.
func Main(registry projector.Registry) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return Command(ctx, registry, os.Args[1:], os.Stderr)
}

// Command is Main with its surroundings as arguments; logs go to out.
func Command(ctx context.Context, registry projector.Registry, args []string, out io.Writer) int {
	o, err := parse(args, out)
	if err != nil {
		return exitUsage // parse has said why
	}
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: o.logLevel}))
	if o.command == "drop" {
		return drop(ctx, o, log)
	}
	return serve(ctx, registry, o, log)
}

// options are the flags.
type options struct {
	command        string
	contract       string
	listen         string
	logLevel       slog.Level
	cacheMiB       int64
	recheck        time.Duration
	keep           bool
	terminationLog string
}

func parse(args []string, out io.Writer) (options, error) {
	o := options{command: "run", keep: true}
	if len(args) > 0 && (args[0] == "run" || args[0] == "drop") {
		o.command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("projector", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		_, _ = io.WriteString(out, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.contract, "contract", "/etc/refold/contract/"+contract.FileName, "the contract's file, or its directory")
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	flags.StringVar(&o.listen, "listen", ":"+strconv.Itoa(contract.Port), "run: address of /statusz, /metrics, /healthz and /readyz")
	flags.Int64Var(&o.cacheMiB, "cache-mib", 0, "run: memory for entities in MiB; at most 60 % of GOMEMLIMIT; 0: 40 % of it, or 256 where there is none")
	flags.DurationVar(&o.recheck, "recheck", 15*time.Second, "run: between looks at a fault that a person must mend")
	flags.BoolVar(&o.keep, "keep", true, "drop: keep the read model, and remove only the consumer group")
	flags.StringVar(&o.terminationLog, "termination-log", "/dev/termination-log", "drop: where the result goes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(out, "projector: unknown word %q\n", flags.Arg(0))
		flags.Usage()
		return o, flag.ErrHelp
	}
	if o.cacheMiB < 0 || o.recheck < 0 {
		_, _ = fmt.Fprintln(out, "projector: --cache-mib and --recheck must not be negative")
		return o, flag.ErrHelp
	}
	if info, err := os.Stat(o.contract); err == nil && info.IsDir() {
		o.contract = filepath.Join(o.contract, contract.FileName)
	}
	return o, nil
}
