package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const prompt = "Say hello to the world in a few words."

type usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
}

// answer is one request's end; failure is empty if it was right.
type answer struct {
	total, first time.Duration // first: until the first text, streams only
	usage        usage
	failure      string
}

// reply is a whole answer or one streamed chunk.
type reply struct {
	Choices []struct {
		Message, Delta struct{ Content string }
	}
	Usage *usage
}

func (r reply) text() string {
	if len(r.Choices) == 0 {
		return ""
	}
	return r.Choices[0].Message.Content + r.Choices[0].Delta.Content
}

// chat sends the same request again and again.
type chat struct {
	Stream          bool
	MaxTokens       int
	key, model, url string
	client          *http.Client
	body            []byte
	want            string
}

func (c *chat) prepare(base string) {
	c.url = strings.TrimSuffix(base, "/") + "/chat/completions"
	request := map[string]any{
		"model": c.model, "max_tokens": c.MaxTokens,
		"messages": []any{map[string]any{"role": "user", "content": prompt}},
	}
	if c.Stream {
		request["stream"], request["stream_options"] = true, map[string]any{"include_usage": true}
	}
	c.body, _ = json.Marshal(request)
	for i := range c.MaxTokens {
		c.want += fmt.Sprintf(" w%d", i)
	}
}

// ask sends one request and reads its whole answer.
func (c *chat) ask() (a answer) {
	start := time.Now()
	text, err := c.exchange(&a, start)
	a.total = time.Since(start)
	switch {
	case err != nil:
		a.failure = err.Error()
	case text != c.want:
		a.failure = fmt.Sprintf("wrong text: %.200q", text)
	case a.usage.Completion != int64(c.MaxTokens) || a.usage.Prompt != int64(len(strings.Fields(prompt))):
		a.failure = fmt.Sprintf("wrong usage: %+v", a.usage)
	}
	return a
}

func (c *chat) exchange(a *answer, start time.Time) (string, error) {
	request, err := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(c.body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.key)
	response, err := c.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		head, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return "", fmt.Errorf("%s: %s", response.Status, head)
	}
	if c.Stream {
		return c.readStream(response.Body, a, start)
	}
	var whole reply
	body, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(body, &whole)
	}
	if whole.Usage != nil {
		a.usage = *whole.Usage
	}
	return whole.text(), err
}

// readStream reads events to [DONE]; a stream that ends before it is an error.
func (c *chat) readStream(body io.Reader, a *answer, start time.Time) (string, error) {
	var text strings.Builder
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
			if err := c.take(data, &text, a, start); err != nil {
				return "", err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("the stream ended without [DONE] after %d characters", text.Len())
}

// take adds one event's text and usage to what was read.
func (c *chat) take(data []byte, text *strings.Builder, a *answer, start time.Time) error {
	var chunk reply
	if err := json.Unmarshal(data, &chunk); err != nil {
		return fmt.Errorf("event %.100q: %w", data, err)
	}
	if piece := chunk.text(); piece != "" {
		if text.Len() == 0 {
			a.first = time.Since(start)
		}
		text.WriteString(piece)
	}
	if chunk.Usage != nil {
		a.usage = *chunk.Usage
	}
	return nil
}
