package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// Formats of -o.
const (
	JSON = "json"
	YAML = "yaml"
	Name = "name"
	Wide = "wide"
)

// Output is the flag -o of a command.
type Output struct {
	format  string
	formats []string
}

// AddFlag adds -o with the formats that the command knows.
func (o *Output) AddFlag(cmd *cobra.Command, formats ...string) {
	o.formats = formats
	cmd.Flags().VarP(o, "output", "o", "how to print: "+strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// String implements pflag.Value.
func (o *Output) String() string { return o.format }

// Type implements pflag.Value.
func (o *Output) Type() string { return "format" }

// Set implements pflag.Value.
func (o *Output) Set(value string) error {
	if !slices.Contains(o.formats, value) {
		return fmt.Errorf("it is one of %s", strings.Join(o.formats, ", "))
	}
	o.format = value
	return nil
}

// Is tells whether a format was asked for.
func (o *Output) Is(format string) bool { return o.format == format }

// Structured tells whether the result is for a program.
func (o *Output) Structured() bool { return o.format == JSON || o.format == YAML }

// Print writes v as JSON or YAML.
func (o *Output) Print(w io.Writer, v any) error {
	var data []byte
	var err error
	if o.format == YAML {
		data, err = yaml.Marshal(v)
	} else if data, err = json.MarshalIndent(v, "", "  "); err == nil {
		data = append(data, '\n')
	}
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}
