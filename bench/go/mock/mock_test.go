package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// ask posts a body to a fresh engine and gives the answer's text and the counts after it.
func ask(t *testing.T, body string) (string, map[string]int64) {
	t.Helper()
	e := &engine{}
	server := httptest.NewServer(routes(e))
	defer server.Close()
	response, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer), e.counts.snapshot()
}

func TestWholeAnswerHasExactUsageAndIsCounted(t *testing.T) {
	answer, counts := ask(t, `{"model":"m","max_tokens":3,"messages":[{"role":"user","content":"one two"},{"content":[{"type":"text","text":"three"}]}]}`)
	var got struct {
		Choices []struct{ Message struct{ Content string } }
		Usage   usage
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	if got.Choices[0].Message.Content != " w0 w1 w2" || got.Usage != (usage{3, 3, 6}) {
		t.Fatalf("got %s", answer)
	}
	if counts["finished"] != 1 || counts["prompt_tokens"] != 3 || counts["completion_tokens"] != 3 {
		t.Fatalf("counted %v", counts)
	}
}

func TestStreamSendsUsageOnlyWhenAsked(t *testing.T) {
	plain, _ := ask(t, `{"stream":true,"max_tokens":2,"messages":[]}`)
	asked, _ := ask(t, `{"stream":true,"max_tokens":2,"messages":[],"stream_options":{"include_usage":true}}`)
	for answer, want := range map[string]int{plain: 5, asked: 6} { // role, two tokens, end, [DONE]; and usage
		if got := strings.Count(answer, "data: "); got != want || !strings.HasSuffix(answer, "data: [DONE]\n\n") {
			t.Errorf("%d events instead of %d: %s", got, want, answer)
		}
	}
	if !strings.Contains(asked, `"completion_tokens":2`) || strings.Contains(plain, "completion_tokens") {
		t.Errorf("plain %s\nasked %s", plain, asked)
	}
}

func TestReaderThatLeavesIsBegunButNotFinished(t *testing.T) {
	e := &engine{gap: 5 * time.Millisecond}
	server := httptest.NewServer(routes(e))
	defer server.Close()
	response, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"stream":true,"max_tokens":100000}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	server.Close() // waits for the handler
	if counts := e.counts.snapshot(); counts["begun"] != 1 || counts["finished"] != 0 {
		t.Fatalf("counted %v", counts)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	if answer, counts := ask(t, `{`); !strings.Contains(answer, "not JSON") || counts["begun"] != 0 {
		t.Fatalf("%s %v", answer, counts)
	}
}

func TestToolsAreCalledWithTheTokensAsArguments(t *testing.T) {
	const body = `{"max_tokens":2,"tools":[{"type":"function","function":{"name":"say"}}],"stream":%s}`
	whole, _ := ask(t, strings.Replace(body, "%s", "false", 1))
	if !strings.Contains(whole, `"arguments":"{\"text\":\" w0 w1\"}","name":"say"`) || !strings.Contains(whole, `"finish_reason":"tool_calls"`) {
		t.Error(whole)
	}
	stream, counts := ask(t, strings.Replace(body, "%s", "true", 1))
	arguments := ""
	for _, event := range strings.Split(stream, "data: ") {
		var chunk struct {
			Choices []struct {
				Delta struct {
					Calls []struct{ Function struct{ Arguments string } } `json:"tool_calls"`
				}
			}
		}
		if json.Unmarshal([]byte(event), &chunk) == nil && len(chunk.Choices) > 0 && len(chunk.Choices[0].Delta.Calls) > 0 {
			arguments += chunk.Choices[0].Delta.Calls[0].Function.Arguments
		}
	}
	if arguments != `{"text":" w0 w1"}` || counts["completion_tokens"] != 2 {
		t.Errorf("%s, %v: %s", arguments, counts, stream)
	}
}
