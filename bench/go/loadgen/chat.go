package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const question = "Say hello to the world in a few words. "

type usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
}

// answer is one request's end; failure is empty if it was right.
type answer struct {
	begun        time.Time
	total, first time.Duration // first: until the first text, streams only
	silence      time.Duration // the longest between two texts of a stream
	usage        usage
	failure      string
}

// reply is a whole answer or one streamed chunk.
type reply struct {
	Choices []struct {
		Message, Delta part
	}
	Usage *usage
}

// part is of an answer: text, or a call of a tool.
type part struct {
	Content string
	Calls   []struct {
		Function struct{ Arguments string }
	} `json:"tool_calls"`
}

func (p part) text() string {
	text := p.Content
	for _, call := range p.Calls {
		text += call.Function.Arguments
	}
	return text
}

func (r reply) text() string {
	if len(r.Choices) == 0 {
		return ""
	}
	return r.Choices[0].Message.text() + r.Choices[0].Delta.text()
}

// chat sends the same request again and again, to its models in turn.
type chat struct {
	Stream, Tools bool
	MaxTokens     int
	PromptBytes   int // at least; 0: one sentence
	key, models   string
	url           string
	client        *http.Client
	bodies        [][]byte // one a model
	asked         atomic.Uint64
	prompt, want  string
	promptWords   int64
}

func (c *chat) prepare(base string) {
	c.url = strings.TrimSuffix(base, "/") + "/chat/completions"
	c.prompt = strings.Repeat(question, 1+c.PromptBytes/len(question))
	c.promptWords = int64(len(strings.Fields(c.prompt)))
	for _, model := range strings.Split(c.models, ",") {
		body, _ := json.Marshal(c.request(model))
		c.bodies = append(c.bodies, body)
	}
	for i := range c.MaxTokens {
		c.want += fmt.Sprintf(" w%d", i)
	}
	if c.Tools {
		c.want = `{"text":"` + c.want + `"}`
	}
}

func (c *chat) request(model string) map[string]any {
	request := map[string]any{
		"model": model, "max_tokens": c.MaxTokens,
		"messages": []any{map[string]any{"role": "user", "content": c.prompt}},
	}
	if c.Stream {
		request["stream"], request["stream_options"] = true, map[string]any{"include_usage": true}
	}
	if c.Tools {
		text := map[string]any{"type": "object", "properties": map[string]any{"text": map[string]any{"type": "string"}}}
		say := map[string]any{"type": "function", "function": map[string]any{"name": "say", "parameters": text}}
		request["tools"] = []any{say}
	}
	return request
}

// ask sends one request and reads its whole answer.
func (c *chat) ask() (a answer) {
	a.begun = time.Now()
	text, err := c.exchange(&a)
	a.total = time.Since(a.begun)
	switch {
	case err != nil:
		a.failure = err.Error()
	case text != c.want:
		a.failure = fmt.Sprintf("wrong text: %.200q", text)
	case a.usage.Completion != int64(c.MaxTokens) || a.usage.Prompt != c.promptWords:
		a.failure = fmt.Sprintf("wrong usage: %+v", a.usage)
	}
	return a
}

func (c *chat) exchange(a *answer) (string, error) {
	body := c.bodies[c.asked.Add(1)%uint64(len(c.bodies))]
	response, err := send(c.client, http.MethodPost, c.url, c.key, body)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		head, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return "", fmt.Errorf("%s: %s", response.Status, head)
	}
	if c.Stream {
		return c.readStream(response.Body, a)
	}
	var whole reply
	said, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(said, &whole)
	}
	if whole.Usage != nil {
		a.usage = *whole.Usage
	}
	return whole.text(), err
}

// send asks with a key and a JSON body, if there is one.
func send(client *http.Client, method, url, key string, body []byte) (*http.Response, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+key)
	return client.Do(request)
}

// readStream reads events to [DONE]; a stream that ends before it is an error.
func (c *chat) readStream(body io.Reader, a *answer) (string, error) {
	var text strings.Builder
	var heard time.Time
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		data, isData := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		data = bytes.TrimSpace(data)
		switch {
		case !isData:
		case bytes.Equal(data, []byte("[DONE]")):
			_, err := io.Copy(io.Discard, body) // a connection is kept only if it was read to its end
			return text.String(), err
		default:
			if err := c.take(data, &text, a, &heard); err != nil {
				return "", err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("the stream ended without [DONE] after %d characters", text.Len())
}

// take adds one event's text and usage to what was read, and notes how long nothing was heard.
func (c *chat) take(data []byte, text *strings.Builder, a *answer, heard *time.Time) error {
	var chunk reply
	if err := json.Unmarshal(data, &chunk); err != nil {
		return fmt.Errorf("event %.100q: %w", data, err)
	}
	if piece := chunk.text(); piece != "" {
		now := time.Now()
		if text.Len() == 0 {
			a.first = now.Sub(a.begun)
		} else {
			a.silence = max(a.silence, now.Sub(*heard))
		}
		*heard = now
		text.WriteString(piece)
	}
	if chunk.Usage != nil {
		a.usage = *chunk.Usage
	}
	return nil
}
