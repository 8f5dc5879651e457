// One streamed turn with the provider's own file search; prints the parts of the stream, one a line.
import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";

const { baseURL, apiKey, model, vectorStoreIds, question } = JSON.parse(process.argv[2]);
const openai = createOpenAI({ baseURL, apiKey });
const result = streamText({
  model: openai.responses(model),
  prompt: question,
  tools: { file_search: openai.tools.fileSearch({ vectorStoreIds, maxNumResults: 5 }) },
  providerOptions: { openai: { include: ["file_search_call.results"] } },
  maxRetries: 0,
});
for await (const part of result.fullStream) {
  if (part.type === "error") throw part.error;
  console.log(JSON.stringify(part));
}
