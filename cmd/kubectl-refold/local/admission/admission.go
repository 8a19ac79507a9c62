// Package admission says of a Projection what the API server would say: it
// runs the schema of the CRD, with its CEL rules and defaults, by the API
// server's own packages. It talks to nobody.
package admission

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/refold-dev/refold/api/v1alpha1"
	"github.com/refold-dev/refold/config/crd"
)

// Validator checks Projections. It may be used by several goroutines.
type Validator struct {
	schema     *structuralschema.Structural
	properties validation.SchemaValidator
	rules      *cel.Validator
}

// NewValidator compiles the schema of this build's CRD.
func NewValidator() (*Validator, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crd.Projections, &definition); err != nil {
		return nil, fmt.Errorf("read the CRD: %w", err)
	}
	for _, version := range definition.Spec.Versions {
		if version.Name == v1alpha1.GroupVersion.Version {
			return newValidator(version.Schema)
		}
	}
	return nil, fmt.Errorf("the CRD has no version %s", v1alpha1.GroupVersion.Version)
}

func newValidator(external *apiextensionsv1.CustomResourceValidation) (*Validator, error) {
	var internal apiextensions.CustomResourceValidation
	err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(external, &internal, nil)
	if err != nil {
		return nil, fmt.Errorf("convert the CRD: %w", err)
	}
	properties, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("compile the CRD: %w", err)
	}
	schema, err := structuralschema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("compile the CRD: %w", err)
	}
	return &Validator{schema: schema, properties: properties, rules: cel.NewValidator(schema, true, celconfig.PerCallLimit)}, nil
}

// Admit does to object what the API server does at a strict create: it takes
// away what the schema does not know, sets defaults, and returns the paths of
// what it took away and everything that is wrong. The object's apiVersion and
// kind are taken to be a Projection's. An error that is not the schema's, as of
// metadata of a wrong type, comes alone.
func (v *Validator) Admit(ctx context.Context, object map[string]any) (unknown []string, invalid field.ErrorList) {
	unknown, err := v.prune(object)
	if err != nil {
		return nil, field.ErrorList{{Type: field.ErrorTypeInternal, Field: "metadata", Detail: err.Error()}}
	}
	delete(object, "status") // create cannot set it
	defaulting.Default(object, v.schema)
	return unknown, v.validate(ctx, object)
}

// Fields are the names that the schema knows in what is at path, none if it is
// not known itself.
func (v *Validator) Fields(path string) []string {
	at := v.schema
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next, known := at.Properties[step]
		switch {
		case known:
			at = &next
		case at.Items != nil:
			at = at.Items
		case at.AdditionalProperties != nil && at.AdditionalProperties.Structural != nil:
			at = at.AdditionalProperties.Structural
		default:
			return nil
		}
	}
	return slices.Sorted(maps.Keys(at.Properties))
}

// prune is what the API server's decoder does.
func (v *Validator) prune(object map[string]any) (unknown []string, err error) {
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, err
	}
	apiVersion, kind := object["apiVersion"], object["kind"]
	unknown = append(unknown, pruning.PruneWithOptions(object, v.schema, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, v.schema)
	object["apiVersion"], object["kind"] = apiVersion, kind
	if found {
		return unknown, objectmeta.SetObjectMeta(object, meta)
	}
	return unknown, nil
}

// validate is the strategy of the API server for custom resources.
func (v *Validator) validate(ctx context.Context, object map[string]any) field.ErrorList {
	errs := validateMeta(object)
	errs = append(errs, validation.ValidateCustomResource(nil, object, v.properties)...)
	errs = append(errs, objectmeta.Validate(ctx, nil, object, v.schema, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.schema, object)...)
	if blocking(errs) {
		return append(errs, field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"))
	}
	broken, _ := v.rules.Validate(ctx, nil, v.schema, object, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}

func validateMeta(object map[string]any) field.ErrorList {
	var meta metav1.ObjectMeta
	if content, ok := object["metadata"].(map[string]any); ok {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &meta); err != nil {
			return field.ErrorList{field.Invalid(field.NewPath("metadata"), nil, err.Error())}
		}
	}
	return metavalidation.ValidateObjectMetaAccessor(&meta, true, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

// blocking tells errors after which the API server runs no CEL rule.
func blocking(errs field.ErrorList) bool {
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}
