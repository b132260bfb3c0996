import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { BLACK, colorPlane, colorsOf, N_COLORS, packed, placeOf, type Range } from "../src/colors/palette";
import { decimalsOf, meanText, ticksOf, unitText, withUnit, written } from "../src/colors/ticks";

const parts = (color: number) => [color & 255, (color >> 8) & 255, (color >> 16) & 255];
const near = (color: number, shares: number[]) =>
  parts(color).every((byte, i) => Math.abs(byte - 255 * (shares[i] ?? 0)) < 1.01);

test("rows of lipari and navia are those of the published tables", () => {
  // A range from below zero has no curve: row for row. Values of the recommendation's tables.
  const linear: Range = [-2, -1];
  const lipari = colorsOf("lipari", linear);
  const navia = colorsOf("navia", linear);
  for (const [row, color] of [[63, [0.315, 0.357, 0.48]], [127, [0.64, 0.384, 0.404]], [191, [0.913, 0.601, 0.451]], [255, [0.992, 0.959, 0.857]]] as const) {
    assert.ok(near(lipari[row] ?? 0, [...color]), `lipari ${row}`);
  }
  for (const [row, color] of [[63, [0.101, 0.373, 0.561]], [127, [0.253, 0.541, 0.503]], [191, [0.53, 0.762, 0.413]], [255, [0.987, 0.958, 0.85]]] as const) {
    assert.ok(near(navia[row] ?? 0, [...color]), `navia ${row}`);
  }
  assert.equal(lipari[0], BLACK);
});

test("colours are those of `boreside palette`", (t) => {
  const program = process.env.BORESIDE;
  if (!program) {
    t.skip("skipped: set BORESIDE to the program, e.g. target/debug/boreside");
    return;
  }
  const maps = [["lipari", 650, 1950], ["lipari", 250, 550], ["navia", 0, 120], ["batlow", 0, 3], ["vik", -1, 1], ["vikO", -90, 90]] as const;
  for (const [name, low, high] of maps) {
    const printed: string = execFileSync(program, ["palette", name, "--from", String(low), "--to", String(high)], { encoding: "utf8" });
    const rows = printed.trim().split("\r\n").slice(3).map((row) => row.split(" ").map(Number));
    assert.equal(rows.length, N_COLORS);
    const colors = colorsOf(name, [low, high]);
    rows.forEach((row, i) => assert.deepEqual(parts(colors[i] ?? 0), row, `${name}, row ${i}`));
  }
});

test("the curve uses up half of its colours at the highest value over e", () => {
  const curve = colorsOf("lipari", [0, 2000]);
  const linear = [...colorsOf("lipari", [-2, -1])];
  const row = linear.indexOf(curve[Math.floor(256 / Math.E)] ?? -1);
  assert.ok(Math.abs(row - 128) <= 3, `row ${row}`);
  assert.equal(curve[255], linear[255]);
});

test("what is no value is black, and nothing else is", () => {
  const values = Float32Array.of(NaN, 0, Infinity, 0.001, 650, 1300, 5000, -3);
  const into = new Uint32Array(values.length);
  const range: Range = [650, 1950];
  const colors = colorsOf("lipari", range);
  colorPlane(values, colors, range, true, into);
  assert.deepEqual([...into.subarray(0, 3)], [BLACK, BLACK, BLACK]);
  assert.ok([...into.subarray(3)].every((color) => color !== BLACK));
  assert.equal(into[5], colors[placeOf(1300, range)]);
  assert.equal(into[6], colors[255]);
  // Where 0 is a value it has the colour of one.
  colorPlane(values, colors, range, false, into);
  assert.equal(into[1], colors[1]);
});

test("colours turned round begin at the bright end", () => {
  const [plain, turned] = [colorsOf("navia", [-2, -1]), colorsOf("navia", [-2, -1], true)];
  assert.deepEqual([...turned.subarray(1, 255)], [...plain.subarray(1, 255)].reverse());
  assert.equal(turned[0], BLACK);
});

test("angles of lines have colours that close and a neutral 0; negative ones have a value", () => {
  const range: Range = [-90, 90];
  const colors = colorsOf("vikO", range);
  const at = (angle: number) => parts(colors[placeOf(angle, range)] ?? 0);
  const [first, last] = [at(-89.9), at(89.9)];
  assert.ok(first.every((byte, i) => Math.abs(byte - (last[i] ?? 0)) < 5), `${first.join()} ${last.join()}`);
  const [red = 0, , blue = 0] = at(-40);
  assert.ok(blue > red + 40, `${red} ${blue}`);
  const middle = at(0.1);
  assert.ok(Math.max(...middle) - Math.min(...middle) < 40 && Math.min(...middle) > 170, middle.join());
  const into = new Uint32Array(2);
  colorPlane(Float32Array.of(-40, 0), colors, range, true, into);
  assert.deepEqual([into[0], into[1]], [colors[placeOf(-40, range)], BLACK]);
});

test("grey is linear", () => {
  const grey = colorsOf("grey", [0, 100]);
  assert.equal(grey[128], packed(128, 128, 128));
});

test("ticks are round and lie within the window", () => {
  assert.deepEqual(ticksOf([650, 1950]), [750, 1000, 1250, 1500, 1750]);
  assert.deepEqual(ticksOf([0, 120]), [0, 20, 40, 60, 80, 100, 120]);
  assert.deepEqual(ticksOf([0, 1]), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticksOf([-90, 90]), [-50, 0, 50]);
  assert.deepEqual(ticksOf([3, 3]), []);
});

test("values are written as finely as their window is wide", () => {
  assert.equal(decimalsOf([650, 1950]), 0);
  assert.equal(decimalsOf([0, 60]), 1);
  assert.equal(decimalsOf([0, 1]), 2);
  assert.equal(withUnit(1187.4, "ms", 0), "1187 ms");
  assert.equal(withUnit(-12.34, "deg", 1), "-12.3°");
  assert.equal(withUnit(0.5, "", 2), "0.50");
  assert.equal(written(NaN, 2), "no value");
  assert.equal(meanText(1187.42, 23.4, "ms", 0), "1187 ± 23 ms");
  assert.equal(meanText(1187.42, 3.27, "ms", 0), "1187.4 ± 3.3 ms");
  assert.equal(unitText("10^-3 mm^2/s"), "10⁻³ mm²/s");
});
