package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStopEndsTheProcessThatWasStarted(t *testing.T) {
	set := Set{Folder: t.TempDir()}
	started, err := set.Start(Spec{Name: "sleeper", Path: "/bin/sleep", Args: []string{"60"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, alive := set.Find("sleeper"); !alive {
		t.Fatal("the process that was just started is not found")
	}
	set.Stop("sleeper", time.Second)
	if started.Alive() {
		t.Error("the process runs on")
	}
	if _, alive := set.Find("sleeper"); alive {
		t.Error("the stopped process is still found")
	}
}

func TestARecycledProcessIDIsNotKilled(t *testing.T) {
	bystander := exec.Command("/bin/sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	current, err := recordOf("bystander", bystander.Process.Pid, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*Record){
		"the id was taken over by a later process": func(r *Record) { r.Start-- },
		"the machine was booted since":             func(r *Record) { r.Boot = "another" },
	}
	for name, outdate := range tests {
		t.Run(name, func(t *testing.T) {
			set := Set{Folder: t.TempDir()}
			outdated := current
			outdate(&outdated)
			if err := set.prepareFolders(); err != nil {
				t.Fatal(err)
			}
			if err := outdated.save(recordPath(set.runFolder(), "bystander")); err != nil {
				t.Fatal(err)
			}
			set.StopAll(0)
			if !current.Alive() {
				t.Fatal("a process was killed that only has the recorded one's id")
			}
		})
	}
}

func TestAProcessWithoutARecordIsFoundByItsMark(t *testing.T) {
	set := Set{Folder: t.TempDir()}
	started, err := set.Start(Spec{Name: "sleeper", Path: "/bin/sh", Args: []string{"-c", "sleep 60 & wait"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(set.Folder, "run")); err != nil {
		t.Fatal(err)
	}
	set.StopAll(0)
	if started.Alive() || len(set.Strays()) != 0 {
		t.Errorf("left running: %v", set.Strays())
	}
}

func TestASetLeavesAnotherSetAlone(t *testing.T) {
	one, other := Set{Folder: t.TempDir()}, Set{Folder: t.TempDir()}
	started, err := other.Start(Spec{Name: "sleeper", Path: "/bin/sleep", Args: []string{"60"}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.StopAll(0)
	one.StopAll(0)
	if !started.Alive() {
		t.Error("the process of another set was killed")
	}
}

func TestParseStatReadsPastAnAwkwardName(t *testing.T) {
	content := "42 (a) b (c)) S 7 42 42 0 -1 4194304 95 0 0 0 0 0 0 0 20 0 1 0 1234 5678 2 18446744073709551615"
	got, err := parseStat(42, content)
	if err != nil {
		t.Fatal(err)
	}
	want := Stat{PID: 42, Parent: 7, Command: "a) b (c)", State: 'S', Threads: 1, Start: 1234, RSSBytes: 2 * int64(os.Getpagesize())}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := parseStat(42, "42 (short) S 7"); err == nil {
		t.Error("a line that is cut off was accepted")
	}
}
