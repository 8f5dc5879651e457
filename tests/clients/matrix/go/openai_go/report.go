package main

import (
	"encoding/json"
	"errors"
	"os"

	"github.com/openai/openai-go/v3"
)

// Where to ask, and what to say.
var (
	baseURL = os.Getenv("BASE_URL")
	apiKey  = os.Getenv("API_KEY")
	model   = os.Getenv("MODEL")
	words   = readWords()
)

func readWords() (words map[string]string) {
	if err := json.Unmarshal([]byte(os.Getenv("WORDS")), &words); err != nil {
		panic(err)
	}
	return words
}

// report prints what a step said, or what the client shows of an error: one JSON line.
func report(step string, act func() (any, error)) {
	detail, err := act()
	if err != nil {
		detail = err.Error()
	}
	// The text of the library's own error is only the status; its reason is in a field.
	if refused := (*openai.Error)(nil); errors.As(err, &refused) {
		detail = refused.Message
	}
	line := map[string]any{"step": step, "ok": err == nil, "detail": detail}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		panic(err)
	}
}
