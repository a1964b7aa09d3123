package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const usageOfTwo = `"usage":{"prompt_tokens":9,"completion_tokens":2}`

// against asks a server that answers with body for two tokens.
func against(t *testing.T, stream bool, body string) answer {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
	defer server.Close()
	c := chat{Stream: stream, MaxTokens: 2, client: server.Client()}
	c.prepare(server.URL)
	return c.ask()
}

func TestAnswersAreChecked(t *testing.T) {
	whole := func(text string) string {
		return `{"choices":[{"message":{"content":"` + text + `"}}],` + usageOfTwo + `}`
	}
	stream := func(end string, pieces ...string) string {
		out := ""
		for _, piece := range pieces {
			out += `data: {"choices":[{"delta":{"content":"` + piece + "\"}}]}\n\n"
		}
		return out + "data: {\"choices\":[]," + usageOfTwo + "}\n\n" + end
	}
	const done = "data: [DONE]\n\n"
	for name, c := range map[string]struct {
		stream     bool
		body, want string
	}{
		"whole":             {false, whole(" w0 w1"), ""},
		"whole, token lost": {false, whole(" w0"), "wrong text"},
		"whole, no usage":   {false, `{"choices":[{"message":{"content":" w0 w1"}}]}`, "wrong usage"},
		"not JSON":          {false, "oops", "invalid character"},
		"stream":            {true, stream(done, " w0", " w1"), ""},
		"stream, coalesced": {true, stream(done, "", " w0 w1"), ""},
		"stream, reordered": {true, stream(done, " w1", " w0"), "wrong text"},
		"stream, doubled":   {true, stream(done, " w0", " w0", " w1"), "wrong text"},
		"stream, cut":       {true, stream("", " w0", " w1"), "without [DONE]"},
	} {
		got := against(t, c.stream, c.body).failure
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: failure %q, expected %q", name, got, c.want)
		}
	}
}

func TestRunStopsAtTheLimitAndAtTheDeadline(t *testing.T) {
	slow := func() answer { time.Sleep(time.Millisecond); return answer{} }
	if all, _ := run(load{clients: 4, limit: 10, duration: time.Minute}, slow); len(all) != 10 {
		t.Errorf("%d answers instead of 10", len(all))
	}
	if all, took := run(load{clients: 2, duration: 30 * time.Millisecond}, slow); len(all) < 2 || took > time.Second {
		t.Errorf("%d answers in %s", len(all), took)
	}
}

func TestSummaryLeavesFailuresOut(t *testing.T) {
	answers := []answer{{total: time.Hour, failure: "late"}}
	for i := range 100 {
		answers = append(answers, answer{total: time.Duration(i+1) * time.Millisecond, usage: usage{9, 2}})
	}
	s := summarize(answers, 10*time.Second)
	if s.Requests != 100 || s.Failed != 1 || s.FirstFailure != "late" || s.CompletionTokens != 200 || s.RequestsPerS != 10 {
		t.Errorf("%+v", s)
	}
	if s.Latency != (percentiles{50, 95, 99, 100}) {
		t.Errorf("%+v", s.Latency)
	}
}
