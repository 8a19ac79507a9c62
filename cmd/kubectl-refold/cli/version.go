package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Version is what this program is.
type Version struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(f *Factory) *cobra.Command {
	var o Output
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print the version of this program",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			v := Version{f.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if o.Structured() {
				return o.Print(f.Streams.Out, v)
			}
			_, err := fmt.Fprintf(f.Streams.Out, "kubectl-refold %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return err
		},
	}
	o.AddFlag(cmd, JSON, YAML)
	return cmd
}
