// OpenAI's library for Node.

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { API_KEY, BASE_URL, getWeather, IMAGE_URL, MODEL, run, weatherSchema, WORDS } from "../report.mjs";

const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY });

const tools = [{ type: "function", name: "get_weather", parameters: weatherSchema, strict: true }];

// A conversation: `where` says how the server remembers it; without, everything is sent again.
class Talk {
  items = [];

  constructor(where) {
    this.where = where;
  }

  async ask(words) {
    let { text, response } = await this.send({ role: "user", content: words });
    for (const call of response.output.filter((item) => item.type === "function_call")) {
      const output = getWeather(JSON.parse(call.arguments));
      text += (await this.send({ type: "function_call_output", call_id: call.call_id, output })).text;
    }
    return text;
  }

  async leave(words) {
    const stream = client.responses.stream(this.compose({ role: "user", content: words }));
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    stream.abort();
  }

  compose(item) {
    const input = this.where ? [item] : [...this.items, item];
    return { model: MODEL, input, tools, ...this.where };
  }

  async send(item) {
    const stream = client.responses.stream(this.compose(item));
    let text = "";
    for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
    const response = await stream.finalResponse();
    this.items.push(item, ...response.output);
    if (this.where && !this.where.conversation) this.where = { previous_response_id: response.id };
    return { text, response };
  }
}

const ask = async (input) => (await client.responses.create({ model: MODEL, input })).output_text;

await run({
  ways: {
    "own history": () => new Talk(),
    previous_response_id: () => new Talk({}),
    conversation: async () => new Talk({ conversation: (await client.conversations.create()).id }),
  },
  steps: {
    data: async () => {
      const text = { format: zodTextFormat(z.object({ answer: z.string() }), "answer") };
      return (await client.responses.parse({ model: MODEL, input: WORDS.data, text })).output_parsed.answer;
    },
    image: () => {
      const image = { type: "input_image", image_url: IMAGE_URL, detail: "auto" };
      return ask([{ role: "user", content: [{ type: "input_text", text: WORDS.look }, image] }]);
    },
    "unknown model": () => client.responses.create({ model: WORDS.unknown_model, input: WORDS.fact }),
    "wrong key": () => client.withOptions({ apiKey: WORDS.wrong_key }).responses.create({ input: WORDS.fact }),
  },
});
