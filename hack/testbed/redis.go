package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/refold-dev/refold/hack/testbed/layout"
	"github.com/refold-dev/refold/hack/testbed/part"
	"github.com/refold-dev/refold/hack/testbed/proc"
	"github.com/refold-dev/refold/hack/testbed/redis"
)

const redisName = "redis"

// runRedis installs or fetches servers, and runs one that pods can reach.
func runRedis(bed testbed, args []string) error {
	if len(args) == 0 {
		args = []string{""}
	}
	switch args[0] {
	case "install":
		return printPath(redis.EnsureInstalled(bed.log))
	case "versions":
		return printVersions(bed)
	case "fetch":
		if len(args) != 2 {
			return fmt.Errorf("redis fetch: which of %s?", strings.Join(redis.Versions(), ", "))
		}
		return printPath(redis.Fetch(bed.log, args[1]))
	case "up":
		return redisUp(bed, args[1:])
	case "down":
		bed.place().Processes().Stop(redisName, 5*time.Second)
		return nil
	}
	return errors.New("redis: say install, versions, fetch, up or down")
}

func printPath(path string, err error) error {
	if err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

// printVersions fetches all and prints name and program, one a line.
func printVersions(bed testbed) error {
	for _, version := range redis.Versions() {
		path, err := redis.Fetch(bed.log, version)
		if err != nil {
			return err
		}
		fmt.Printf("%s\t%s\n", version, path)
	}
	return nil
}

// redisUp runs a durable server on the bridge's address and prints its host:port. What follows the flags are further
// arguments of redis-server. In the cluster it gets a name by a Service without selector and an EndpointSlice.
func redisUp(bed testbed, args []string) error {
	flags := flag.NewFlagSet("redis up", flag.ContinueOnError)
	port := flags.Int("port", layout.RedisPort, "the port to listen on")
	if err := flags.Parse(args); err != nil {
		return exitCode(2)
	}
	if _, err := net.InterfaceByName(layout.BridgeName); err != nil {
		return errors.New("redis up: the testbed is not up")
	}
	binary, err := redis.EnsureInstalled(bed.log)
	if err != nil {
		return err
	}
	unlock, err := bed.lockFolder()
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.MkdirAll(bed.place().Path(redisName), 0o700); err != nil {
		return err
	}
	if err := bed.ensure(context.Background(), bed.redisPart(binary, *port, flags.Args())); err != nil {
		return err
	}
	fmt.Println(layout.OnBridge(bed.redisPort()))
	return nil
}

func (t testbed) redisPart(binary string, port int, extra []string) part.Part {
	if port == 0 {
		port = t.redisPort()
	}
	address := layout.OnBridge(port)
	args := []string{
		"--bind", layout.BridgeAddress, "--port", strconv.Itoa(port), "--dir", t.place().Path(redisName),
		"--daemonize", "no", "--protected-mode", "no", "--appendonly", "yes", "--save", "",
	}
	return part.Part{
		URL:   "redis://" + address,
		Spec:  proc.Spec{Name: redisName, Path: binary, Args: append(args, extra...)},
		Check: func(ctx context.Context) error { return redis.Ping(ctx, address) },
		Grace: 5 * time.Second,
	}
}

// redisPort is the port of the server that runs, which its record tells.
func (t testbed) redisPort() int {
	record, _ := t.place().Processes().Find(redisName)
	for i, word := range record.Args {
		if word == "--port" && i+1 < len(record.Args) {
			if port, err := strconv.Atoi(record.Args[i+1]); err == nil {
				return port
			}
		}
	}
	return layout.RedisPort
}
