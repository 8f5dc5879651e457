/**
 * What a person thinks of an answer: a thumb and a comment. What was said before is asked for when the answer is seen.
 */

import { element, iconButton } from "./elements.js";

const NAMES = { 1: "Good answer", [-1]: "Bad answer" };
const MAX_CHARACTERS = 4000;

/**
 * The two thumbs; `place` is where the comment is written.
 * @param {import("./answers.js").Answer} answer
 * @param {HTMLElement} place
 * @param {{read: (id: string) => Promise<any>, write: (id: string, said: any) => Promise<any>}} store
 */
export function feedbackElement(answer, place, store) {
  const good = iconButton("good", NAMES[1], () => press(1), { "aria-pressed": "false" });
  const bad = iconButton("bad", NAMES[-1], () => press(-1), { "aria-pressed": "false" });
  const both = element("span", { class: "thumbs" }, good, bad);

  function show() {
    for (const [button, score] of [[good, 1], [bad, -1]]) button.setAttribute("aria-pressed", String(answer.feedback?.score === score));
  }
  async function press(score) {
    const isTaken = answer.feedback?.score === score;
    const isSaid = await say({ score: isTaken ? 0 : score, comment: isTaken ? null : (answer.feedback?.comment ?? null) });
    place.replaceChildren(...(isSaid && !isTaken ? [commentElement(answer, say, leave)] : []));
  }
  function leave(...told) {
    place.replaceChildren(...told);
    (answer.feedback?.score > 0 ? good : bad).focus();
  }
  /** Whether the service has it; if not, the person was told. */
  async function say(said) {
    const before = answer.feedback;
    answer.feedback = said;
    show();
    try {
      await store.write(answer.responseId, said);
      return true;
    } catch {
      answer.feedback = before;
      show();
      return false;
    }
  }
  show();
  if (answer.feedback === undefined) whenSeen(both, () => store.read(answer.responseId).then((said) => ((answer.feedback ??= said), show())));
  return both;
}

function commentElement(answer, say, leave) {
  const field = element("textarea", { "aria-label": "Comment", rows: "2", maxlength: MAX_CHARACTERS });
  field.placeholder = answer.feedback.score > 0 ? "What was good? (optional)" : "What was wrong? (optional)";
  field.value = answer.feedback.comment ?? "";
  const skip = element("button", { type: "button", onclick: () => leave() }, "Skip");
  const send = element("button", { type: "submit", class: "primary", "aria-label": "Send comment" }, "Send");
  const form = element("form", { class: "comment" }, field, element("div", { class: "actions" }, skip, send));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const isSaid = await say({ score: answer.feedback.score, comment: field.value.trim() || null });
    if (isSaid) leave(element("p", { class: "hint", role: "status" }, "Thank you."));
  });
  queueMicrotask(() => field.focus());
  return form;
}

function whenSeen(node, act) {
  const sight = new IntersectionObserver((seen) => {
    if (!seen.some((each) => each.isIntersecting)) return;
    sight.disconnect();
    act();
  });
  sight.observe(node);
}
