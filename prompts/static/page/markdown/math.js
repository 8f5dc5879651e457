/** LaTeX becomes MathML, which browsers set themselves. The library comes with the first formula. */

const OPTIONS = { trust: false, strict: false, maxExpand: 300, maxSize: [40, 40] };
/** Formulas that were set, by their source: while an answer is written, its last block is made again and again. */
const MAX_KEPT = 300;
/** @type {Map<string, Element>} */
const kept = new Map();
/** @type {((tex: string, options: object) => any) | null} */
let composeTree = null;
/** @type {Promise<any> | null} */
let loading = null;

/**
 * A formula, now or as soon as the library is there; as its source, where it cannot be read.
 * @param {string} tex @param {{isDisplay?: boolean, tag?: string}} [options]
 */
export function composeMath(tex, { isDisplay = false, tag = "span" } = {}) {
  const box = document.createElement(tag);
  box.className = isDisplay ? "math math-display" : "math";
  if (isDisplay) box.tabIndex = 0; // a wide one scrolls
  if (composeTree) box.append(setFormula(tex, isDisplay));
  else {
    box.append(composeSource(tex));
    load().then(() => box.replaceChildren(setFormula(tex, isDisplay)), () => {});
  }
  return box;
}

/** @param {string} tex */
export function composeSource(tex) {
  const source = document.createElement("code");
  source.className = "math-source";
  source.textContent = tex;
  return source;
}

function load() {
  loading ??= import("../vendor/temml.js").then((module) => {
    ({ composeTree } = module);
  });
  loading.catch(() => {
    loading = null; // the next formula tries again
  });
  return loading;
}

/** @param {string} tex @param {boolean} isDisplay */
function setFormula(tex, isDisplay) {
  const key = `${isDisplay}${tex}`;
  let formula = kept.get(key);
  if (!formula) {
    formula = makeFormula(tex, isDisplay);
    if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value);
    kept.set(key, formula);
  }
  return formula.cloneNode(true);
}

/** @param {string} tex @param {boolean} isDisplay @returns {Element} */
function makeFormula(tex, isDisplay) {
  try {
    const tree = composeTree(tex, { ...OPTIONS, displayMode: isDisplay });
    clean(tree);
    return tree.toNode();
  } catch {
    return composeSource(tex);
  }
}

/** Names are the page's own, and the policy allows no styles in markup: those set by script stay. */
function clean(node) {
  for (const name of Object.keys(node.attributes ?? {})) {
    if (/^(?:id|style|href|src|on.*)$/i.test(name)) delete node.attributes[name];
  }
  for (const child of node.children ?? []) clean(child);
}
