package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/refold-dev/refold/hack/testbed/node"
)

// down removes the testbed, in whatever state it is. The state folder goes last, so that a down which was itself killed can
// be repeated.
func down(bed testbed, _ []string) error {
	if _, err := os.Stat(bed.folder); errors.Is(err, fs.ErrNotExist) && len(bed.place().Processes().Strays()) == 0 {
		bed.log.Say("down already")
		return nil
	}
	unlock, err := bed.lockFolder()
	if err != nil {
		return err
	}
	defer unlock()
	return bed.log.Step("down", func(func(string)) error { return bed.remove() })
}

// remove kills everything outright: nothing that runs here holds anything worth saving.
func (t testbed) remove() error {
	ran := len(t.place().Processes().Strays()) > 0
	t.place().Processes().StopAll(0)
	if err := node.ReleaseMachine(t.place(), ran); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := os.RemoveAll(t.folder)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("removing the state folder: %w", err)
		}
	}
}

// leaks lists what a removed testbed left behind, and fails when there is anything.
func leaks(bed testbed, _ []string) error {
	found, err := bed.findLeaks()
	if err != nil {
		return err
	}
	if len(found) == 0 {
		bed.log.Say("nothing left behind")
		return nil
	}
	for _, leak := range found {
		fmt.Println(leak)
	}
	return fmt.Errorf("%d things left behind", len(found))
}
