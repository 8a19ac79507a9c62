package main

import (
	"errors"
	"fmt"

	"github.com/refold-dev/refold/hack/testbed/build"
	"github.com/refold-dev/refold/hack/testbed/node"
)

func printAssets(bed testbed, _ []string) error {
	folder, err := build.Assets(bed.log)
	if err != nil {
		return err
	}
	fmt.Println(folder)
	return nil
}

// insideNode is how the node's first process is started; see node.RunInside.
func insideNode(_ testbed, args []string) error {
	if len(args) != 2 {
		return errors.New("this is started by `testbed up`, not by hand")
	}
	return node.RunInside(args[0], args[1])
}
