/** Versions of a message are forks, and one can walk between them from wherever one stands. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Family, rootOf, Trail } from "../../../prompts/static/page/families.js";

const ROOT = { id: "conv_1", metadata: { mine: "kept" }, "eps:title": "Leases" };
const fork = (id, origin, at, after, kind = "edit") => ({
  id,
  "eps:forked_from": origin,
  metadata: { eps_page_root: "conv_1", eps_page_fork_at: at, eps_page_fork_after: after, eps_page_fork_kind: kind },
});
const items = (...ids) => ids.map((id) => ({ id }));

function read(chain, forks, ...pages) {
  const family = new Family(chain, new Map(Object.entries(forks)));
  pages.forEach((page, index) => family.claim(page, { isWhole: index === pages.length - 1 }));
  return family;
}

test("a message without versions has none", () => {
  const family = read([ROOT], { conv_1: [] }, items("d", "c", "b", "a"));
  assert.equal(family.versionsOf("c"), undefined);
});

test("the original and its fork see the same two versions", () => {
  const other = fork("conv_2", "conv_1", "c", "b");
  const original = read([ROOT], { conv_1: [other] }, items("d", "c", "b", "a"));
  const place = { owner: "conv_1", at: "c" };
  assert.deepEqual(original.versionsOf("c"), { ids: ["conv_1", "conv_2"], at: 0, isEdited: true, place });
  const forked = read([other, ROOT], { conv_1: [other], conv_2: [] }, items("y", "x", "b", "a"));
  assert.deepEqual(forked.versionsOf("x"), { ids: ["conv_1", "conv_2"], at: 1, isEdited: true, place });
  assert.equal(forked.versionsOf("a"), undefined);
});

test("a version of a version is a fork of the same conversation", () => {
  const other = fork("conv_2", "conv_1", "c", "b");
  const family = read([other, ROOT], { conv_1: [other], conv_2: [] }, items("y", "x", "b", "a"));
  const place = family.placeOf("x");
  assert.equal(place.owner.id, "conv_1");
  const body = family.composeFork(place, "again");
  assert.equal(body.before, "c");
  assert.deepEqual(body.metadata, { eps_page_root: "conv_1", eps_page_fork_at: "c", eps_page_fork_after: "b", eps_page_fork_kind: "again" });
  assert.equal(body["eps:title"], "Leases");
});

test("a later message of a fork is the fork's own", () => {
  const other = fork("conv_2", "conv_1", "c", "b");
  const deeper = fork("conv_3", "conv_2", "z", "y");
  const family = read([other, ROOT], { conv_1: [other], conv_2: [deeper] }, items("z", "y", "x", "b", "a"));
  assert.equal(family.placeOf("z").owner.id, "conv_2");
  assert.deepEqual(family.versionsOf("z").ids, ["conv_2", "conv_3"]);
});

test("the very first message can have versions", () => {
  const other = fork("conv_2", "conv_1", "a", "");
  const family = read([other, ROOT], { conv_1: [other], conv_2: [] }, items("y", "x"));
  assert.deepEqual(family.versionsOf("x").ids, ["conv_1", "conv_2"]);
});

test("a place at the edge of what is read waits for the page before", () => {
  const family = read([ROOT], {}, items("d", "c"), items("b", "a"));
  const half = new Family([ROOT]);
  half.claim(items("d", "c"), { isWhole: false });
  assert.ok(half.needsOlder("c"));
  assert.ok(!half.needsOlder("d"));
  assert.ok(!family.needsOlder("c"));
  assert.ok(!family.needsOlder("a"));
});

test("what is said later belongs to the conversation that is open", () => {
  const other = fork("conv_2", "conv_1", "c", "b");
  const family = read([other, ROOT], { conv_1: [other], conv_2: [] }, items("b", "a"));
  family.claimNew({ id: "x" });
  family.claimNew({ id: "y" });
  family.claimNew({ id: "y" });
  assert.deepEqual(family.order, ["y", "x", "b", "a"]);
  assert.equal(family.placeOf("x").owner.id, "conv_1");
  assert.equal(family.placeOf("y").owner.id, "conv_2");
});

test("answers that were asked for again alone are versions of the answer", () => {
  const other = fork("conv_2", "conv_1", "c", "b", "again");
  const family = read([ROOT], { conv_1: [other] }, items("d", "c", "b", "a"));
  assert.equal(family.versionsOf("c").isEdited, false);
});

test("a fork that another client has made is a conversation of its own", () => {
  assert.equal(rootOf({ id: "conv_9", "eps:forked_from": "conv_1", metadata: {} }), "conv_9");
  assert.equal(rootOf({ id: "conv_9", metadata: { eps_page_root: "conv_1" } }), "conv_1");
});

test("a fork in which nothing was kept still shows its versions", () => {
  const other = fork("conv_2", "conv_1", "c", "b");
  const family = read([other, ROOT], { conv_1: [other], conv_2: [] }, items("b", "a"));
  assert.ok(family.isEmptyFork);
  assert.deepEqual(family.versionsOfEmpty().ids, ["conv_1", "conv_2"]);
  family.claimNew({ id: "x" });
  assert.ok(!family.isEmptyFork);
});

const idAt = (time, name) => `${name}_00${String(time).padStart(12, "0")}${"f".repeat(18)}`;

test("who walks back to a version finds the fork of it that was open last", () => {
  const place = { owner: "conv_1", at: idAt(10, "msg") };
  const early = fork("conv_2", "conv_1", place.at, "");
  const late = fork("conv_3", "conv_1", idAt(20, "msg"), "");
  const deep = fork("conv_4", "conv_2", idAt(30, "msg"), "");
  const trail = new Trail();
  assert.equal(trail.find("conv_1", place), "conv_1");
  trail.leave([late, ROOT]);
  trail.leave([deep, early, ROOT]);
  assert.equal(trail.find("conv_1", place), "conv_3");
  assert.equal(trail.find("conv_2", place), "conv_4");
  trail.leave([ROOT]);
  assert.equal(trail.find("conv_1", place), "conv_1");
  assert.equal(trail.find("conv_9", place), "conv_9");
});
