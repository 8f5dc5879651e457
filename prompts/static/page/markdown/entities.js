/** Character references of HTML, those that people and models write, without a parser of HTML. */

const NAMED = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", ensp: "\u2002", emsp: "\u2003", thinsp: "\u2009",
  copy: "©", reg: "®", trade: "™", hellip: "…", mdash: "—", ndash: "–", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”",
  laquo: "«", raquo: "»", bull: "•", middot: "·", times: "×", divide: "÷", plusmn: "±", minus: "−", deg: "°", euro: "€",
  pound: "£", yen: "¥", cent: "¢", sect: "§", para: "¶", micro: "µ", frac12: "½", frac14: "¼", frac34: "¾", sup2: "²",
  sup3: "³", larr: "←", rarr: "→", uarr: "↑", darr: "↓", harr: "↔", rArr: "⇒", lArr: "⇐", hArr: "⇔", le: "≤", ge: "≥",
  ne: "≠", asymp: "≈", infin: "∞", sum: "∑", prod: "∏", radic: "√", int: "∫", part: "∂", nabla: "∇", isin: "∈",
  forall: "∀", exist: "∃", empty: "∅", cap: "∩", cup: "∪", sub: "⊂", sup: "⊃", alpha: "α", beta: "β", gamma: "γ",
  delta: "δ", epsilon: "ε", theta: "θ", lambda: "λ", mu: "μ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ",
  omega: "ω", Delta: "Δ", Sigma: "Σ", Omega: "Ω", check: "✓", star: "☆", zwj: "\u200d", zwnj: "\u200c", shy: "\u00ad",
  auml: "ä", ouml: "ö", uuml: "ü", Auml: "Ä", Ouml: "Ö", Uuml: "Ü", szlig: "ß", eacute: "é", egrave: "è", agrave: "à",
  ccedil: "ç", ntilde: "ñ", iquest: "¿", iexcl: "¡", aring: "å", oslash: "ø", aelig: "æ",
};
const REFERENCE = /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([A-Za-z]\w{1,11}));/g;

/** The text with its references resolved; one that is not known stays. @param {string} text */
export function decodeEntities(text) {
  if (!text.includes("&")) return text;
  return text.replace(REFERENCE, (whole, decimal, hex, name) => {
    if (name) return Object.hasOwn(NAMED, name) ? NAMED[name] : whole;
    const number = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    const isCharacter = number > 0 && number <= 0x10ffff && !(number >= 0xd800 && number <= 0xdfff);
    return isCharacter ? String.fromCodePoint(number) : "\ufffd";
  });
}
