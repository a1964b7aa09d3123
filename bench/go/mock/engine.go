package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const defaultTokens, maxTokens = 20, 100_000

// counts is what the engine has done; a request is finished when its whole answer was written.
type counts struct{ begun, finished, promptTokens, completionTokens atomic.Int64 }

func (c *counts) snapshot() map[string]int64 {
	return map[string]int64{
		"begun": c.begun.Load(), "finished": c.finished.Load(),
		"prompt_tokens": c.promptTokens.Load(), "completion_tokens": c.completionTokens.Load(),
	}
}

func (c *counts) finish(u usage) {
	c.promptTokens.Add(int64(u.Prompt))
	c.completionTokens.Add(int64(u.Completion))
	c.finished.Add(1)
}

type engine struct {
	latency, gap time.Duration
	counts       counts
}

type chatRequest struct {
	Model               string                  `json:"model"`
	Messages            []struct{ Content any } `json:"messages"`
	Stream              bool                    `json:"stream"`
	MaxTokens           int                     `json:"max_tokens"`
	MaxCompletionTokens int                     `json:"max_completion_tokens"`
	Tools               []struct{ Function struct{ Name string } }
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

func (r chatRequest) usage() usage {
	prompt := 0
	for _, message := range r.Messages {
		prompt += words(message.Content)
	}
	completion := max(r.MaxTokens, r.MaxCompletionTokens)
	if completion <= 0 {
		completion = defaultTokens
	}
	completion = min(completion, maxTokens)
	return usage{prompt, completion, prompt + completion}
}

// words counts the words of a message's content, which is text or a list of parts with a "text".
func words(content any) int {
	switch c := content.(type) {
	case string:
		return len(strings.Fields(c))
	case []any:
		n := 0
		for _, part := range c {
			if fields, ok := part.(map[string]any); ok {
				n += words(fields["text"])
			}
		}
		return n
	}
	return 0
}

func token(i int) string { return fmt.Sprintf(" w%d", i) }

func (e *engine) chat(w http.ResponseWriter, r *http.Request) {
	var request chatRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, `{"error":{"message":"the body is not JSON","type":"invalid_request_error"}}`, http.StatusBadRequest)
		return
	}
	id := fmt.Sprintf("chatcmpl-%d", e.counts.begun.Add(1))
	if !e.wait(r, e.latency) {
		return
	}
	if request.Stream {
		e.stream(w, r, request, id)
		return
	}
	u := request.usage()
	var text strings.Builder
	for i := range u.Completion {
		text.WriteString(token(i))
	}
	e.counts.finish(u)
	message, reason := map[string]any{"role": "assistant", "content": text.String()}, "stop"
	if len(request.Tools) > 0 {
		message, reason = request.call(callBegin+text.String()+callEnd, true), "tool_calls"
		message["role"], message["content"] = "assistant", nil
	}
	writeJSON(w, object("chat.completion", id, request.Model, map[string]any{
		"index": 0, "finish_reason": reason, "message": message,
	}, &u))
}

// callBegin and callEnd stand around the tokens in the arguments of a tool's call; they are no tokens themselves.
const callBegin, callEnd = `{"text":"`, `"}`

// call is a message or delta with a call of the first tool, or with more of its arguments.
func (r chatRequest) call(arguments string, first bool) map[string]any {
	function := map[string]any{"arguments": arguments}
	call := map[string]any{"index": 0, "function": function}
	if first {
		call["id"], call["type"], function["name"] = "call_0", "function", r.Tools[0].Function.Name
	}
	return map[string]any{"tool_calls": []any{call}}
}

// delta is a piece of a streamed answer: text, or arguments of the call.
func (r chatRequest) delta(piece string) map[string]any {
	if len(r.Tools) > 0 {
		return r.call(piece, false)
	}
	return map[string]any{"content": piece}
}

// stream writes one event per token and stops where the reader leaves.
func (e *engine) stream(w http.ResponseWriter, r *http.Request, request chatRequest, id string) {
	u := request.usage()
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := http.NewResponseController(w)
	send := func(value any) bool {
		body, _ := json.Marshal(value)
		_, err := fmt.Fprintf(w, "data: %s\n\n", body)
		return err == nil && flusher.Flush() == nil
	}
	delta := func(fields map[string]any, finish any) map[string]any {
		choice := map[string]any{"index": 0, "delta": fields, "finish_reason": finish}
		return object("chat.completion.chunk", id, request.Model, choice, nil)
	}
	if !send(delta(map[string]any{"role": "assistant", "content": ""}, nil)) {
		return
	}
	reason := "stop"
	if len(request.Tools) > 0 && !send(delta(request.call(callBegin, true), nil)) {
		return
	}
	for i := range u.Completion {
		if !e.wait(r, e.gap) || !send(delta(request.delta(token(i)), nil)) {
			return
		}
	}
	if len(request.Tools) > 0 {
		if reason = "tool_calls"; !send(delta(request.delta(callEnd), nil)) {
			return
		}
	}
	if !send(delta(map[string]any{}, reason)) {
		return
	}
	if request.StreamOptions.IncludeUsage && !send(object("chat.completion.chunk", id, request.Model, nil, &u)) {
		return
	}
	e.counts.finish(u)
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// object is the envelope that whole answers and chunks share; without a choice the list is empty.
func object(kind, id, model string, choice any, u *usage) map[string]any {
	choices := []any{}
	if choice != nil {
		choices = append(choices, choice)
	}
	out := map[string]any{"id": id, "object": kind, "created": time.Now().Unix(), "model": model, "choices": choices}
	if u != nil {
		out["usage"] = u
	}
	return out
}

// wait sleeps and tells whether the reader is still there.
func (e *engine) wait(r *http.Request, d time.Duration) bool {
	if d > 0 {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return false
		}
	}
	return r.Context().Err() == nil
}
