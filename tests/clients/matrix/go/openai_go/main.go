// OpenAI's library for Go.
package main

import (
	"context"
	"encoding/json"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/conversations"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

var client = openai.NewClient(option.WithBaseURL(baseURL), option.WithAPIKey(apiKey))

var ctx = context.Background()

type (
	item   = responses.ResponseInputItemUnionParam
	params = responses.ResponseNewParams
	stream = ssestream.Stream[responses.ResponseStreamEventUnion]
)

// schemaOf is an object with one text field.
func schemaOf(field string) map[string]any {
	return map[string]any{
		"type":       "object",
		"properties": map[string]any{field: map[string]any{"type": "string"}},
		"required":   []string{field}, "additionalProperties": false,
	}
}

// talk is a conversation, remembered in one of the ways.
type talk struct {
	way          string
	conversation string
	previous     string
	items        []item
}

func openTalk(way string) (*talk, error) {
	if way != "conversation" {
		return &talk{way: way}, nil
	}
	made, err := client.Conversations.New(ctx, conversations.ConversationNewParams{})
	if err != nil {
		return nil, err
	}
	return &talk{way: way, conversation: made.ID}, nil
}

func (t *talk) open(next item) *stream {
	body := params{Model: model, Tools: []responses.ToolUnionParam{
		responses.ToolParamOfFunction("get_weather", schemaOf("city"), true),
	}}
	t.items = append(t.items, next)
	body.Input.OfInputItemList = []item{next}
	switch {
	case t.conversation != "":
		body.Conversation.OfString = param.NewOpt(t.conversation)
	case t.way == "own history":
		body.Input.OfInputItemList = t.items
	case t.previous != "":
		body.PreviousResponseID = param.NewOpt(t.previous)
	}
	return client.Responses.NewStreaming(ctx, body)
}

func (t *talk) send(next item) (text string, response responses.Response, err error) {
	events := t.open(next)
	for events.Next() {
		switch event := events.Current(); event.Type {
		case "response.output_text.delta":
			text += event.Delta
		case "response.completed":
			response = event.Response
		}
	}
	for _, made := range response.Output {
		var again item
		if err := json.Unmarshal([]byte(made.RawJSON()), &again); err != nil {
			return text, response, err
		}
		t.items = append(t.items, again)
	}
	t.previous = response.ID
	return text, response, events.Err()
}

func (t *talk) ask(question string) (string, error) {
	text, response, err := t.send(responses.ResponseInputItemParamOfMessage(question, "user"))
	for _, made := range response.Output {
		if made.Type != "function_call" {
			continue
		}
		call := made.AsFunctionCall()
		var arguments struct{ City string }
		if err := json.Unmarshal([]byte(call.Arguments), &arguments); err != nil {
			return text, err
		}
		output := responses.ResponseInputItemParamOfFunctionCallOutput("21 degrees in " + arguments.City)
		output.OfFunctionCallOutput.CallID = param.NewOpt(call.CallID)
		var more string
		if more, _, err = t.send(output); err != nil {
			return text, err
		}
		text += more
	}
	return text, err
}

func (t *talk) leave(question string) error {
	events := t.open(responses.ResponseInputItemParamOfMessage(question, "user"))
	for events.Next() {
		if events.Current().Type == "response.output_text.delta" {
			break
		}
	}
	t.items = t.items[:len(t.items)-1]
	return events.Close()
}

func takeTwoTurns(way string) (any, error) {
	talk, err := openTalk(way)
	if err != nil {
		return nil, err
	}
	first, err := talk.ask(words["first"])
	if err != nil {
		return nil, err
	}
	second, err := talk.ask(words["second"])
	return []string{first, second}, err
}

func leaveAndAskAgain(way string) (any, error) {
	talk, err := openTalk(way)
	if err != nil {
		return nil, err
	}
	if _, err := talk.ask(words["fact"]); err != nil {
		return nil, err
	}
	if err := talk.leave(words["slow"]); err != nil {
		return nil, err
	}
	return talk.ask(words["second"])
}

func askOnce(body params, more ...option.RequestOption) (string, error) {
	if body.Model == "" {
		body.Model = model
	}
	response, err := client.Responses.New(ctx, body, more...)
	if err != nil {
		return "", err
	}
	return response.OutputText(), nil
}

func say(question string) params {
	return params{Input: responses.ResponseNewParamsInputUnion{OfString: param.NewOpt(question)}}
}

func getData() (any, error) {
	body := say(words["data"])
	body.Text.Format = responses.ResponseFormatTextConfigParamOfJSONSchema("answer", schemaOf("answer"))
	text, err := askOnce(body)
	if err != nil {
		return nil, err
	}
	var data struct{ Answer string }
	err = json.Unmarshal([]byte(text), &data)
	return data.Answer, err
}

func showImage() (any, error) {
	image := responses.ResponseInputContentParamOfInputImage("auto")
	image.OfInputImage.ImageURL = param.NewOpt("data:image/png;base64," + words["image_base64"])
	content := responses.ResponseInputMessageContentListParam{
		responses.ResponseInputContentParamOfInputText(words["look"]), image,
	}
	message := responses.ResponseInputItemParamOfMessage(content, "user")
	return askOnce(params{Input: responses.ResponseNewParamsInputUnion{OfInputItemList: []item{message}}})
}

func main() {
	ways := []string{"own history", "previous_response_id", "conversation"}
	for _, way := range ways {
		report(way, func() (any, error) { return takeTwoTurns(way) })
	}
	for _, way := range ways {
		report(way+", left", func() (any, error) { return leaveAndAskAgain(way) })
	}
	report("data", getData)
	report("image", showImage)
	report("unknown model", func() (any, error) {
		body := say(words["fact"])
		body.Model = words["unknown_model"]
		return askOnce(body)
	})
	report("wrong key", func() (any, error) { return askOnce(say(words["fact"]), option.WithAPIKey(words["wrong_key"])) })
}
