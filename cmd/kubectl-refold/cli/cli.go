// Package cli is what all commands of kubectl-refold share: the root, the flags
// that find a cluster, how results, progress and errors look, and the exit
// codes. It knows no command but version and does no I/O besides the streams
// and the API server that it is given.
package cli

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/go-logr/logr"
)

// Group is commands that stand together in the help.
type Group struct {
	ID, Title string
	Commands  []*cobra.Command
}

// Main runs the program on the process' own streams and arguments, until it is
// done or interrupted, and returns the exit code.
func Main(version string, groups ...func(*Factory) Group) int {
	klog.SetLogger(logr.Discard()) // client-go's own words, as of a watch that ends, are not for the user
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	root := New(NewFactory(streams, version), groups...)
	root.SetArgs(arguments(os.Args))
	return Run(ctx, root, streams.ErrOut)
}

// arguments are those of the command line. Under the name kubectl_complete-refold
// the program is what kubectl asks for completions.
func arguments(all []string) []string {
	if filepath.Base(all[0]) == "kubectl_complete-refold" {
		return append([]string{cobra.ShellCompRequestCmd}, all[1:]...)
	}
	return all[1:]
}

// New returns the root command with the commands of all groups. It reads no
// file and asks no server.
func New(f *Factory, groups ...func(*Factory) Group) *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-refold",
		Short: "See, ask and drive projections",
		Long: `See, ask and drive the projections of Refold: read models that are folded from event logs.

Each command's --help has examples; docs/cli.md has exit codes and all that is printed.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl refold"},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetIn(f.Streams.In)
	root.SetOut(f.Streams.Out)
	root.SetErr(f.Streams.ErrOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	f.addFlags(root)
	for _, group := range groups {
		join(root, group(f))
	}
	root.AddCommand(newVersion(f))
	checkArguments(root)
	return root
}

func join(root *cobra.Command, g Group) {
	root.AddGroup(&cobra.Group{ID: g.ID, Title: g.Title})
	for _, command := range g.Commands {
		command.GroupID = g.ID
		root.AddCommand(command)
	}
}

// checkArguments makes every complaint about arguments one about usage.
func checkArguments(command *cobra.Command) {
	if check := command.Args; check != nil {
		command.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, child := range command.Commands() {
		checkArguments(child)
	}
}

func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, command := range root.Commands() {
		if command.IsAvailableCommand() {
			names = append(names, command.Name())
		}
	}
	err := Usagef("there is no command %q", name)
	err.Hint = DidYouMean(Close(name, names), "see kubectl refold --help")
	return err
}

func usage(cmd *cobra.Command, err error) error {
	out := Usagef("%s", err.Error())
	out.Hint = "see " + cmd.CommandPath() + " --help"
	return out
}
