package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// oddTexts come through byte for byte.
var oddTexts = []string{
	"", "\x00", "a\x00b", "\xff\xfe\xfd", "half \xe2\x98", "NaN", "null", "9007199254740993", "\r\n$1\r\nx\r\n", "*2\r\n",
	"'; DROP TABLE users; --", `{"a": [1, "{}"]}`, "\u2603 \u202e \U0001f9ff", `\u0000\`, "${HOME} $(id) `id`", "<script>", "\ufeff",
}

// verbatim is a text that is kept as it is sent.
func verbatim(text string) value { return value{sent: text, kept: text} }

func large(bytes int) string { return strings.Repeat("0123456789abcdef", bytes/16) }

func (h *History) text() value {
	switch n := h.random.IntN(1000); {
	case n < 30:
		return verbatim(oddTexts[h.random.IntN(len(oddTexts))])
	case n < 32:
		return verbatim(large(1 << (10 + h.random.IntN(9))))
	case h.shape.Bulky && n < 700:
		return verbatim(fmt.Sprintf("name %d%s", h.random.IntN(1_000_000), large(h.random.IntN(20_000))))
	}
	return verbatim(fmt.Sprintf("name %d", h.random.IntN(1_000_000)))
}

func (h *History) flag() value { return verbatim(strconv.FormatBool(h.random.IntN(2) == 0)) }

func (h *History) integer() value {
	odd := []value{
		{sent: "+7", kept: "7"}, {sent: "-0", kept: "0"}, {sent: "007", kept: "7"},
		verbatim("9007199254740993"), verbatim("9223372036854775807"), verbatim("-9223372036854775808"),
	}
	if n := h.random.IntN(20); n < len(odd) {
		return odd[n]
	}
	return verbatim(strconv.FormatInt(h.random.Int64()-math.MaxInt64/2, 10))
}

func (h *History) float() value {
	odd := []value{
		{sent: "1E5", kept: "100000"}, {sent: "0.10", kept: "0.1"}, {sent: "9007199254740993", kept: "9.007199254740992e+15"},
		{sent: "-0.0", kept: "-0"}, {sent: "5e-324", kept: "5e-324"}, {sent: "1.7976931348623157e308", kept: "1.7976931348623157e+308"},
	}
	if n := h.random.IntN(20); n < len(odd) {
		return odd[n]
	}
	return verbatim(strconv.FormatFloat(h.random.NormFloat64()*1000, 'g', -1, 64))
}

func (h *History) timestamp() value {
	at := time.Unix(h.random.Int64N(4_000_000_000), h.random.Int64N(4)*250_000_001)
	zone := time.FixedZone("", (h.random.IntN(27)-12)*1800)
	return value{sent: at.In(zone).Format(time.RFC3339Nano), kept: at.UTC().Format(time.RFC3339Nano)}
}

// tags become a JSON list.
func (h *History) tags() value {
	words := []string{"a", "", `"`, "\u2603", "<b>", "new\nline", "\x00", "{}"}
	tags := make([]string, 1+h.random.IntN(4))
	for i := range tags {
		tags[i] = words[h.random.IntN(len(words))]
	}
	var kept bytes.Buffer
	encoder := json.NewEncoder(&kept)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(tags) // strings always can be
	return value{sent: strings.Join(tags, ","), kept: strings.TrimSpace(kept.String())}
}
