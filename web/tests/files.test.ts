import assert from "node:assert/strict";
import { test } from "node:test";
import { niftiFile } from "../src/files/nifti";
import { stacked, type PlacedPlane } from "../src/files/stack";

/** An oblique matrix: orthogonal axes of 1.5, 2 and 8 mm. */
const x = [0.6, 0.8, 0];
const y = [-0.48, 0.36, 0.8];
const z = [0.64, -0.48, 0.6];
const matrix = [0, 1, 2].flatMap((row) => [1.5 * x[row]!, 2 * y[row]!, 8 * z[row]!, [10, -20, 30][row]!]).concat([0, 0, 0, 1]);

function header(file: ArrayBuffer) {
  const view = new DataView(file);
  const float = (at: number) => view.getFloat32(at, true);
  const floats = (at: number, n: number) => Array.from({ length: n }, (_, i) => float(at + 4 * i));
  const shorts = (at: number, n: number) => Array.from({ length: n }, (_, i) => view.getInt16(at + 2 * i, true));
  const text = (at: number, n: number) => String.fromCharCode(...new Uint8Array(file, at, n)).replace(/\0.*/s, "");
  return { view, float, floats, shorts, text };
}

const near = (found: number[], expected: number[], within = 1e-4) =>
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < within, `${i}: ${found} is not ${expected}`));

test("a NIfTI file has its values, its sizes and its place in the patient", () => {
  const values = Float32Array.from({ length: 24 }, (_, i) => i + 0.5);
  const file = niftiFile({ values, size: [4, 3, 2, 1], patientFromVoxel: matrix, description: "T1, ms — Ω", quantity: "T1" });
  const { view, float, floats, shorts, text } = header(file);
  assert.equal(view.getInt32(0, true), 348);
  assert.deepEqual(shorts(40, 8), [3, 4, 3, 2, 1, 1, 1, 1]);
  assert.deepEqual(shorts(70, 2), [16, 32]);
  near(floats(80, 3), [1.5, 2, 8]);
  assert.deepEqual([float(108), float(112), float(116)], [352, 1, 0]);
  assert.deepEqual(shorts(252, 2), [1, 1]);
  assert.equal(text(148, 80), "T1, ms ? ?");
  assert.equal(text(328, 16), "T1");
  assert.equal(text(344, 4), "n+1");
  // Rows of the matrix, left and posterior turned round.
  near(floats(280, 4), [-1.5 * 0.6, 2 * 0.48, -8 * 0.64, -10]);
  near(floats(296, 4), [-1.5 * 0.8, -2 * 0.36, 8 * 0.48, 20]);
  near(floats(312, 4), [0, 2 * 0.8, 8 * 0.6, 30]);
  assert.deepEqual(floats(352, 24), [...values]);
  assert.equal(file.byteLength, 352 + 96);
});

test("the quaternion says what the matrix says", () => {
  const minus = matrix.map((value, i) => (i % 4 === 2 ? -value : value));
  const turns = [matrix, minus, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], [-1, 0, 0, 5, 0, 1, 0, 6, 0, 0, -1, 7, 0, 0, 0, 1], [0, 0, 3, 1, 2, 0, 0, 2, 0, -2, 0, 3, 0, 0, 0, 1]];
  for (const patientFromVoxel of turns) {
    const file = niftiFile({ values: new Float32Array(1), size: [1, 1, 1, 1], patientFromVoxel, description: "", quantity: "" });
    const { float, floats } = header(file);
    const [b, c, d] = floats(256, 3) as [number, number, number];
    const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
    const qfac = float(76);
    const mm = floats(80, 3);
    // The formula of nifti1.h.
    const rotation = [
      [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
      [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
      [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    rotation.forEach((row, i) => {
      const scaled = [row[0]! * mm[0]!, row[1]! * mm[1]!, row[2]! * mm[2]! * qfac];
      near(scaled, floats(280 + 16 * i, 3), 1e-3);
    });
    near(floats(268, 3), [float(292), float(308), float(324)]);
  }
});

test("wrong sizes are refused", () => {
  assert.throws(() => niftiFile({ values: new Float32Array(5), size: [2, 2, 1, 1], patientFromVoxel: matrix, description: "", quantity: "" }), /5 values are not 2 × 2/);
});

/** A plane so many millimetres along the normal. */
function plane(value: number, alongMm: number): PlacedPlane {
  const patientFromVoxel = matrix.map((entry, i) => (i % 4 === 3 && i < 12 ? entry + alongMm * z[Math.floor(i / 4)]! : entry));
  return { values: new Float32Array(6).fill(value), width: 3, height: 2, patientFromVoxel };
}

test("slices at equal distances are a stack, in the order of their places", () => {
  const found = stacked([plane(1, 20), plane(2, 0), plane(3, 10)]);
  assert.deepEqual(found?.size, [3, 2, 3, 1]);
  assert.deepEqual([...found!.values].filter((_, i) => i % 6 === 0), [2, 3, 1]);
  near([2, 6, 10].map((i) => found!.patientFromVoxel[i]!), z.map((part) => 10 * part));
  near([3, 7, 11].map((i) => found!.patientFromVoxel[i]!), [10, -20, 30]);
});

test("planes at one place follow each other in time", () => {
  const found = stacked([plane(1, 0), plane(2, 8), plane(3, 0), plane(4, 8)]);
  assert.deepEqual(found?.size, [3, 2, 2, 2]);
  assert.deepEqual([...found!.values].filter((_, i) => i % 6 === 0), [1, 2, 3, 4]);
});

test("planes that have no place together make no volume", () => {
  assert.equal(stacked([plane(1, 0), plane(2, 10), plane(3, 25)]), undefined, "unequal distances");
  assert.equal(stacked([plane(1, 0), plane(2, 0), plane(3, 10)]), undefined, "a time is missing");
  assert.equal(stacked([plane(1, 0), { ...plane(2, 10), width: 2, height: 3 }]), undefined);
  assert.equal(stacked([]), undefined);
});
