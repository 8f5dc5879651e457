// OpenAI's Agents SDK for Node: an agent with a tool.

import { Agent, OpenAIConversationsSession, OpenAIResponsesModel, run as runAgent, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";

import { API_KEY, BASE_URL, getWeather, IMAGE_URL, MODEL, run, WORDS } from "../report.mjs";

setTracingDisabled(true); // traces would go to OpenAI

const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const model = new OpenAIResponsesModel(client, MODEL);

const weather = tool({
  name: "get_weather",
  description: "The weather of a city.",
  parameters: z.object({ city: z.string() }),
  execute: getWeather,
});
const agent = new Agent({ name: "Weather", instructions: "Be brief.", model, tools: [weather] });

// A conversation: `options` say how the server remembers it; without, everything is sent again.
class Talk {
  history = [];

  constructor(options = {}) {
    this.options = options;
  }

  async ask(words) {
    const result = await this.start(words);
    let text = "";
    for await (const part of result.toTextStream()) text += part;
    await result.completed;
    this.history = result.history;
    if ("previousResponseId" in this.options) this.options.previousResponseId = result.lastResponseId;
    return text;
  }

  async leave(words) {
    const leaving = new AbortController();
    const result = await this.start(words, { signal: leaving.signal });
    for await (const _ of result.toTextStream()) break;
    leaving.abort();
    await result.completed.catch(() => {});
  }

  start(words, more) {
    const isRemembered = Object.keys(this.options).length > 0;
    const input = isRemembered ? words : [...this.history, { role: "user", content: words }];
    return runAgent(agent, input, { stream: true, ...this.options, ...more });
  }
}

const ask = async (more, input = WORDS.fact) =>
  (await runAgent(new Agent({ name: "Helper", model, ...more }), input)).finalOutput;

await run({
  ways: {
    "own history": () => new Talk(),
    previous_response_id: () => new Talk({ previousResponseId: undefined }),
    conversation: async () => new Talk({ conversationId: (await client.conversations.create()).id }),
    session: () => new Talk({ session: new OpenAIConversationsSession({ client }) }),
  },
  steps: {
    data: async () => (await ask({ outputType: z.object({ answer: z.string() }) }, WORDS.data)).answer,
    image: () => {
      const content = [
        { type: "input_text", text: WORDS.look },
        { type: "input_image", image: IMAGE_URL },
      ];
      return ask({}, [{ role: "user", content }]);
    },
    "unknown model": () => ask({ model: new OpenAIResponsesModel(client, WORDS.unknown_model) }),
    "wrong key": () => ask({ model: new OpenAIResponsesModel(client.withOptions({ apiKey: WORDS.wrong_key }), MODEL) }),
  },
});
