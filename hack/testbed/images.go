package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/refold-dev/refold/hack/testbed/image"
	"github.com/refold-dev/refold/hack/testbed/node"
)

// load imports image archives into the node.
func load(bed testbed, archives []string) error {
	if len(archives) == 0 {
		return errors.New("load: which archive?")
	}
	if _, alive := bed.place().Processes().Find("node"); !alive {
		return errors.New("load: the testbed is not up")
	}
	for _, archive := range archives {
		err := bed.log.Step("loading "+archive, func(func(string)) error {
			return node.Node{Place: bed.place()}.Load(archive)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// makeImage writes an image archive from static binaries.
func makeImage(bed testbed, args []string) error {
	var (
		spec   image.Spec
		target string
	)
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&target, "o", "", "the archive to write")
	flags.StringVar(&spec.Name, "name", "", "the image's name and tag")
	flags.BoolVar(&spec.CACertificates, "ca", false, "put in the certificates that this machine trusts")
	if err := flags.Parse(args); err != nil {
		return exitCode(2)
	}
	spec.Binaries = flags.Args()
	if target == "" || spec.Name == "" || len(spec.Binaries) == 0 {
		return errors.New("image: needs -o FILE -name NAME:TAG and at least one binary")
	}
	if err := image.Write(spec, target); err != nil {
		return err
	}
	about, err := os.Stat(target)
	if err != nil {
		return err
	}
	bed.log.Say("wrote %s: %s, %s", target, spec.Name, megabytes(about.Size()))
	fmt.Println(target)
	return nil
}
