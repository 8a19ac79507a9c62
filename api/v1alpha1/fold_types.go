package v1alpha1

// Source is the event log.
//
// +kubebuilder:validation:XValidation:rule="!has(self.payloadField) || self.format != 'Fields'",message="payloadField belongs to the formats JSON and CloudEvents; the format Fields has no payload",fieldPath=".payloadField"
// +kubebuilder:validation:XValidation:rule="!has(self.until) || self.until.size() == 0 || self.until.contains('T') != self.from.contains('T') || (self.until.contains('T') ? !self.until.endsWith('Z') || !self.from.endsWith('Z') || self.until.contains('.') || self.from.contains('.') || self.until >= self.from : self.until.split('-')[0].size() >= 20 || self.from.split('-')[0].size() >= 19 || int(self.until.split('-')[0]) >= int(self.from.split('-')[0]))",message="until is before from: nothing would be folded",fieldPath=".until"
type Source struct {
	// The Redis server that holds the stream.
	// +required
	Redis Redis `json:"redis"`

	// The key of the Redis Stream. It may be created later: the projector waits for it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('refold:')",message="keys that begin with refold: are Refold's own"
	Stream string `json:"stream"`

	// Where history begins: a stream ID or an RFC 3339 time, inclusive. "0" is the
	// stream's beginning.
	// +optional
	// +kubebuilder:default="0"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=41
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,20}(-[0-9]{1,20})?$') || self.matches('^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$')",message="must be a stream ID, as in 1795412031120-0, or an RFC 3339 time, as in 2026-11-23T00:00:00Z"
	From string `json:"from,omitempty"`

	// Where history ends: a stream ID or an RFC 3339 time, inclusive. The read model
	// is then the state as of that moment; once folded, it is complete and the
	// projector stops. Without it the log is followed for ever.
	// +optional
	// +kubebuilder:validation:MaxLength=41
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || self.matches('^[0-9]{1,20}(-[0-9]{1,20})?$') || self.matches('^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$')",message="must be a stream ID, as in 1795412031120-0, or an RFC 3339 time, as in 2026-11-23T00:00:00Z"
	Until string `json:"until,omitempty"`

	// How an entry holds its event: Fields takes every field of the entry as a
	// string, JSON and CloudEvents read a document from the field payloadField.
	// +optional
	// +kubebuilder:default=Fields
	Format Format `json:"format,omitempty"`

	// The entry's field that holds the document, "payload" if not set. Only for
	// the formats JSON and CloudEvents.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	PayloadField string `json:"payloadField,omitempty"`

	// The entry's field, else the document's member, that names the event's type.
	// +optional
	// +kubebuilder:default=type
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	TypeField string `json:"typeField,omitempty"`
}

// Format says how an entry holds its event.
// +kubebuilder:validation:Enum=Fields;JSON;CloudEvents
type Format string

// Values of Format.
const (
	FormatFields      Format = "Fields"
	FormatJSON        Format = "JSON"
	FormatCloudEvents Format = "CloudEvents"
)

// URL is where a Redis server is. That it holds no password is a rule of what
// holds it: the API server repeats a value that it refuses.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="self.contains('@') || self.startsWith('redis://') || self.startsWith('rediss://')",message="must begin with redis:// or, for TLS, rediss://"
// +kubebuilder:validation:XValidation:rule="self.contains('@') || !self.matches('^rediss?://') || self.matches('^rediss?://([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\\\\[[0-9A-Fa-f:.]+\\\\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[0-9]{0,5})?$')",message="must be redis://host:port/database, as in redis://redis.shop.svc:6379/0"
type URL string

// Redis is one Redis server and how to reach it.
//
// +kubebuilder:validation:XValidation:rule="!self.url.contains('@')",message="must hold no user and no password: put them into a Secret and name it in credentialsSecretRef",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || !self.url.startsWith('redis://')",message="tls needs a rediss:// URL",fieldPath=".tls"
type Redis struct {
	// Where the server is, as redis://host:port/database, or rediss:// for TLS. It
	// holds no user and no password.
	// +required
	URL URL `json:"url"`

	// The Secret that holds the key password and, optionally, username. Its
	// content may change at any time: it is read again at every connection.
	// +optional
	CredentialsSecretRef *SecretReference `json:"credentialsSecretRef,omitempty"`

	// How the server's certificate is verified, and which one the projector shows.
	// Without it a rediss:// URL is verified by the system's certificate authorities.
	// +optional
	TLS *TLS `json:"tls,omitempty"`
}

// TLS says which certificates a connection uses.
type TLS struct {
	// The Secret whose key ca.crt holds the certificate authorities to trust.
	// +optional
	CASecretRef *SecretReference `json:"caSecretRef,omitempty"`

	// The Secret whose keys tls.crt and tls.key hold the client's certificate.
	// +optional
	CertSecretRef *SecretReference `json:"certSecretRef,omitempty"`

	// The name the server's certificate must hold, if it is not the URL's host.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServerName string `json:"serverName,omitempty"`
}

// Expression is a CEL expression. It sees event, type, id, time and state.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=4096
type Expression string

// FieldName is the name of a field of the read model.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_]*$`
type FieldName string

// EventType is the name of an event's type.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
type EventType string

// ReducerType names a reducer.
// +kubebuilder:validation:Enum=Rules
type ReducerType string

// ReducerRules folds by the rules of the manifest.
const ReducerRules ReducerType = "Rules"

// Reducer is the fold.
type Reducer struct {
	// The kind of reducer. Rules folds by the rules below.
	// +optional
	// +kubebuilder:default=Rules
	Type ReducerType `json:"type,omitempty"`

	// A CEL expression that gives the key of the entity an event touches, or a list
	// of keys. An event with no key is skipped and counted.
	// +required
	Key Expression `json:"key"`

	// What events do to an entity. Rules apply in order, every one that matches; an
	// event whose type no rule names is skipped and counted.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Rules []Rule `json:"rules"`
}

// Rule says what events of some types do to an entity. Its expressions see the
// entity as it was before the rule.
//
// +kubebuilder:validation:XValidation:rule="has(self.set) || has(self.add) || has(self.unset) || (has(self.delete) && self.delete)",message="a rule needs at least one of set, add, unset and delete"
// +kubebuilder:validation:XValidation:rule="!(has(self.delete) && self.delete) || !(has(self.set) || has(self.add) || has(self.unset))",message="delete removes the whole entity: it goes without set, add and unset"
// +kubebuilder:validation:XValidation:rule="has(self.on) != has(self.__true__)",message="a rule names in on, once, the types of event that it applies to"
type Rule struct {
	// The types of event that the rule applies to.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	On []EventType `json:"on,omitempty"`

	// The same as on: YAML 1.1, and so kubectl, reads an unquoted on as the word
	// true. Write on, quoted or not; there is no need to write this one.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	OnUnquoted []EventType `json:"true,omitempty"`

	// A CEL expression; the rule applies only to events for which it is true.
	// +optional
	When Expression `json:"when,omitempty"`

	// Fields that are set, each to the value of a CEL expression.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	Set map[string]Expression `json:"set,omitempty"`

	// Integer or Number fields to which the value of a CEL expression is added. A
	// field that is not set counts as 0.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	Add map[string]Expression `json:"add,omitempty"`

	// Fields that are removed from the entity.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Unset []FieldName `json:"unset,omitempty"`

	// Removes the entity from the read model.
	// +optional
	Delete bool `json:"delete,omitempty"`
}

// ReadModel is where the result of the fold is kept.
type ReadModel struct {
	// The fields of an entity, each with its type. Results of expressions are
	// converted to these types or fail.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Fields []Field `json:"fields"`

	// Keeps each entity in a Redis hash, whose key is the prefix and the entity's key.
	// +required
	RedisHash RedisHash `json:"redisHash"`
}

// Field is one field of an entity.
type Field struct {
	// The field's name: letters, digits and underscores, a letter first.
	// +required
	Name FieldName `json:"name"`

	// The field's type.
	// +required
	Type FieldType `json:"type"`
}

// FieldType is the type of a field.
// +kubebuilder:validation:Enum=String;Integer;Number;Boolean;Timestamp;JSON
type FieldType string

// Values of FieldType.
const (
	FieldString    FieldType = "String"
	FieldInteger   FieldType = "Integer"
	FieldNumber    FieldType = "Number"
	FieldBoolean   FieldType = "Boolean"
	FieldTimestamp FieldType = "Timestamp"
	FieldJSON      FieldType = "JSON"
)

// RedisHash keeps each entity in a Redis hash.
//
// +kubebuilder:validation:XValidation:rule="!has(self.url) || !self.url.contains('@')",message="must hold no user and no password: put them into a Secret and name it in credentialsSecretRef",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || !has(self.url) || !self.url.startsWith('redis://')",message="tls needs a rediss:// URL",fieldPath=".tls"
type RedisHash struct {
	// What comes before the entity's key: with "user:" the entity 42 is the hash
	// user:42. No two Projections may share a prefix on one database.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^[:space:][:cntrl:]]+$')",message="must hold no white space and no control character"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('refold:') && !'refold:'.startsWith(self)",message="keys that begin with refold: are Refold's own: choose a prefix that none of them begins with"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('~')",message="keys that begin with ~ are Refold's own"
	KeyPrefix string `json:"keyPrefix"`

	// How a new revision is published. Rename keeps what is read at prefix and key,
	// and renames each hash, whole, one after another. Pointer keeps each revision's
	// at prefix, "@", revision, ":" and key; the string at prefix and "@active" names
	// the one to read, and switches all at once.
	// +optional
	// +kubebuilder:default=Rename
	Cutover Cutover `json:"cutover,omitempty"`

	// Where the server is, if it is not the source's. With a URL of its own the
	// read model shares neither credentials nor TLS with the source.
	// +optional
	URL URL `json:"url,omitempty"`

	// The Secret that holds the key password and, optionally, username. Without a
	// URL of its own it defaults to the source's.
	// +optional
	CredentialsSecretRef *SecretReference `json:"credentialsSecretRef,omitempty"`

	// Certificates for the connection. Without a URL of its own they default to the
	// source's.
	// +optional
	TLS *TLS `json:"tls,omitempty"`
}
