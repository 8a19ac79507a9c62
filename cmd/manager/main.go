// Command manager is Refold's operator: flags and wiring, nothing else.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/controllers"
	"github.com/refold-dev/refold/projector"
	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/reduce/builtin"
)

var version = "dev"

// imageVariable gives --projector-image its default, so that an overlay can
// name images without a list of arguments.
const imageVariable = "REFOLD_PROJECTOR_IMAGE"

type options struct {
	projectorImage string
	metricsAddress string
	probeAddress   string
	leaderElect    bool
	showVersion    bool
	logLevel       slog.Level
}

func main() {
	o := parse()
	if o.showVersion {
		fmt.Println(version)
		return
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel})))
	if err := run(o); err != nil {
		ctrl.Log.Error(err, "The manager ends")
		os.Exit(1)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.projectorImage, "projector-image", os.Getenv(imageVariable), "image of the projectors; defaults to $"+imageVariable)
	flag.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "address of /metrics, 0 for none")
	flag.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flag.BoolVar(&o.leaderElect, "leader-elect", false, "let only one of several managers work at a time")
	flag.BoolVar(&o.showVersion, "version", false, "print the version and exit")
	flag.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	flag.Parse()
	return o
}

func run(o options) error {
	if o.projectorImage == "" {
		return errors.New("no projector image: set --projector-image or $" + imageVariable)
	}
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	reconciler := &controllers.Reconciler{
		Client:   mgr.GetClient(),
		Live:     mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder("refold"),
		Clock:    clock.RealClock{},
		Status:   controllers.NewHTTPStatusReader(),
		Check:    check(builtin.Registry()),
		Image:    o.projectorImage,
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return err
	}
	ctrl.Log.Info("Starting manager", "version", version, "projectorImage", o.projectorImage)
	return mgr.Start(ctrl.SetupSignalHandler())
}

func newManager(o options) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.CacheOptions(),
		Client:                        client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}},
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "manager.refold.dev",
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, err
	}
	return mgr, errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping))
}

// check compiles a contract's reducer as a projector would, and throws it away.
func check(registry projector.Registry) func(contract.Document) error {
	return func(d contract.Document) error {
		schema, err := projector.NewSchema(d.ReadModel.Fields)
		if err != nil {
			return err
		}
		_, err = registry.New(projector.Config{Reducer: d.Reducer, Format: d.Source.Format, Schema: schema})
		return err
	}
}
