package main

import (
	"encoding/json"
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
	c := &chat{Stream: stream, MaxTokens: 2, client: server.Client()}
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

func TestSummaryTellsHowLongAllStreamsWereOpenAndSilent(t *testing.T) {
	begun, second := time.Now(), time.Second
	s := summarize([]answer{
		{begun: begun, first: second, total: 9 * second, silence: second},
		{begun: begun.Add(3 * second), first: 2 * second, total: 9 * second, silence: 4 * second},
	}, 12*second)
	if s.AllOpenS != 4 || s.Silence.P50 != 1000 || s.Silence.Max != 4000 {
		t.Errorf("%+v", s)
	}
	if one := summarize([]answer{{begun: begun, total: second}, {begun: begun.Add(2 * second), total: second}}, second); one.AllOpenS != 0 {
		t.Errorf("%+v", one)
	}
}

func TestSilenceIsTheLongestBetweenTwoTexts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, gap := range []time.Duration{0, 60, 5} {
			time.Sleep(gap * time.Millisecond)
			fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n")
			w.(http.Flusher).Flush()
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	defer server.Close()
	c := &chat{Stream: true, client: server.Client()}
	c.prepare(server.URL)
	if got := c.ask(); got.silence < 55*time.Millisecond || got.silence > 10*time.Second {
		t.Errorf("%s", got.silence)
	}
}

func TestClientsOfARampBeginOneAfterAnother(t *testing.T) {
	begun := make(chan time.Time, 4)
	once := func() answer { begun <- time.Now(); time.Sleep(100 * time.Millisecond); return answer{} }
	run(load{clients: 4, limit: 4, duration: time.Minute, ramp: 80 * time.Millisecond}, once)
	first := <-begun
	for range 2 {
		<-begun
	}
	if spread := (<-begun).Sub(first); spread < 20*time.Millisecond {
		t.Errorf("the last of four began %s after the first", spread)
	}
}

func TestPacedClientsKeepTheirRhythm(t *testing.T) {
	all, took := run(load{clients: 5, duration: 190 * time.Millisecond, every: 50 * time.Millisecond}, func() answer { return answer{} })
	if len(all) < 15 || len(all) > 25 || took < 150*time.Millisecond {
		t.Errorf("%d answers in %s", len(all), took)
	}
}

func TestModelsAreAskedInTurnWithALongPromptAndTools(t *testing.T) {
	asked := map[string]int{}
	var longest int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Model    string
			Messages []struct{ Content string }
			Tools    []any
		}
		_ = json.NewDecoder(r.Body).Decode(&request)
		asked[request.Model] += len(request.Tools)
		longest = max(longest, len(request.Messages[0].Content))
		words := len(strings.Fields(request.Messages[0].Content))
		fmt.Fprintf(w, `{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"arguments":"{\"text\":\" w0 w1\"}"}}]}}],
			"usage":{"prompt_tokens":%d,"completion_tokens":2}}`, words)
	}))
	defer server.Close()
	c := &chat{MaxTokens: 2, Tools: true, PromptBytes: 1 << 16, models: "a,b", client: server.Client()}
	c.prepare(server.URL)
	for range 4 {
		if got := c.ask(); got.failure != "" {
			t.Error(got.failure)
		}
	}
	if asked["a"] != 2 || asked["b"] != 2 || longest < 1<<16 {
		t.Errorf("%v, %d bytes", asked, longest)
	}
}

func TestNativeAnswersAreChecked(t *testing.T) {
	state := "succeeded"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		good := r.Header.Get("Authorization") == "Bearer key-1234"
		switch {
		case !good:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodPost && r.URL.Path == "/api/v1/inference":
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, `{"id":"one"}`)
		case r.URL.Path == "/api/v1/inference/one":
			fmt.Fprintf(w, `{"id":"one","state":%q}`, state)
		case r.URL.Path == "/v1/models/mock":
			fmt.Fprint(w, `{"id":"mock","object":"model"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	n := &native{chat: chat{key: "key-1234", models: "mock", client: server.Client()}}
	n.prepare(server.URL + "/v1")
	file := t.TempDir() + "/ids"
	for _, ask := range []func() answer{n.checkKey, n.checkKey, n.submit, n.status} {
		if got := ask(); got.failure != "" || got.total <= 0 {
			t.Errorf("%+v", got)
		}
	}
	again := &native{}
	if n.keep(file) != nil || again.recall(file) != nil || len(again.ids) != 1 || again.ids[0] != "one" {
		t.Errorf("%v", again.ids)
	}
	state = "failed"
	if got := n.status(); !strings.Contains(got.failure, "failed") {
		t.Errorf("%+v", got)
	}
	n.key = "key-0000" // the wrong key is right, and the right one refused
	if one, other := n.checkKey().failure, n.checkKey().failure; one == "" && other == "" {
		t.Error("a refused key was taken for a good one")
	}
}
