// The languages that answers are written in most, cut into tokens. The names that a fence may have are keys of `languages`.
import {
  bash, c, css, diff, docker, go, html, java, js, json, lua, make, md, py, rs, sql, toml, ts, xml, yaml,
} from "@speed-highlight/core/languages";
import { jsdoc, regex, todo } from "@speed-highlight/core/languages"; // parts of others
import { tokenizeWith } from "@speed-highlight/core/tokenize";

export const languages = {
  bash, c, css, diff, docker, go, html, java, js, json, lua, make, md, py, rs, sql, toml, ts, xml, yaml, jsdoc, regex, todo,
  "c#": java, "c++": c, cpp: c, cs: java, csharp: java, console: bash, dockerfile: docker, h: c, hpp: c, ini: toml, javascript: js,
  jsx: js, kotlin: java, makefile: make, markdown: md, mjs: js, patch: diff, python: py, python3: py, rust: rs, scss: css,
  sh: bash, shell: bash, svg: xml, tsx: ts, typescript: ts, yml: yaml, zsh: bash,
};

export { tokenizeWith };
