// A conversation as an application with the AI SDK has it: each of `words` is a streamed turn with a tool at hand.
// Its one argument is JSON; what the SDK makes of the stream is printed, one JSON object a line.

import { createOpenAI } from "@ai-sdk/openai";
import { Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { baseURL, apiKey, model, history, options, words, asData } = JSON.parse(process.argv[2]);

const print = (line) => console.log(JSON.stringify(line));
const openai = createOpenAI({ baseURL, apiKey });
const tools = {
  get_weather: tool({
    description: "The weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `21 degrees in ${city}`,
  }),
};

// With a conversation the SDK leaves out what the model said, but sends the question again in each step, and again all
// results: an application has to send what is new, which is the result of the last call.
const onlyNew = ({ stepNumber, messages }) => (stepNumber > 0 ? { messages: messages.slice(-1) } : {});

let messages = [];
for (const content of words) {
  messages.push({ role: "user", content });
  const turn = streamText({
    model: openai.responses(model),
    messages,
    tools,
    stopWhen: stepCountIs(5),
    prepareStep: history === "conversation" ? onlyNew : undefined,
    maxRetries: 0,
    output: asData ? Output.object({ schema: z.object({ answer: z.string() }) }) : undefined,
    providerOptions: { openai: options },
    onError: () => {}, // an error is a part of the stream too
  });
  for await (const part of turn.fullStream) {
    const { type, text, toolName, input, output, finishReason } = part;
    print({ type, text, toolName, input, output, finishReason, error: part.error && String(part.error) });
  }
  const { messages: said } = await turn.response;
  const { openai: known } = await turn.providerMetadata;
  print({ type: "turn", text: await turn.text, warnings: await turn.warnings, responseId: known.responseId });
  messages = history === "messages" ? [...messages, ...said] : [];
  if (history === "previousResponseId") options.previousResponseId = known.responseId;
}
