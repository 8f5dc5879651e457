// The AI SDK with its provider of Open Responses.

import { createOpenResponses } from "@ai-sdk/open-responses";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { API_KEY, BASE_URL, getWeather, MODEL, run, WORDS } from "../report.mjs";

const provider = createOpenResponses({ name: "eps", url: `${BASE_URL}/responses`, apiKey: API_KEY });

const tools = {
  get_weather: tool({
    description: "The weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: getWeather,
  }),
};

// A conversation; this provider always sends everything again.
class Talk {
  messages = [];

  async ask(words) {
    const turn = this.start(words);
    let text = "";
    for await (const part of turn.textStream) text += part;
    const { messages } = await turn.response;
    this.messages.push(...messages);
    return text;
  }

  async leave(words) {
    const leaving = new AbortController();
    const turn = this.start(words, { abortSignal: leaving.signal });
    for await (const _ of turn.textStream) break;
    leaving.abort();
    this.messages.pop(); // the question that was left
  }

  start(words, more) {
    this.messages.push({ role: "user", content: words });
    const model = provider(MODEL);
    return streamText({ model, messages: this.messages, tools, stopWhen: stepCountIs(5), onError: () => {}, ...more });
  }
}

const ask = async (more) => (await generateText({ model: provider(MODEL), prompt: WORDS.fact, maxRetries: 0, ...more })).text;

await run({
  ways: { "own history": () => new Talk() },
  steps: {
    data: async () => {
      const output = Output.object({ schema: z.object({ answer: z.string() }) });
      return (await generateText({ model: provider(MODEL), prompt: WORDS.data, output })).output.answer;
    },
    image: () => {
      const image = { type: "file", data: WORDS.image_base64, mediaType: "image/png" };
      return ask({ prompt: [{ role: "user", content: [{ type: "text", text: WORDS.look }, image] }] });
    },
    "unknown model": () => ask({ model: provider(WORDS.unknown_model) }),
    // The message of this one is only the status: the provider takes an error that names no field for malformed.
    "wrong key": async () => {
      const wrong = createOpenResponses({ name: "eps", url: `${BASE_URL}/responses`, apiKey: WORDS.wrong_key });
      try {
        return await ask({ model: wrong(MODEL) });
      } catch (error) {
        throw new Error(error.responseBody);
      }
    },
  },
});
