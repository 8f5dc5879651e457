// Writes the libraries of the page: one small ES module each, beside its licence. `node build.js FOLDER`.
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = process.argv[2] ?? here("../prompts/static/page/vendor");

/** What the page imports, and where it comes from. */
const LIBRARIES = [
  { name: "highlight", entry: "highlight.js", from: "@highlightjs/cdn-assets" },
  { name: "marked", entry: "node_modules/marked/lib/marked.esm.js", from: "marked" },
  // A script, not a module: its module is a fifth larger, because it has the chemistry too.
  { name: "temml", entry: "node_modules/temml/dist/temml.js", from: "temml", end: "export default temml;" },
];

async function write({ name, entry, from, end = "" }) {
  const { version, license } = JSON.parse(await readFile(here(`node_modules/${from}/package.json`), "utf-8"));
  await build({
    stdin: { contents: `${await readFile(here(entry), "utf-8")}\n${end}`, resolveDir: here(".") },
    outfile: `${folder}/${name}.js`,
    bundle: true,
    format: "esm",
    minify: true,
    legalComments: "none",
    target: "es2022",
    charset: "utf8",
    banner: { js: `/*! ${from} ${version}, ${license}: see ${name}.LICENSE.txt. Written by \`make vendor\`. */` },
  });
  await copyFile(here(`node_modules/${from}/LICENSE`), `${folder}/${name}.LICENSE.txt`);
}

await mkdir(folder, { recursive: true });
for (const library of LIBRARIES) await write(library);
for (const [name, as] of [["Temml.woff2", "Temml.woff2"], ["Temml-Local.css", "temml.css"]]) {
  await copyFile(here(`node_modules/temml/dist/${name}`), `${folder}/${as}`);
}
