// The API page: everything comes from this server. A key that was entered is gone with the page: storage would show it to
// whoever uses this browser next, and earlier releases stored it.
localStorage.removeItem("authorized");

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const ui = SwaggerUIBundle({
  spec: JSON.parse(document.getElementById("schema").textContent),
  dom_id: "#api",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});

// Swagger UI reads the address only when the page opens.
function show(link) {
  const { tag, operation } = link.dataset;
  ui.layoutActions.show(["operations-tag", tag], true);
  ui.layoutActions.show(["operations", tag, operation], true);
  history.replaceState(null, "", link.getAttribute("href"));
  requestAnimationFrame(() => {
    document.getElementById(`operations-${tag.replaceAll(" ", "_")}-${operation}`)?.scrollIntoView();
  });
}

const contents = document.querySelector(".contents");
const groups = [...contents.querySelectorAll("details")];
const opened = groups.map((group) => group.open);
const find = document.getElementById("find");

function filter() {
  const wanted = find.value.trim().toLowerCase();
  let count = 0;
  groups.forEach((group, index) => {
    let inside = 0;
    for (const entry of group.querySelectorAll("li")) {
      const link = entry.firstElementChild;
      const said = `${entry.textContent} ${link.title} ${link.dataset.operation ?? ""}`.toLowerCase();
      entry.hidden = !said.includes(wanted);
      inside += !entry.hidden;
    }
    group.hidden = inside === 0;
    group.open = wanted ? true : opened[index];
    count += inside;
  });
  document.getElementById("nothing").hidden = count > 0;
}

find.addEventListener("input", filter);
find.addEventListener("keydown", (event) => {
  if (event.key === "Enter") contents.querySelector("details:not([hidden]) li:not([hidden]) a")?.click();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-operation]");
  if (link) {
    event.preventDefault();
    show(link);
  }
});
