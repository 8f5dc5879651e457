// The instant model: Chat Completions, streamed as real servers stream them, as fast as a message asks for.
//
//	[[tokens=20 per_s=0 delay_ms=0 write=16]]
//
// The last such mark of a request holds: so many tokens, this many a second (0: all at once), the first after this
// delay. Without a pace, so many tokens are one write.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

const head = `{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1760000000,"model":"bench",`

// Each begins with a space, as most tokens of text do; that is how they are counted.
var words = []string{
	" the", " garden", " is", " quiet", " in", " the", " early", " morning", " and", " nobody", " has", " come",
	" to", " water", " it", " yet",
}

var (
	opening = chunk(`{"role":"assistant","content":"","refusal":null}`, "null")
	closing = chunk(`{}`, `"stop"`)
	tokens  = compose()
)

func chunk(delta, finish string) string {
	return "data: " + head + `"choices":[{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish +
		`}],"usage":null}` + "\n\n"
}

func compose() [][]byte {
	chunks := make([][]byte, len(words))
	for place, word := range words {
		chunks[place] = []byte(chunk(`{"content":"`+word+`"}`, "null"))
	}
	return chunks
}

type order struct{ tokens, perSecond, delayMS, write int }

func readOrder(body []byte) order {
	asked := order{tokens: 20, write: 16}
	if at := bytes.LastIndex(body, []byte("[[tokens=")); at >= 0 {
		form := "[[tokens=%d per_s=%d delay_ms=%d write=%d]]"
		fmt.Sscanf(string(body[at:]), form, &asked.tokens, &asked.perSecond, &asked.delayMS, &asked.write)
	}
	return asked
}

func complete(writer http.ResponseWriter, request *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	asked := readOrder(body)
	due := began.Add(time.Duration(asked.delayMS) * time.Millisecond)
	time.Sleep(time.Until(due))
	writer.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	io.WriteString(writer, opening)
	step := asked.write
	if asked.perSecond > 0 {
		step = 1
	}
	flusher := writer.(http.Flusher)
	for sent := 0; sent < asked.tokens; sent++ {
		if _, err := writer.Write(tokens[sent%len(tokens)]); err != nil {
			return
		}
		if sent%step == step-1 {
			flusher.Flush()
		}
		if asked.perSecond > 0 {
			due = due.Add(time.Second / time.Duration(asked.perSecond))
			time.Sleep(time.Until(due))
		}
	}
	io.WriteString(writer, closing)
	used := `"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`
	asking := len(body) / 4
	fmt.Fprintf(writer, "data: "+head+`"choices":[],`+used+"\n\n", asking, asked.tokens, asking+asked.tokens)
	io.WriteString(writer, "data: [DONE]\n\n")
}

func answer(text string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		io.WriteString(writer, text)
	}
}

func main() {
	http.HandleFunc("POST /v1/chat/completions", complete)
	http.HandleFunc("GET /v1/models", answer(
		`{"object":"list","data":[{"id":"bench","object":"model","created":1760000000,"owned_by":"bench"}]}`))
	http.HandleFunc("GET /healthz", answer(`{"status":"ok"}`))
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
