package plan

import "testing"

func TestExpressionsThatDifferInWhiteSpaceHaveOneSpelling(t *testing.T) {
	for in, want := range map[string]string{
		"event.a == '<b>'":                      "event.a == '<b>'",
		"event.a=='<b>'":                        "event.a == '<b>'",
		" event . a\n==\t'<b>' // why":          "event.a == '<b>'",
		"int( event.cents )>0&&!has( event.x )": "int(event.cents) > 0 && !has(event.x)",
		"a?b:c":                                 "a ? b : c",
		"a ? {'k':b} : {'k' : c}":               "a ? {'k': b} : {'k': c}",
		"[a,b ,c]":                              "[a, b, c]",
		"a- -1":                                 "a - -1",
		"-a+(-b)":                               "-a + (-b)",
		"x in[1,2]":                             "x in [1, 2]",
		"'a  b' + \"c  // d\"":                  "'a  b' + \"c  // d\"",
		"r'\\' + b\"x  y\"":                     "r'\\' + b\"x  y\"",
		"'it\\'s  so'+" + "'''a\n  'b'  c'''":   "'it\\'s  so' + '''a\n  'b'  c'''",
		"'never  ends":                          "'never  ends",
		"":                                      "",
	} {
		if got := NormalExpression(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		} else if again := NormalExpression(got); again != got {
			t.Errorf("%q: again it is %q", got, again)
		}
	}
}
