// LangChain for Node: its `ChatOpenAI` over the Responses API.

import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

import { API_KEY, BASE_URL, getWeather, IMAGE_URL, MODEL, run, WORDS } from "../report.mjs";

const configuration = { baseURL: BASE_URL };
const model = new ChatOpenAI({ model: MODEL, apiKey: API_KEY, configuration, useResponsesApi: true });

const weather = tool(getWeather, {
  name: "get_weather",
  description: "The weather of a city.",
  schema: z.object({ city: z.string() }),
});

// A conversation: `options` say how the server remembers it; without, everything is sent again.
class Talk {
  messages = [];

  constructor(remembered, more = {}) {
    this.remembered = remembered;
    this.model = new ChatOpenAI({ model: MODEL, apiKey: API_KEY, configuration, useResponsesApi: true, ...more });
  }

  async ask(words) {
    let { text, answer } = await this.send(new HumanMessage(words));
    for (const call of answer.tool_calls) {
      const result = new ToolMessage({ content: await weather.invoke(call.args), tool_call_id: call.id });
      text += (await this.send(result)).text;
    }
    return text;
  }

  async leave(words) {
    for await (const chunk of await this.open(new HumanMessage(words))) if (chunk.text) break;
  }

  open(message) {
    const input = this.remembered ? [message] : [...this.messages, message];
    return this.model.bindTools([weather]).stream(input, { previous_response_id: this.previous });
  }

  async send(message) {
    let text = "";
    let answer;
    for await (const chunk of await this.open(message)) {
      text += chunk.text;
      answer = answer ? answer.concat(chunk) : chunk;
    }
    this.messages.push(message, answer);
    if (this.remembered === "previous_response_id") this.previous = answer.response_metadata.id;
    return { text, answer };
  }
}

async function openConversation() {
  const made = await fetch(`${BASE_URL}/conversations`, {
    method: "POST",
    headers: { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" },
    body: "{}",
  });
  return new Talk("conversation", { modelKwargs: { conversation: (await made.json()).id } });
}

const make = (more) => new ChatOpenAI({ model: MODEL, apiKey: API_KEY, configuration, useResponsesApi: true, ...more });
const ask = async (chat, content) => (await chat.invoke([new HumanMessage({ content })])).text;

await run({
  ways: {
    "own history": () => new Talk(),
    previous_response_id: () => new Talk("previous_response_id"),
    conversation: openConversation,
  },
  steps: {
    data: async () => {
      const schema = z.object({ answer: z.string() });
      return (await model.withStructuredOutput(schema, { method: "jsonSchema" }).invoke(WORDS.data)).answer;
    },
    image: () =>
      ask(model, [
        { type: "text", text: WORDS.look },
        { type: "image_url", image_url: { url: IMAGE_URL } },
      ]),
    "unknown model": () => ask(make({ model: WORDS.unknown_model }), WORDS.fact),
    "wrong key": () => ask(make({ apiKey: WORDS.wrong_key }), WORDS.fact),
  },
});
