// LaTeX becomes a tree of MathML. Temml's own entry has the parts that search a page for formulas and number them, too.
import buildMathML from "temml/src/buildMathML.js";
import { StyleLevel } from "temml/src/constants.js";
import parseTree from "temml/src/parseTree.js";
import Settings from "temml/src/Settings.js";
import Style from "temml/src/Style.js";

/** Throws when it cannot be read. @param {string} tex @param {Record<string, unknown>} options those of `temml.render` */
export function composeTree(tex, options) {
  const settings = new Settings(options);
  const { displayMode, maxSize } = settings;
  const style = new Style({ level: displayMode ? StyleLevel.DISPLAY : StyleLevel.TEXT, maxSize });
  return buildMathML(parseTree(tex, settings), tex, style, settings);
}
