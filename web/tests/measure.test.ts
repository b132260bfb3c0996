import assert from "node:assert/strict";
import { test } from "node:test";
import { valueAt, type Plane } from "../src/measure/plane";
import { profileOf } from "../src/measure/profile";
import { contains, statisticsOf, type Region } from "../src/measure/region";
import { edgesOf, Projection, roundLengthMm, WHOLE } from "../src/measure/view";

function plane(width: number, height: number, of: (x: number, y: number) => number, zeroIsInvalid = true): Plane {
  const values = Float32Array.from({ length: width * height }, (_, i) => of(i % width, Math.floor(i / width)));
  return { values, width, height, zeroIsInvalid, pixelMm: [1.5, 2] };
}

const near = (a: number | undefined, b: number, within: number) =>
  assert.ok(a !== undefined && Math.abs(a - b) <= within, `${a} is not ${b} ± ${within}`);

test("a value is that of the pixel whose centre is nearest", () => {
  const of = plane(4, 3, (x, y) => 10 * y + x);
  assert.equal(valueAt(of, { x: 2.4, y: 1.4 }), 12);
  assert.equal(valueAt(of, { x: 2.6, y: 0.6 }), 13);
  assert.equal(valueAt(of, { x: 0, y: 0 }), undefined, "0 is no value");
  assert.equal(valueAt(of, { x: -0.6, y: 0 }), undefined);
  assert.equal(valueAt(of, { x: 3.6, y: 0 }), undefined);
});

test("an ellipse holds the pixels whose centres are in it, and leaves out those without value", () => {
  // 21 pixels lie within 2.5 of one.
  const of = plane(11, 11, (x, y) => (x === 5 && y === 5 ? NaN : 100 + x));
  const region: Region = { kind: "ellipse", center: { x: 5, y: 5 }, radii: [2.5, 2.5] };
  const found = statisticsOf(of, region);
  assert.equal(found?.n, 20);
  assert.equal(found?.nInvalid, 1);
  near(found?.mean, 105, 1e-9);
  near(found?.areaMm2, 21 * 3, 1e-9);
  // Columns 3 to 7 hold 3, 5, 4, 5, 3 of them: Σ (x − 5)² = 4 · 6 + 1 · 10 = 34.
  near(found?.sd, Math.sqrt(34 / 19), 1e-6);
  near(found?.median, 105, 1e-9);
});

test("a polygon of any shape holds what a ray from outside enters", () => {
  const points = [{ x: 1, y: 1 }, { x: 9, y: 1 }, { x: 9, y: 9 }, { x: 5, y: 3 }, { x: 1, y: 9 }];
  const region: Region = { kind: "polygon", points };
  assert.ok(contains(region, { x: 2, y: 5 }));
  assert.ok(!contains(region, { x: 5, y: 6 }), "the notch");
  assert.ok(!contains(region, { x: 10, y: 5 }));
  // A rectangle of 4 × 3 pixels.
  const box: Region = { kind: "polygon", points: [{ x: 1.5, y: 1.5 }, { x: 5.5, y: 1.5 }, { x: 5.5, y: 4.5 }, { x: 1.5, y: 4.5 }] };
  const found = statisticsOf(plane(10, 10, (x, y) => x + 100 * y), box);
  assert.equal(found?.n, 12);
  near(found?.mean, 303.5, 1e-9);
});

test("a region without values has no mean, and one beyond the edge has what is inside", () => {
  const of = plane(6, 6, () => 0);
  assert.equal(statisticsOf(of, { kind: "ellipse", center: { x: 3, y: 3 }, radii: [2, 2] }), undefined);
  const beyond: Region = { kind: "ellipse", center: { x: 0, y: 0 }, radii: [100, 100] };
  assert.equal(statisticsOf(plane(6, 6, () => 7), beyond)?.n, 36);
});

test("mean and spread keep their digits far from zero", () => {
  const found = statisticsOf(plane(100, 100, (x) => 1e6 + (x % 2)), { kind: "ellipse", center: { x: 50, y: 50 }, radii: [500, 500] });
  near(found?.mean, 1e6 + 0.5, 1e-6);
  near(found?.sd, 0.5, 1e-4);
});

test("a profile of a plane that rises evenly is a straight line over millimetres", () => {
  const of = plane(20, 20, (x, y) => 5 + 2 * x + 3 * y);
  const samples = profileOf(of, { x: 2, y: 3 }, { x: 10, y: 9 });
  near(samples.at(-1)?.distanceMm, Math.hypot(8 * 1.5, 6 * 2), 1e-9);
  samples.forEach(({ value }, i) => near(value, 18 + (34 * i) / (samples.length - 1), 1e-4));
});

test("a profile makes up no value beside a pixel that has none", () => {
  const of = plane(9, 1, (x) => (x === 4 ? 0 : 100));
  const values = profileOf(of, { x: 0, y: 0 }, { x: 8, y: 0 }).map(({ value }) => value);
  assert.deepEqual(values, values.map((_, i) => (Math.abs(i / 2 - 4) < 1 ? undefined : 100)));
});

test("a place on the screen leads back to where it came from, at every zoom", () => {
  const screen = { width: 400, height: 300 };
  const image = { width: 128, height: 160 };
  let view = WHOLE;
  for (let i = 0; i < 12; i++) {
    const projection = new Projection(screen, image, [1.5, 2], view);
    for (const point of [{ x: 0, y: 0 }, { x: 63.25, y: 100 }, { x: 127, y: 159 }]) {
      const back = projection.toImage(projection.toScreen(point));
      near(back.x, point.x, 1e-9);
      near(back.y, point.y, 1e-9);
    }
    // What lies under the pointer stays there.
    const at = { x: 130, y: 210 };
    const before = projection.toImage(at);
    view = projection.zoomed(1.3, at);
    const after = new Projection(screen, image, [1.5, 2], view).toImage(at);
    near(after.x, before.x, 1e-9);
    near(after.y, before.y, 1e-9);
  }
});

test("the whole image fits, and its pixels have their shape", () => {
  const projection = new Projection({ width: 400, height: 300 }, { width: 100, height: 100 }, [1, 2], WHOLE);
  assert.deepEqual(projection.frame(), { x: 125, y: 0, width: 150, height: 300 });
});

test("letters name the sides of the patient", () => {
  assert.deepEqual(edgesOf([1, 0, 0], [0, 1, 0]), { right: "L", left: "R", bottom: "P", top: "A" });
  // A short axis of the heart: to the left, front and head.
  const oblique = edgesOf([0.6, 0.8, 0], [0.2, -0.1, -0.97]);
  assert.deepEqual([oblique.right, oblique.bottom], ["PL", "F"]);
});

test("the scale has a round length", () => {
  assert.deepEqual([99, 50, 23, 0.7].map(roundLengthMm), [50, 50, 20, 0.5]);
});
