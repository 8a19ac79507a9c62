package main

import (
	"fmt"

	"github.com/refold-dev/refold/hack/testbed/build"
)

func printAssets(bed testbed, _ []string) error {
	folder, err := build.Assets(bed.log)
	if err != nil {
		return err
	}
	fmt.Println(folder)
	return nil
}
