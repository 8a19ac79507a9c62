package plan

import (
	"slices"
	"strings"

	"github.com/refold-dev/refold/api/v1alpha1"
)

func normalExpressions(in map[string]v1alpha1.Expression) map[string]string {
	out := Expressions(in)
	for name, text := range out {
		out[name] = NormalExpression(text)
	}
	return out
}

// NormalExpression gives CEL expressions that differ only in white space and
// comments one spelling, the usual one. Tokens stay as they are; so does an
// expression whose string does not end. It is for names, not to be compiled.
//
// It is not cel-go's unparser: a name must not change with the version of a
// library, and what was spelled as usual must keep the name that it had.
func NormalExpression(text string) string {
	tokens, ok := tokensOf(text)
	if !ok {
		return text
	}
	var out strings.Builder
	ternaries := []int{0} // open ones, by bracket
	before, tight := "", true
	for _, token := range tokens {
		last := len(ternaries) - 1
		ternary := token == ":" && ternaries[last] > 0
		unary := isUnary(token, before)
		spaced := isOperator(token) && !unary || ternary
		if !tight && (spaced || isWord(token) && isWord(before)) {
			out.WriteByte(' ')
		}
		out.WriteString(token)
		if tight = unary || spaced || token == "," || token == ":"; tight && !unary {
			out.WriteByte(' ')
		}
		switch {
		case ternary:
			ternaries[last]--
		case token == "?":
			ternaries[last]++
		case strings.Contains("([{", token):
			ternaries = append(ternaries, 0)
		case strings.Contains(")]}", token) && last > 0:
			ternaries = ternaries[:last]
		}
		before = token
	}
	return out.String()
}

// operators, the longer ones first.
var operators = []string{"==", "!=", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "<", ">", "?", "!"}

func isOperator(token string) bool { return token == "in" || slices.Contains(operators, token) }

// isUnary tells a sign or a negation by what comes before it.
func isUnary(token, before string) bool {
	return token == "!" || token == "-" && (before == "" || isOperator(before) || strings.Contains("([{,:", before))
}

func isWord(token string) bool {
	return token != "" && (isWordByte(token[0]) || token[0] == '"' || token[0] == '\'')
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// tokensOf splits an expression; not ok if a string does not end.
func tokensOf(text string) (tokens []string, ok bool) {
	for i := 0; i < len(text); {
		switch {
		case strings.IndexByte(" \t\n\f\r", text[i]) >= 0:
			i++
		case strings.HasPrefix(text[i:], "//"):
			i += strings.IndexByte(text[i:]+"\n", '\n')
		default:
			n := tokenLength(text[i:])
			if n == 0 {
				return nil, false
			}
			tokens = append(tokens, text[i:i+n])
			i += n
		}
	}
	return tokens, true
}

// tokenLength is the length of a string literal with its prefix, of a word or
// number, of an operator or one character; 0 for a string that does not end.
func tokenLength(text string) int {
	n := 0
	for n < len(text) && isWordByte(text[n]) {
		n++
	}
	if n < len(text) && (text[n] == '"' || text[n] == '\'') && n <= 2 && strings.Trim(text[:n], "rRbB") == "" {
		end := stringLength(text[n:], strings.ContainsAny(text[:n], "rR"))
		if end == 0 {
			return 0
		}
		return n + end
	}
	if n > 0 {
		return n
	}
	for _, o := range operators {
		if strings.HasPrefix(text, o) {
			return len(o)
		}
	}
	return 1
}

func stringLength(text string, raw bool) int {
	quote := text[:1]
	if strings.HasPrefix(text, strings.Repeat(quote, 3)) {
		quote = text[:3]
	}
	for i := len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\' && !raw:
			i++
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote)
		case text[i] == '\n' && len(quote) == 1:
			return 0
		}
	}
	return 0
}
