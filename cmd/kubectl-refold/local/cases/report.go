package cases

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Outcome is what came of one file.
type Outcome struct {
	File    string
	Results []*Result
	Broken  string // why none of it could be run; "" if it could
	// Coverage is of the manifest, by all files that are about it; nil if it was not
	// asked for.
	Coverage *Coverage
}

// TAP writes the Test Anything Protocol, version 14, https://testanything.org.
func TAP(w io.Writer, outcomes []Outcome) error {
	p := printer{w: w}
	n := 0
	for _, o := range outcomes {
		n += max(len(o.Results), count(o.Broken != ""))
	}
	p.printf("TAP version 14\n1..%d\n", n)
	n = 0
	for _, o := range outcomes {
		if o.Broken != "" {
			n++
			p.printf("not ok %d - %s\n", n, tapText(o.File))
			p.diagnostic(o.File, 0, []string{o.Broken})
		}
		for _, r := range o.Results {
			n++
			verdict := "ok"
			if r.Failed() {
				verdict = "not ok"
			}
			p.printf("%s %d - %s: %s\n", verdict, n, tapText(o.File), tapText(r.Case.Name))
			if r.Failed() {
				p.diagnostic(o.File, r.Case.Line, messages(r))
			}
		}
		if o.Coverage != nil && o.Broken == "" {
			p.printf("# coverage of its manifest by all files: %.1f %%\n", o.Coverage.Percent())
		}
	}
	return p.err
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func messages(r *Result) []string {
	var out []string
	for _, f := range r.Failures {
		out = append(out, f.Message)
	}
	return out
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// diagnostic is TAP's block of YAML.
func (p *printer) diagnostic(file string, line int, messages []string) {
	p.printf("  ---\n  at: %q\n  messages:\n", fmt.Sprintf("%s:%d", file, line))
	for _, m := range messages {
		p.printf("  - %q\n", m)
	}
	p.printf("  ...\n")
}

// tapText takes what TAP would read as something else.
func tapText(s string) string {
	return strings.NewReplacer("\\", "\\\\", "#", "\\#", "\n", " ", "\r", " ").Replace(s)
}

// JUnit writes the XML that CI systems read.
func JUnit(w io.Writer, outcomes []Outcome) error {
	all := junitSuites{Name: "kubectl refold test"}
	for _, o := range outcomes {
		s := suiteOf(o)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string           `xml:"name,attr"`
	Tests      int              `xml:"tests,attr"`
	Failures   int              `xml:"failures,attr"`
	Errors     int              `xml:"errors,attr"`
	Time       string           `xml:"time,attr"`
	Properties *junitProperties `xml:"properties"`
	Cases      []junitCase      `xml:"testcase"`
}

type junitProperties struct {
	All []junitProperty `xml:"property"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr,omitempty"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func suiteOf(o Outcome) junitSuite {
	s := junitSuite{Name: xmlText(o.File), Tests: len(o.Results)}
	total := time.Duration(0)
	for _, r := range o.Results {
		total += r.Took
		c := junitCase{Name: xmlText(r.Case.Name), Class: xmlText(o.File), File: xmlText(o.File), Line: r.Case.Line, Time: seconds(r.Took)}
		if r.Failed() {
			s.Failures++
			lines := messages(r)
			c.Failure = &junitMessage{xmlText(lines[0]), xmlText(strings.Join(lines, "\n"))}
		}
		s.Cases = append(s.Cases, c)
	}
	if o.Broken != "" {
		s.Tests, s.Errors = 1, 1
		s.Cases = []junitCase{{Name: "the file", Class: xmlText(o.File), File: xmlText(o.File), Time: seconds(0),
			Error: &junitMessage{xmlText(strings.SplitN(o.Broken, "\n", 2)[0]), xmlText(o.Broken)}}}
	}
	if o.Coverage != nil {
		s.Properties = &junitProperties{[]junitProperty{{"coverage.percent", fmt.Sprintf("%.1f", o.Coverage.Percent())}}}
	}
	s.Time = seconds(total)
	return s
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// xmlText takes what XML has no way to write.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r != utf8.RuneError && !unicode.IsControl(r) && r != 0xFFFE && r != 0xFFFF {
			return r
		}
		return utf8.RuneError
	}, s)
}
