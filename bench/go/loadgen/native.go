package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// native asks what needs no engine's answer: whether a key is good, for a request to be kept, what became of one.
type native struct {
	chat
	root  string // base URL without /v1
	asked atomic.Uint64
	mu    sync.Mutex
	ids   []string // of what was submitted
	body  []byte
}

func (n *native) prepare(base string) {
	n.chat.prepare(base)
	n.root = strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/v1")
	request := n.request(strings.Split(n.models, ",")[0])
	n.body, _ = json.Marshal(map[string]any{"kind": "chat", "lane": "batch", "request": request})
}

// asker gives the function that asks once, by the name of what is asked.
func (n *native) asker(what string) (func() answer, error) {
	switch what {
	case "chat":
		return n.chat.ask, nil
	case "key":
		return n.checkKey, nil
	case "submit":
		return n.submit, nil
	case "status":
		return n.status, nil
	}
	return nil, fmt.Errorf("-what is chat, key, submit or status, not %q", what)
}

// checkKey asks for a model with the right key and with a wrong one by turns; the second must be refused.
func (n *native) checkKey() answer {
	url := n.root + "/v1/models/" + strings.Split(n.models, ",")[0]
	if n.asked.Add(1)%2 == 0 {
		return n.exchange(http.MethodGet, url, n.key[:max(0, len(n.key)-4)]+"0000", nil, http.StatusUnauthorized, nil)
	}
	return n.exchange(http.MethodGet, url, n.key, nil, http.StatusOK, func(body view) bool { return body.Object == "model" })
}

// submit has a request kept, and remembers its id; its usage is what the request will have used in the end.
func (n *native) submit() answer {
	a := n.exchange(http.MethodPost, n.root+"/api/v1/inference", n.key, n.body, http.StatusAccepted, func(body view) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.ids = append(n.ids, body.ID)
		return body.ID != ""
	})
	a.usage = usage{n.promptWords, int64(n.MaxTokens)}
	return a
}

// status asks what became of a submitted request; it must have succeeded.
func (n *native) status() answer {
	id := n.ids[n.asked.Add(1)%uint64(len(n.ids))]
	return n.exchange(http.MethodGet, n.root+"/api/v1/inference/"+id, n.key, nil, http.StatusOK, func(body view) bool {
		return body.ID == id && body.State == "succeeded"
	})
}

// view is what is compared of an answer.
type view struct{ ID, Object, State string }

// exchange asks once; any other status than the wanted one, or a body that isn't right, is a failure.
func (n *native) exchange(method, url, key string, body []byte, status int, right func(view) bool) (a answer) {
	a.begun = time.Now()
	defer func() { a.total = time.Since(a.begun) }()
	response, err := send(n.client, method, url, key, body)
	if err != nil {
		a.failure = err.Error()
		return a
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		a.failure = err.Error()
		return a
	}
	var got view
	if right != nil {
		err = json.Unmarshal(said, &got)
	}
	if err != nil || response.StatusCode != status || (right != nil && !right(got)) {
		a.failure = fmt.Sprintf("%s %s: %s instead of %d: %.300s", method, url, response.Status, status, said)
	}
	return a
}

// keep writes the ids that were submitted to a file, one a line.
func (n *native) keep(path string) error {
	return os.WriteFile(path, []byte(strings.Join(n.ids, "\n")+"\n"), 0o600)
}

// recall reads what keep wrote.
func (n *native) recall(path string) error {
	text, err := os.ReadFile(path)
	for _, id := range strings.Fields(string(text)) {
		n.ids = append(n.ids, id)
	}
	if err == nil && len(n.ids) == 0 {
		err = fmt.Errorf("%s: no ids", path)
	}
	return err
}
