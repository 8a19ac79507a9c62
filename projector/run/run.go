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
	"errors"
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

const usage = `usage: projector [run|verify|cutover|drop] [flags]

  run      fold, until SIGTERM (the default)
  verify   count what publishing the contract's revision would change for readers, then exit
  cutover  publish the contract's revision, then exit
  drop     remove the read model and the consumer groups, or with --revision-only
           those of the contract's revision alone, then exit

All but run write their result, as JSON, to --termination-log, and exit with 0
when it is done. They may be run again at any time, also when one was killed.
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
	if j, ok := jobs[o.command]; ok {
		return j.run(ctx, o, log)
	}
	return serve(ctx, registry, o, log)
}

// options are the flags.
type options struct {
	command        string
	contract       string
	listen         string
	inspect        string
	logLevel       slog.Level
	cacheMiB       int64
	recheck        time.Duration
	active         string
	keep           bool
	revisionOnly   bool
	published      bool
	terminationLog string
}

func parse(args []string, out io.Writer) (options, error) {
	o := options{command: "run", keep: true}
	if len(args) > 0 && (args[0] == "run" || jobs[args[0]].step != nil) {
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
	flags.StringVar(&o.inspect, "inspect", os.Getenv(contract.InspectVariable), "run: address of the inspect API, on the loopback; not served if empty")
	flags.Int64Var(&o.cacheMiB, "cache-mib", 0, "run: memory for entities in MiB; at most 60 % of GOMEMLIMIT; 0: 40 % of it, or 256 where there is none")
	flags.DurationVar(&o.recheck, "recheck", 15*time.Second, "run: between looks at a fault that a person must mend")
	flags.BoolVar(&o.keep, "keep", true, "drop: keep the published read model and its ledger, and remove the rest")
	flags.BoolVar(&o.revisionOnly, "revision-only", false, "drop: remove the contract's revision, unless it is the published one")
	flags.BoolVar(&o.published, "published", false, "drop --revision-only: also if it is the published one; readers then have none")
	flags.StringVar(&o.active, "active", "", "verify: the revision that is published, to see that it still is")
	flags.StringVar(&o.terminationLog, "termination-log", "/dev/termination-log", "verify, cutover, drop: where the result goes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(out, "projector: unknown word %q\n", flags.Arg(0))
		flags.Usage()
		return o, flag.ErrHelp
	}
	if err := o.check(); err != nil {
		_, _ = fmt.Fprintln(out, "projector: "+err.Error())
		return o, flag.ErrHelp
	}
	o.contract = fileOf(o.contract)
	return o, nil
}

// check says which flags make no sense.
func (o *options) check() error {
	switch {
	case o.published && !o.revisionOnly:
		return errors.New("--published belongs to --revision-only")
	case o.cacheMiB < 0 || o.recheck < 0:
		return errors.New("--cache-mib and --recheck must not be negative")
	case o.inspect != "":
		return checkInspect(o.inspect)
	}
	return nil
}

// fileOf is the contract's file where its directory is named.
func fileOf(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, contract.FileName)
	}
	return path
}
