/**
 * The page before anything is said: a greeting, and examples to begin with.
 */

import { element } from "./elements.js";

const EXAMPLES = [
  ["Explain", "Explain how a server streams an answer, as to a new colleague"],
  ["Write", "Write a short, friendly note that moves a meeting from Tuesday to Thursday"],
  ["Compare", "Compare SSE and WebSockets in a table of five rows"],
  ["Ask a document", "What are the three most important points of the attached document?"],
];

/** @param {HTMLElement} place @param {(text: string) => void} onChoose */
export function showEmptyPage(place, onChoose) {
  const examples = EXAMPLES.map(([name, text]) =>
    element("li", {}, element("button", { type: "button", onclick: () => onChoose(text) }, element("strong", {}, name), element("span", {}, text))),
  );
  const greeting = element("h2", { class: "greeting" }, greet(new Date().getHours()));
  place.replaceChildren(element("div", { class: "empty" }, greeting, element("ul", { class: "examples", "aria-label": "Examples" }, ...examples)));
}

function greet(hour) {
  const time = hour < 5 ? "evening" : hour < 12 ? "morning" : hour < 18 ? "afternoon" : "evening";
  return `Good ${time}. What is on your mind?`;
}
