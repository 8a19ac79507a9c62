package controllers

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// apiServer is a real kube-apiserver with etcd, started when the first test asks
// for it and stopped after the last.
var apiServer struct {
	once   sync.Once
	env    *envtest.Environment
	config *rest.Config
	client client.WithWatch
	err    error
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // tests log through their own context
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // worlds wait for the API server more than they work
		panic(err)
	}
	code := m.Run()
	if apiServer.env != nil {
		if err := apiServer.env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
		}
	}
	os.Exit(code)
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return scheme
}

func apiClient(t testing.TB) client.WithWatch {
	t.Helper()
	apiServer.once.Do(func() { apiServer.err = startAPIServer() })
	if apiServer.err != nil {
		t.Fatal(apiServer.err)
	}
	return apiServer.client
}

func startAPIServer() error {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		command := exec.Command("go", "run", "./hack/testbed", "assets")
		command.Dir, command.Stderr = "..", os.Stderr
		out, err := command.Output()
		if err != nil {
			return fmt.Errorf("go run ./hack/testbed assets: %w", err)
		}
		assets = strings.TrimSpace(string(out))
	}
	apiServer.env = &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		Scheme:                newScheme(),
	}
	// A list from the cache would wait up to 100 ms until the cache is known to be fresh.
	apiServer.env.ControlPlane.GetAPIServer().Configure().Set("watch-cache", "false")
	config, err := apiServer.env.Start()
	if err != nil {
		return fmt.Errorf("start the API server: %w", err)
	}
	config.QPS = -1
	apiServer.config = config
	apiServer.client, err = client.NewWithWatch(config, client.Options{Scheme: newScheme()})
	return err
}

func logContext(t testing.TB) context.Context {
	return ctrl.LoggerInto(context.Background(), testr.NewWithInterface(t, testr.Options{Verbosity: 1}))
}
