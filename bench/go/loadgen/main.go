// Loadgen asks an OpenAI-compatible server for chat completions in a closed loop and prints one JSON line.
//
//	loadgen -url http://127.0.0.1:8080/v1 -key psk-… -model mock -c 16 -d 5s
//	loadgen -url … -model mock -c 100 -n 100 -stream -max-tokens 200
//
// Each of the -c clients keeps one connection. No request begins after -d or beyond -n; each that began is waited for and
// counted, so that the sums can be compared with a ledger. An answer is right if its text is exactly " w0 w1 …", as bench's
// mock engine writes it, and its usage says so; anything else is a failure, and the first one is quoted.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// load is what to send: clients at once, until the limit (0: none) or the deadline.
type load struct {
	clients  int
	limit    int64
	duration time.Duration
}

// run sends the load through ask and gives every answer, and the time until the last one.
func run(l load, ask func() answer) ([]answer, time.Duration) {
	var begun atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	each := make([][]answer, l.clients)
	for i := range each {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for time.Since(start) < l.duration && (l.limit == 0 || begun.Add(1) <= l.limit) {
				each[i] = append(each[i], ask())
			}
		}()
	}
	wg.Wait()
	var all []answer
	for _, answers := range each {
		all = append(all, answers...)
	}
	return all, time.Since(start)
}

func main() {
	var l load
	var c chat
	base := flag.String("url", "", "base URL, ends in /v1")
	flag.StringVar(&c.key, "key", "none", "API key")
	flag.StringVar(&c.model, "model", "mock", "")
	flag.BoolVar(&c.Stream, "stream", false, "")
	flag.IntVar(&c.MaxTokens, "max-tokens", 20, "tokens of each answer")
	flag.IntVar(&l.clients, "c", 1, "clients at once")
	flag.Int64Var(&l.limit, "n", 0, "requests at most (0: until -d)")
	flag.DurationVar(&l.duration, "d", 10*time.Minute, "no request begins later")
	timeout := flag.Duration("timeout", time.Minute, "of one request")
	flag.Parse()
	if *base == "" {
		flag.Usage()
		os.Exit(2)
	}
	c.client = &http.Client{Timeout: *timeout, Transport: &http.Transport{MaxIdleConnsPerHost: l.clients}}
	c.prepare(*base)
	answers, took := run(l, c.ask)
	line, err := json.Marshal(summarize(answers, took))
	if err != nil {
		panic(err) // numbers and strings always marshal
	}
	fmt.Println(string(line))
}
