// Command etcd is upstream's etcd server, built from its Go module because no other download can be counted on.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
