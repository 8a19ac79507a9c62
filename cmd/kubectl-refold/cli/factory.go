package cli

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// Factory gives commands what they need of the world. Nothing is read or dialled
// before it is asked for.
type Factory struct {
	Streams genericiooptions.IOStreams
	Version string
	Clock   clock.WithTicker

	// Size, where set, stands for the terminal's own: of Out, in characters.
	Size func() (columns, rows int)

	flags *genericclioptions.ConfigFlags
}

// NewFactory returns a factory of the real world.
func NewFactory(streams genericiooptions.IOStreams, version string) *Factory {
	flags := genericclioptions.NewConfigFlags(true)
	flags.CacheDir = nil // nothing is discovered, so nothing is cached
	return &Factory{Streams: streams, Version: version, Clock: clock.RealClock{}, flags: flags}
}

// common are the flags that a command's help shows; the rest is kubectl's too and
// is understood.
var common = []string{"namespace", "context", "kubeconfig"}

func (f *Factory) addFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	f.flags.AddFlags(flags)
	flags.VisitAll(func(flag *pflag.Flag) { flag.Hidden = true })
	for _, name := range common {
		flags.Lookup(name).Hidden = false
	}
	_ = root.RegisterFlagCompletionFunc("context", f.completeContexts)
	_ = root.RegisterFlagCompletionFunc("namespace", f.completeNamespaces)
}

func (f *Factory) completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	raw, err := f.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return slices.Sorted(maps.Keys(raw.Contexts)), cobra.ShellCompDirectiveNoFileComp
}

// patience is how long a completion may keep a shell waiting.
const patience = 3 * time.Second

// Completing bounds what a completion asks: of a cluster that does not answer
// there is nothing to complete.
func Completing(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), patience)
}

func (f *Factory) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := f.Cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := Completing(cmd)
	defer cancel()
	list, err := c.Clientset.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 500})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, namespace := range list.Items {
		out = append(out, namespace.Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// Cluster is a way to one API server, and the namespace that is meant if none is
// named.
type Cluster struct {
	Client    client.WithWatch
	Clientset kubernetes.Interface
	Namespace string
	Server    string // its address, for messages
	Context   string // as kubeconfig names it, "" if there is none

	config *rest.Config
}

// Cluster reads kubeconfig and the flags. It does not dial.
func (f *Factory) Cluster() (*Cluster, error) {
	config, err := f.flags.ToRESTConfig()
	if err != nil {
		return nil, f.configError(err)
	}
	if err := f.chosen(config.Host); err != nil {
		return nil, err
	}
	loader := f.flags.ToRawKubeConfigLoader()
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, f.configError(err)
	}
	return newCluster(config, namespace, f.contextName())
}

func newCluster(config *rest.Config, namespace, context string) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 50, 100
	config.WarningHandler = rest.NoWarnings{}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme(), Mapper: mapper()})
	if err != nil {
		return nil, err
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Cluster{Client: c, Clientset: clientset, Namespace: namespace, Server: config.Host, Context: context, config: config}, nil
}

// Config is a copy of how the API server is reached.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

func (f *Factory) contextName() string {
	if name := f.flags.Context; name != nil && *name != "" {
		return *name
	}
	raw, err := f.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return ""
	}
	return raw.CurrentContext
}

// mapper knows the few kinds that are asked for, so that no request is spent on
// finding out what the server has.
func mapper() meta.RESTMapper {
	out := meta.NewDefaultRESTMapper(nil)
	for kind := range scheme().AllKnownTypes() {
		out.Add(kind, meta.RESTScopeNamespace)
	}
	return out
}

func scheme() *runtime.Scheme {
	out := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(out); err != nil {
			panic("cli: the scheme of the types that are compiled in: " + err.Error())
		}
	}
	return out
}

// Since is how long ago t was.
func (f *Factory) Since(t time.Time) time.Duration { return f.Clock.Since(t) }
