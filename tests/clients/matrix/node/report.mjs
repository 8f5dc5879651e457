// What the drivers in Node share: where to ask, what to say, and one JSON line a step.

export const { BASE_URL, API_KEY, MODEL } = process.env;
export const WORDS = JSON.parse(process.env.WORDS);
export const IMAGE_URL = `data:image/png;base64,${WORDS.image_base64}`;

export const getWeather = ({ city }) => `21 degrees in ${city}`;
export const weatherSchema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

// Runs two turns, and a turn that is left, in each way to remember; then the other steps. A way opens a talk with two
// methods: `ask` returns the whole streamed answer, `leave` only begins to read it.
export async function run({ ways, steps }) {
  for (const [name, open] of Object.entries(ways)) {
    await report(name, async () => {
      const talk = await open();
      return [await talk.ask(WORDS.first), await talk.ask(WORDS.second)];
    });
  }
  for (const [name, open] of Object.entries(ways)) {
    await report(`${name}, left`, async () => {
      const talk = await open();
      await talk.ask(WORDS.fact);
      await talk.leave(WORDS.slow);
      return talk.ask(WORDS.second);
    });
  }
  for (const [name, step] of Object.entries(steps)) await report(name, step);
  process.exit(); // a stream that was left may keep a connection open
}

// What the step said, or what the client shows of an error.
async function report(step, act) {
  let line;
  try {
    line = { step, ok: true, detail: await act() };
  } catch (error) {
    line = { step, ok: false, detail: String(error) };
  }
  await new Promise((done) => process.stdout.write(`${JSON.stringify(line)}\n`, done));
}
