package main

import (
	"math"
	"slices"
	"time"
)

// percentiles are nearest-rank, in milliseconds.
type percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// summary is the line that is printed; latencies and sums are of right answers only.
type summary struct {
	Requests         int         `json:"requests"`
	Failed           int         `json:"failed"`
	FirstFailure     string      `json:"first_failure,omitempty"`
	Seconds          float64     `json:"seconds"`
	RequestsPerS     float64     `json:"requests_per_s"`
	TokensPerS       float64     `json:"tokens_per_s"`
	PromptTokens     int64       `json:"prompt_tokens"`
	CompletionTokens int64       `json:"completion_tokens"`
	Latency          percentiles `json:"latency_ms"`
	FirstToken       percentiles `json:"first_token_ms"`
	Silence          percentiles `json:"longest_silence_ms"`
	AllOpenS         float64     `json:"all_open_s"` // between the last stream's first text and the first stream's end
}

func summarize(answers []answer, took time.Duration) summary {
	s := summary{Seconds: took.Seconds()}
	var totals, firsts, silences []time.Duration
	var allSpoke, firstEnded time.Time
	for _, a := range answers {
		if a.failure != "" {
			if s.Failed++; s.FirstFailure == "" {
				s.FirstFailure = a.failure
			}
			continue
		}
		s.Requests++
		s.PromptTokens += a.usage.Prompt
		s.CompletionTokens += a.usage.Completion
		totals = append(totals, a.total)
		firsts = append(firsts, a.first)
		silences = append(silences, a.silence)
		if spoke := a.begun.Add(a.first); spoke.After(allSpoke) {
			allSpoke = spoke
		}
		if ended := a.begun.Add(a.total); firstEnded.IsZero() || ended.Before(firstEnded) {
			firstEnded = ended
		}
	}
	s.RequestsPerS = float64(s.Requests) / s.Seconds
	s.TokensPerS = float64(s.CompletionTokens) / s.Seconds
	s.Latency, s.FirstToken, s.Silence = rank(totals), rank(firsts), rank(silences)
	s.AllOpenS = max(0, firstEnded.Sub(allSpoke).Seconds())
	return s
}

func rank(times []time.Duration) percentiles {
	if len(times) == 0 {
		return percentiles{}
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		i := int(math.Ceil(share*float64(len(times)))) - 1
		return float64(times[i].Microseconds()) / 1000
	}
	return percentiles{at(0.50), at(0.95), at(0.99), at(1)}
}
