// Mock is an OpenAI-compatible engine that costs nothing to ask: fixed delays, exact usage, and a count of what it served.
//
//	mock -listen 127.0.0.1:0 -latency 0ms -gap 20ms
//
// It prints its address as its only line. A token is one word: prompts are counted in words, and answer token i is " w<i>".
// Asked with tools, it calls the first one, the tokens in its argument.
// POST /v1/chat/completions answers max_tokens tokens (20 unless told), streamed with one flush and one gap per token.
// GET /v1/models lists one model; GET /stats gives the counts; POST /v1/traces takes traces and forgets them.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// routes serves one engine.
func routes(e *engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", e.chat)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"object": "list", "data": []any{map[string]any{"id": "mock", "object": "model"}}})
	})
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the sender judges by the status
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.counts.snapshot()) })
	return mux
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the reader that left needs no answer
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address; port 0 takes a free one")
	latency := flag.Duration("latency", 0, "wait before the first byte")
	gap := flag.Duration("gap", 20*time.Millisecond, "wait before each streamed token")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, routes(&engine{latency: *latency, gap: *gap})))
}
