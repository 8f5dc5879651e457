// Writes the libraries of the page: one small ES module each, beside its licence. `node build.js FOLDER`.
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = process.argv[2] ?? here("../prompts/static/page/vendor");

/** What the page imports, and whose it is. */
const LIBRARIES = [
  { name: "highlight", entry: "highlight.js", from: "@speed-highlight/core" },
  { name: "marked", entry: "marked.js", from: "marked" },
  { name: "temml", entry: "temml.js", from: "temml" },
];
/** Parts of Temml that need trust, which nobody has here, or that answers do not use. */
const LEFT_OUT = /temml\/src\/functions\/(?:html|includegraphics|tip|toggle)\.js$/;
const leaveOut = {
  name: "leave out",
  setup: (build) => build.onLoad({ filter: LEFT_OUT }, () => ({ contents: "export default {};" })),
};

async function write({ name, entry, from }) {
  const { version, license } = JSON.parse(await readFile(here(`node_modules/${from}/package.json`), "utf-8"));
  await build({
    entryPoints: [here(entry)],
    outfile: `${folder}/${name}.js`,
    plugins: [leaveOut],
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
