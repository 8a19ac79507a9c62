package controllers

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// writes counts somebody's writes and lets a test fail any of them, before or
// after it has happened.
type writes struct {
	log    []string
	dead   bool              // the operator was killed: the rest of the pass writes nothing
	before func(n int) error // n is 1 for the first write
	after  func(n int) error
}

func (w *writes) do(what string, write func() error) error {
	if w.dead {
		return errKilled
	}
	w.log = append(w.log, what)
	n := len(w.log)
	if w.before != nil {
		if err := w.before(n); err != nil {
			return err
		}
	}
	if err := write(); err != nil {
		return err
	}
	if w.after != nil {
		return w.after(n)
	}
	return nil
}

func (w *writes) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return w.do(fmt.Sprintf("create %T", o), func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return w.do(fmt.Sprintf("delete %T %s", o, o.GetName()), func() error { return c.Delete(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return w.do(fmt.Sprintf("update %T", o), func() error { return c.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return w.do(fmt.Sprintf("patch %T", o), func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return w.do(fmt.Sprintf("apply %v", o), func() error { return c.Apply(ctx, o, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return w.do(fmt.Sprintf("update %T/%s", o, sub), func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return w.do(fmt.Sprintf("patch %T/%s", o, sub), func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	}
}
