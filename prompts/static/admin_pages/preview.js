// The preview of a prompt stays in its place and follows what is typed. Without this script its button opens a page.

const WAIT_MS = 300; // after the last key
const panel = document.getElementById("preview");

let timer = 0;
let asked = 0;

async function show() {
  const form = panel.querySelector("form") ?? panel.closest("form");
  const number = ++asked;
  const answer = await fetch(`${panel.dataset.previewUrl}?part`, { method: "POST", body: new FormData(form) });
  if (!answer.ok || answer.redirected || number !== asked) return;
  const shown = new DOMParser().parseFromString(await answer.text(), "text/html");
  // Below the form of a prompt, that form holds what is shown: a form within it would be lost.
  const inner = panel.closest("form") ? shown.querySelector("form") ?? shown.body : shown.body;
  if (inner !== shown.body) inner.querySelectorAll(":scope > input[type=hidden]").forEach((field) => field.remove());
  const { id, selectionStart } = document.activeElement ?? {};
  const wasInside = panel.contains(document.activeElement);
  panel.replaceChildren(...inner.childNodes);
  const again = wasInside && id ? document.getElementById(id) : panel.querySelector("[data-preview]");
  if (wasInside && again) {
    again.focus();
    if (again.tagName === "TEXTAREA" && selectionStart !== null) again.setSelectionRange(selectionStart, selectionStart);
  }
}

function later() {
  asked += 1; // what comes for an earlier state must not overwrite what is typed
  window.clearTimeout(timer);
  timer = window.setTimeout(show, WAIT_MS);
}

if (panel) {
  let isOpen = panel.querySelector("[name='preview-said']") !== null;
  panel.addEventListener("click", (event) => {
    if (!event.target.closest("[data-preview]")) return;
    event.preventDefault();
    isOpen = true;
    show();
  });
  (panel.closest("form") ?? panel).addEventListener("input", () => isOpen && later());
}
