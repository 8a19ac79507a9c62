// Command demo runs Refold's main job from nothing, with nothing mocked: a
// Kubernetes, a Redis, a command side that appends events, a Projection
// applied with kubectl, a projector killed half-way, and at the end an
// independent fold of the whole log that must equal the read model.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/refold-dev/refold/hack/install"
)

const (
	namespace  = "shop"
	projection = "user-profile"
	stream     = "user_events"
	keyPrefix  = "user:"
)

// demo is what the steps share.
type demo struct {
	cluster install.Cluster
	redis   *redis.Client
	writer  *commandSide
	started time.Time
	held    string // the revision that awaits approval
	mended  bool   // the rules are the mended ones
	stop    func() // ends what runs beside the demo
}

func main() {
	kubeContext := flag.String("context", "", "use this context of your kubeconfig instead of the testbed; its nodes must be able to pull the images")
	down := flag.Bool("down", false, "take away all that the demo made")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	d := &demo{cluster: install.Cluster{Context: *kubeContext, Out: os.Stdout}, started: time.Now(), stop: func() {}}
	run := d.run
	if *down {
		run = d.down
	}
	err := run(ctx)
	d.stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "demo: interrupted; `make demo-down` takes away what there is")
		}
		os.Exit(1)
	}
}

func (d *demo) run(ctx context.Context) error {
	steps := []struct {
		does string
		step func(context.Context) error
	}{
		{"Kubernetes is up", d.cluster.Up},
		{"images of manager and projector are built and loaded", d.cluster.Images},
		{"Refold is installed: CRD, RBAC, manager", d.cluster.Refold},
		{"Redis runs and pods reach it as redis.shop.svc", d.startRedis},
		{"the command side has written the story of a few users", d.tellStory},
		{"the command side has appended 100,000 events for 5,000 users", d.firstBurst},
		{"kubectl apply -f config/samples/user-profile.yaml, and it is Ready", d.applyProjection},
		{"what a person sees", d.look},
		{"an event appended now is visible at once", d.appendWhileLooking},
		{"the projector was killed in the middle of a second burst and has caught up by itself", d.killMidBurst},
		{"the read model is compared with an independent fold", d.compare},
		{"a reducer with a bug is applied: e-mails get lost; it is held, and somebody approves it", d.shipTheBug},
		{"the reducer is mended: the log is folded again beside the live model, compared and held", d.fixIt},
		{"approved: the switch, while an application reads all the time", d.cutOver},
		{"rolled back, and forward again", d.goBack},
		{"the read model is compared with an independent fold again", d.compareMended},
	}
	for i, s := range steps {
		begun := time.Now()
		if err := s.step(ctx); err != nil {
			return fmt.Errorf("step %d, %q: %w", i+1, s.does, err)
		}
		fmt.Printf("%2d/%d  %-88s %6.1f s\n", i+1, len(steps), s.does, time.Since(begun).Seconds())
	}
	d.sayWhatNext()
	return nil
}

func (d *demo) sayWhatNext() {
	fmt.Printf("\nDone in %.0f s. Next:\n", time.Since(d.started).Seconds())
	if path := d.cluster.Kubeconfig(); path != "" {
		fmt.Println(`  eval "$(go run ./hack/testbed env)"                      # KUBECONFIG and kubectl`)
	}
	fmt.Printf("  kubectl -n %s get projections -w\n", namespace)
	fmt.Printf("  kubectl -n %s describe projection %s\n", namespace, projection)
	fmt.Println("  kubectl explain projection.spec --recursive")
	if d.cluster.Context == "" {
		addr := d.redis.Options().Addr
		host, port := splitAddr(addr)
		fmt.Printf("  redis-cli -h %s -p %s XADD %s '*' type EmailUpdated id 42 email new@example.org\n", host, port, stream)
		fmt.Printf("  redis-cli -h %s -p %s HGETALL %s42\n", host, port, keyPrefix)
	}
	fmt.Println("To clean up: make demo-down")
}
