/**
 * Times as people say them, in the browser's language and zone.
 */

const DAY_MS = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const month = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric" });

/** When an id was made: 12 hex digits of milliseconds stand behind its partition (`prompts/domain/ids.py`). */
export function timeOfId(id) {
  const ms = Number.parseInt(id.split(/[_-]/).pop().slice(2, 14), 16);
  return Number.isFinite(ms) ? new Date(ms) : null;
}

/** A `<time>` that shows the clock, and on hover the day. */
export function timeElement(date) {
  const node = document.createElement("time");
  node.dateTime = date.toISOString();
  node.textContent = startOfDay(date) === startOfDay(new Date()) ? clock.format(date) : `${shortDay(date)}, ${clock.format(date)}`;
  node.title = full.format(date);
  return node;
}

/** The heading under which a conversation of this time stands in the list. */
export function dayGroup(date, now = new Date()) {
  const days = Math.round((startOfDay(now) - startOfDay(date)) / DAY_MS);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days < 7) return "This week";
  if (days < 30) return "This month";
  return month.format(date);
}

function startOfDay(date) {
  return new Date(date).setHours(0, 0, 0, 0);
}

function shortDay(date) {
  const isThisYear = date.getFullYear() === new Date().getFullYear();
  return date.toLocaleDateString(undefined, { day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) });
}
