package cli

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// configError says what is wrong with kubeconfig or the flags that choose in it.
func (f *Factory) configError(err error) error {
	raw, rawErr := f.flags.ToRawKubeConfigLoader().RawConfig()
	if rawErr != nil {
		return &Error{Code: ExitFailed, Message: "kubeconfig cannot be read: " + rawErr.Error(), Hint: "correct the file, or name another with --kubeconfig", Err: err}
	}
	wanted := f.contextName()
	if _, known := raw.Contexts[wanted]; wanted != "" && !known {
		names := slices.Sorted(maps.Keys(raw.Contexts))
		hint := "kubeconfig has no context at all: name another file with --kubeconfig"
		if len(names) > 0 {
			hint = "there are: " + strings.Join(names, ", ")
		}
		return &Error{Code: ExitFailed, Message: fmt.Sprintf("kubeconfig has no context %q", wanted), Hint: hint, Err: err}
	}
	if clientcmd.IsEmptyConfig(err) {
		return &Error{Code: ExitFailed, Message: "no cluster is configured", Hint: "name a kubeconfig with --kubeconfig or $KUBECONFIG", Err: err}
	}
	return &Error{Code: ExitFailed, Message: err.Error(), Hint: "see kubectl config view", Err: err}
}

// nowhere is the server that client-go takes where none is configured.
const nowhere = "http://localhost:8080"

// chosen tells that nobody has named the server: neither kubeconfig nor a flag,
// nor $KUBERNETES_MASTER, nor a pod that the program runs in.
func (f *Factory) chosen(server string) error {
	named := f.flags.APIServer != nil && *f.flags.APIServer != "" || f.flags.ClusterName != nil && *f.flags.ClusterName != ""
	if server != nowhere || named || f.contextName() != "" || os.Getenv("KUBERNETES_MASTER") != "" {
		return nil
	}
	out := Failf("no cluster is configured").WithHint("name a kubeconfig with --kubeconfig or $KUBECONFIG")
	raw, err := f.flags.ToRawKubeConfigLoader().RawConfig()
	if err == nil && len(raw.Contexts) > 0 {
		out = Failf("kubeconfig has no current context").
			WithHint("choose one with --context; there are: %s", strings.Join(slices.Sorted(maps.Keys(raw.Contexts)), ", "))
	}
	return out
}

// Request is what was asked of the API server, for words about why it failed.
type Request struct {
	Verb      string
	Resource  string // as RBAC names it: "projections.refold.dev", "pods", "pods/log"
	Namespace string // "" for all
}

func (r Request) String() string {
	if r.Namespace == "" {
		return r.Verb + " " + r.Resource + " in all namespaces"
	}
	return fmt.Sprintf("%s %s in namespace %s", r.Verb, r.Resource, r.Namespace)
}

func (r Request) flag() string {
	if r.Namespace == "" {
		return "-A"
	}
	return "-n " + r.Namespace
}

// Explain puts an error of the API server, or of the way to it, into words that
// say what to do. nil stays nil, and what explains itself is left alone.
func (c *Cluster) Explain(r Request, err error) error {
	var told *Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	out := &Error{Code: ExitFailed, Err: err}
	out.Message, out.Hint = c.words(r, err)
	return out
}

func (c *Cluster) words(r Request, err error) (message, hint string) {
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Sprintf("the API server at %s does not know who you are", c.Server), "log in again; kubectl auth whoami says who you are"
	case apierrors.IsForbidden(err):
		return fmt.Sprintf("you may not %s", r), fmt.Sprintf("ask for the verb %q on %s; kubectl auth can-i %s %s %s says whether you have it", r.Verb, r.Resource, r.Verb, r.Resource, r.flag())
	case meta.IsNoMatchError(err), NotServed(err):
		return fmt.Sprintf("the cluster at %s has no %s", c.Server, r.Resource), "Refold is not installed there (docs/install.md), or --context names another cluster than you mean"
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err), apierrors.IsInternalError(err):
		return fmt.Sprintf("the API server cannot %s now: %v", r, err), "try again"
	}
	var dial *net.OpError
	var resolve *net.DNSError
	var asked *url.Error
	switch {
	case errors.As(err, &resolve), errors.As(err, &dial):
		return fmt.Sprintf("no API server answers at %s: %v", c.Server, rootOf(err)), c.elsewhere()
	case strings.Contains(err.Error(), "x509:"):
		return fmt.Sprintf("the certificate of the API server at %s is not to be trusted: %v", c.Server, rootOf(err)), c.elsewhere()
	case errors.As(err, &asked):
		return fmt.Sprintf("no API server answers at %s: %v", c.Server, asked.Err), c.elsewhere()
	}
	return err.Error(), ""
}

func (c *Cluster) elsewhere() string {
	if c.Context == "" {
		return "is the cluster up? --context and --kubeconfig choose another"
	}
	return fmt.Sprintf("is the cluster of context %q up? --context chooses another", c.Context)
}

// NotServed tells a server that does not serve a resource at all from one that
// has no such object.
func NotServed(err error) bool {
	return apierrors.IsNotFound(err) &&
		(apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) || nameless(err))
}

func nameless(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && (status.Status().Details == nil || status.Status().Details.Name == "")
}

func rootOf(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
