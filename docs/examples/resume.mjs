// Asks, prints the answer as it comes, and goes on by itself when the connection breaks or a replica dies.
// EPS_URL=http://127.0.0.1:8000/v1 EPS_KEY=… node resume.mjs "Count to 30"; in a browser import `follow`.

const ENDS = ["response.completed", "response.incomplete", "response.failed"];
const SILENCE_MS = 60_000; // the service says something every 15 seconds, if only that it is there

/** Every event of one answer, once and in order, whatever breaks in between. */
export async function* follow(url, key, question) {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const body = JSON.stringify({ input: question, stream: true });
  const once = { ...headers, "Idempotency-Key": crypto.randomUUID() }; // the same for every try: there is one answer
  for (let id, last = -1; ; await new Promise((resolve) => setTimeout(resolve, 500))) {
    const answer = await (id
      ? fetch(`${url}/responses/${id}?stream=true&starting_after=${last}`, { headers })
      : fetch(`${url}/responses`, { method: "POST", headers: once, body })
    ).catch(() => null); // nobody is there for the moment
    if (answer && answer.status < 500 && !answer.ok) throw new Error((await answer.json()).error.message);
    for await (const event of answer?.ok ? read(answer.body) : []) {
      if (event.type === "keepalive") continue; // it has no number
      [id, last] = [id ?? event.response.id, event.sequence_number];
      yield event;
      if (ENDS.includes(event.type)) return;
    }
  }
}

/** The events of a stream; it just ends where the connection breaks, or falls silent. */
async function* read(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", lines; ; ) {
    const silence = setTimeout(() => reader.cancel(), SILENCE_MS);
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    clearTimeout(silence);
    if (done) return;
    [rest, ...lines] = (rest + value).split("\n").reverse();
    for (const line of lines.reverse()) if (line.startsWith("data: {")) yield JSON.parse(line.slice(6));
  }
}

if (globalThis.process?.argv[2]) {
  for await (const event of follow(process.env.EPS_URL, process.env.EPS_KEY, process.argv[2])) {
    if (event.type === "response.created") console.error(event.response.id);
    if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
  }
}
