package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/refold-dev/refold/api/v1alpha1"
)

// Defaulted returns a copy of spec in which everything that has a default is
// written out and every URL has one spelling. The API server sets most of the
// defaults too; a name must not depend on whether it did.
func Defaulted(spec v1alpha1.ProjectionSpec) v1alpha1.ProjectionSpec {
	out := *spec.DeepCopy()
	defaultSource(&out.Source)
	setDefault(&out.Reducer.Type, v1alpha1.ReducerRules)
	for i := range out.Reducer.Rules {
		quoteOn(&out.Reducer.Rules[i])
	}
	defaultRedisHash(&out.ReadModel.RedisHash, out.Source.Redis)
	defaultReplay(&out.Replay)
	setDefault(&out.ErrorPolicy.OnError, v1alpha1.OnErrorHalt)
	setDefault(&out.DeletionPolicy, v1alpha1.DeletionRetain)
	return out
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// quoteOn gives the types of event the one name that they have.
func quoteOn(rule *v1alpha1.Rule) {
	if len(rule.On) == 0 {
		rule.On, rule.OnUnquoted = rule.OnUnquoted, nil
	}
}

func defaultSource(source *v1alpha1.Source) {
	source.Redis.URL = NormalURL(source.Redis.URL)
	setDefault(&source.From, "0")
	setDefault(&source.Format, v1alpha1.FormatFields)
	setDefault(&source.TypeField, "type")
	if source.Format == v1alpha1.FormatFields {
		source.PayloadField = ""
		return
	}
	setDefault(&source.PayloadField, "payload")
}

func defaultReplay(replay *v1alpha1.Replay) {
	setDefault(&replay.Strategy, v1alpha1.ReplayShadow)
	setDefault(&replay.Promotion.Mode, v1alpha1.PromotionAutomatic)
	setDefault(&replay.History, v1alpha1.HistoryRequired)
	if replay.Promotion.MaxChangedPercent == nil {
		replay.Promotion.MaxChangedPercent = new(int32(20))
	}
	if replay.RollbackWindowSeconds == nil {
		replay.RollbackWindowSeconds = new(int64(3600))
	}
}

// defaultRedisHash takes what is not set from the source, but never hands the
// source's credentials to another server.
func defaultRedisHash(hash *v1alpha1.RedisHash, source v1alpha1.Redis) {
	setDefault(&hash.Cutover, v1alpha1.CutoverRename)
	if hash.URL != "" {
		hash.URL = NormalURL(hash.URL)
		return
	}
	hash.URL = source.URL
	if hash.CredentialsSecretRef == nil {
		hash.CredentialsSecretRef = source.CredentialsSecretRef
	}
	if hash.TLS == nil {
		hash.TLS = source.TLS
	}
}

// NormalURL gives a Redis URL one spelling: lowercase host, port and database
// written out. What is not a Redis URL stays as it is.
func NormalURL(url v1alpha1.URL) v1alpha1.URL {
	scheme, rest, ok := strings.Cut(string(url), "://")
	if !ok {
		return url
	}
	address, database, _ := strings.Cut(rest, "/")
	if strings.LastIndex(address, ":") <= strings.LastIndex(address, "]") {
		address += ":6379"
	}
	number, err := strconv.ParseUint(database, 10, 32)
	if err != nil && database != "" {
		return url
	}
	return v1alpha1.URL(fmt.Sprintf("%s://%s/%d", scheme, strings.ToLower(address), number))
}

// StartID gives a stream ID or RFC 3339 time the one spelling of an ID; a time
// stands for the first ID of its millisecond. What is neither stays as it is.
func StartID(from string) string {
	if ms, seq, err := parseID(from); err == nil {
		return fmt.Sprintf("%d-%d", ms, seq)
	}
	if t, err := time.Parse(time.RFC3339Nano, from); err == nil && t.UnixMilli() >= 0 {
		return fmt.Sprintf("%d-0", t.UnixMilli())
	}
	return from
}

// EndID gives a stream ID or RFC 3339 time the one spelling of an ID; a time
// stands for the last ID of its millisecond, as does an ID without a sequence.
// "" and what is neither stay as they are.
func EndID(until string) string {
	const last = "18446744073709551615"
	if ms, seq, err := parseID(until); err == nil {
		if !strings.Contains(until, "-") {
			return fmt.Sprintf("%d-%s", ms, last)
		}
		return fmt.Sprintf("%d-%d", ms, seq)
	}
	if t, err := time.Parse(time.RFC3339Nano, until); err == nil && t.UnixMilli() >= 0 {
		return fmt.Sprintf("%d-%s", t.UnixMilli(), last)
	}
	return until
}

// CheckUntil says why until, which may be "", does not go with from.
func CheckUntil(from, until string) error {
	if until == "" {
		return nil
	}
	end, start := EndID(until), StartID(from)
	ms, seq, err := parseID(end)
	if err != nil {
		return fmt.Errorf("source.until: %q is neither a stream ID (1795412031120-0) nor an RFC 3339 time since 1970 (2026-11-23T00:00:00Z)", until)
	}
	if fromMS, fromSeq, err := parseID(start); err == nil && (ms < fromMS || ms == fromMS && seq < fromSeq) {
		return fmt.Errorf("source.until: %q (%s) is before source.from %q (%s): nothing would be folded", until, end, from, start)
	}
	return nil
}

// CheckFrom says why from is neither a stream ID nor a time. The schema refuses
// most of it; the 30th of February and IDs past 64 bits are left for here.
func CheckFrom(from string) error {
	if _, _, err := parseID(from); err == nil {
		return nil
	}
	if t, err := time.Parse(time.RFC3339Nano, from); err == nil && t.UnixMilli() >= 0 {
		return nil
	}
	return fmt.Errorf("source.from: %q is neither a stream ID (1795412031120-0) nor an RFC 3339 time since 1970 (2026-11-23T00:00:00Z)", from)
}

func parseID(s string) (ms, seq uint64, err error) {
	left, right, found := strings.Cut(s, "-")
	if ms, err = strconv.ParseUint(left, 10, 64); err != nil || !found {
		return ms, 0, err
	}
	seq, err = strconv.ParseUint(right, 10, 64)
	return ms, seq, err
}
