// A transcript shows what is being answered. When the answer is there, the page is loaded again with all of it.

const EVERY_MS = 1000;
// The archive copies what has ended within moments.
const SETTLE_MS = 1500;
const QUIET_EVERY_MS = 5000;
const live = document.getElementById("live");

let shown = "";

async function look() {
  let told = {};
  try {
    const answer = await fetch(live.dataset.liveUrl, { headers: { accept: "application/json" } });
    if (!answer.ok || answer.redirected) return; // signed out, or erased: this page has nothing more to tell
    told = await answer.json();
  } catch {
    told = { response: shown }; // the network is away for a moment
  }
  if (told.response) {
    shown = told.response;
    live.hidden = false;
    if (told.text !== undefined) live.querySelector(".eps-said").textContent = told.text;
  } else if (shown) {
    window.setTimeout(() => window.location.reload(), SETTLE_MS);
    return;
  }
  window.setTimeout(look, shown && !document.hidden ? EVERY_MS : QUIET_EVERY_MS);
}

if (live) look();
