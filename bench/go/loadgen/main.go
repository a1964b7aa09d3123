// Loadgen asks an OpenAI-compatible server for chat completions in a closed loop and prints one JSON line.
//
//	loadgen -url http://127.0.0.1:8080/v1 -key psk-… -model mock -c 16 -d 5s
//	loadgen -url … -model mock -c 100 -n 100 -stream -max-tokens 200
//	loadgen -url … -model mock -c 10000 -n 10000 -stream -max-tokens 100 -ramp 30s
//	loadgen -url … -what submit -ids FILE -c 1000 -every 2s -d 10s
//
// Each of the -c clients keeps one connection; with -ramp they begin one after another, the last one that much later. With
// -every each begins a request in that rhythm, or late if the one before took longer. No request begins after -d or beyond
// -n; each that began is waited for and counted, so that the sums can be compared with a ledger. An answer is right if its
// text is exactly " w0 w1 …", as bench's mock engine writes it, and its usage says so; anything else is a failure, and the
// first one is quoted.
//
// What is asked (-what): chat; key, whether an API key is good; submit, that a request be kept for later, its id written to
// -ids; status, what became of the requests of -ids.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// load is what to send: clients at once, until the limit (0: none) or the deadline.
type load struct {
	clients               int
	limit                 int64
	duration, ramp, every time.Duration
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
			next := start.Add((l.ramp + l.every) * time.Duration(i) / time.Duration(l.clients))
			time.Sleep(time.Until(next))
			for time.Since(start) < l.duration && (l.limit == 0 || begun.Add(1) <= l.limit) {
				each[i] = append(each[i], ask())
				next = next.Add(l.every)
				time.Sleep(time.Until(next))
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
	var c native
	what := flag.String("what", "chat", "chat, key, submit or status")
	ids := flag.String("ids", "", "file of submitted ids")
	base := flag.String("url", "", "base URL, ends in /v1")
	flag.StringVar(&c.key, "key", "none", "API key")
	flag.StringVar(&c.models, "model", "mock", "asked in turn if there are several: a,b,c")
	flag.BoolVar(&c.Stream, "stream", false, "")
	flag.BoolVar(&c.Tools, "tools", false, "the answer is a call of a tool")
	flag.IntVar(&c.PromptBytes, "prompt-bytes", 0, "length of the prompt, at least")
	flag.IntVar(&c.MaxTokens, "max-tokens", 20, "tokens of each answer")
	flag.IntVar(&l.clients, "c", 1, "clients at once")
	flag.Int64Var(&l.limit, "n", 0, "requests at most (0: until -d)")
	flag.DurationVar(&l.every, "every", 0, "pause between the begins of a client's requests (0: none)")
	flag.DurationVar(&l.ramp, "ramp", 0, "time over which the clients begin")
	flag.DurationVar(&l.duration, "d", 10*time.Minute, "no request begins later")
	timeout := flag.Duration("timeout", time.Minute, "of one request")
	flag.Parse()
	if *base == "" {
		flag.Usage()
		os.Exit(2)
	}
	c.client = &http.Client{Timeout: *timeout, Transport: &http.Transport{MaxIdleConnsPerHost: l.clients}}
	c.prepare(*base)
	ask, err := c.asker(*what)
	if err == nil && *what == "status" {
		err = c.recall(*ids)
	}
	if err != nil {
		log.Fatal(err)
	}
	answers, took := run(l, ask)
	if *what == "submit" {
		err = c.keep(*ids)
	}
	line, _ := json.Marshal(summarize(answers, took)) // numbers and strings always marshal
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}
