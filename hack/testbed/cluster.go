package main

import (
	"context"

	"github.com/refold-dev/refold/hack/testbed/build"
	"github.com/refold-dev/refold/hack/testbed/control"
	"github.com/refold-dev/refold/hack/testbed/layout"
	"github.com/refold-dev/refold/hack/testbed/node"
	"github.com/refold-dev/refold/hack/testbed/part"
)

// cluster is the testbed's Kubernetes.
type cluster struct {
	place layout.Layout
	plane control.Plane
	node  node.Node
}

func (t testbed) place() layout.Layout { return layout.Layout{Folder: t.folder} }

// newCluster describes the cluster, with programs that may be empty when nothing is to be started.
func (t testbed) newCluster(programs programs) cluster {
	return cluster{
		place: t.place(),
		plane: control.Plane{Place: t.place(), Kubernetes: programs.kubernetes, Etcd: programs.etcd, CoreDNS: programs.coredns},
		node:  node.Node{Place: t.place(), Kubernetes: programs.kubernetes},
	}
}

// parts are all of them, in the order in which each can become healthy.
func (c cluster) parts() []part.Part {
	return []part.Part{
		c.plane.Store(), c.plane.APIServer(), c.plane.Controllers(), c.plane.Scheduler(),
		c.node.Agent(), c.node.Proxy(), c.plane.DNS(),
	}
}

// problem is nil when every part is healthy and the node ready.
func (c cluster) problem(ctx context.Context) error {
	for _, part := range c.parts() {
		if seen := part.Look(ctx, c.place.Processes()); seen.Problem != nil {
			return seen.Problem
		}
	}
	return control.NodeReady(ctx, c.place)
}

// programs are the folders of what the cluster runs.
type programs struct {
	etcd, kubernetes, coredns, pause string
}

// ensurePrograms builds what is not built yet.
func (t testbed) ensurePrograms() (programs, error) {
	var (
		built programs
		err   error
	)
	if built.etcd, err = build.Etcd(t.log); err != nil {
		return built, err
	}
	if built.kubernetes, err = build.Kubernetes(t.log); err != nil {
		return built, err
	}
	if built.coredns, err = build.CoreDNS(t.log); err != nil {
		return built, err
	}
	built.pause, err = build.Pause(t.log)
	return built, err
}
