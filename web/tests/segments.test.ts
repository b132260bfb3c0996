import assert from "node:assert/strict";
import { test } from "node:test";
import type { Plane, Point } from "../src/measure/plane";
import { spreadOf } from "../src/measure/region";
import { heartLabels, joined, meansBetween, meansOnLabels, placeInBullsEye, segmentOfPoint, wallOfReport, type Contours } from "../src/measure/segments";

const CENTER = { x: 50, y: 40 };
const SQUARE = [1, 1] as const;

const ellipse = (radius: number) => ({ kind: "ellipse" as const, center: CENTER, radii: [radius, radius] as const });

/** A short axis as it is looked at: the right ventricle on the left, the front above. */
function contours(turnDeg = 0): Contours {
  const at = (deg: number): Point => {
    const angle = ((deg + turnDeg) * Math.PI) / 180;
    return { x: CENTER.x + 20 * Math.cos(angle), y: CENTER.y - 20 * Math.sin(angle) };
  };
  return { outer: ellipse(20), inner: ellipse(10), anteriorInsertion: at(120), inferiorInsertion: at(240) };
}

const offset = (dx: number, dy: number) => ({ x: CENTER.x + dx, y: CENTER.y + dy });

test("walls lie where Cerqueira has drawn them", () => {
  const mid = (dx: number, dy: number) => segmentOfPoint(contours(), "mid", offset(dx, dy), SQUARE);
  assert.equal(mid(0, -15), 7, "anterior");
  assert.equal(mid(-13, -6), 8, "anteroseptal");
  assert.equal(mid(-13, 6), 9, "inferoseptal");
  assert.equal(mid(0, 15), 10, "inferior");
  assert.equal(mid(13, 6), 11, "inferolateral");
  assert.equal(mid(13, -6), 12, "anterolateral");
  assert.equal(mid(0, 0), 0, "blood");
  assert.equal(mid(25, 0), 0, "outside");
  const apical = (dx: number, dy: number) => segmentOfPoint(contours(), "apical", offset(dx, dy), SQUARE);
  assert.deepEqual([apical(0, -15), apical(-15, 0), apical(0, 15), apical(15, 0)], [13, 14, 15, 16]);
  assert.equal(segmentOfPoint(contours(), "basal", offset(0, -15), SQUARE), 1);
});

test("a heart that lies turned, or mirrored, has its segments where it has its septum", () => {
  const turned = (deg: number, dx: number, dy: number) => segmentOfPoint(contours(deg), "mid", offset(dx, dy), SQUARE);
  // By 90° counter-clockwise: what was above is now to the left.
  assert.equal(turned(90, -15, 0), 7);
  assert.equal(turned(90, 6, 13), 9, "what was to the left is now below");
  assert.equal(turned(180, 0, 15), 7);
  // Seen from the other side: the insertions change places.
  const { anteriorInsertion, inferiorInsertion, ...borders } = contours();
  const mirrored = { ...borders, anteriorInsertion: inferiorInsertion, inferiorInsertion: anteriorInsertion };
  assert.equal(segmentOfPoint(mirrored, "mid", offset(0, 15), SQUARE), 7, "anterior is below now");
  assert.equal(segmentOfPoint(mirrored, "mid", offset(-13, 6), SQUARE), 8);
});

test("means of segments are those of the map, and few pixels have none", () => {
  const [width, height] = [100, 80];
  const values = Float32Array.from({ length: width * height }, (_, i) => (i % width < CENTER.x ? 1200 : 1000));
  const plane: Plane = { values, width, height, zeroIsInvalid: true, pixelMm: [1, 1] };
  const wall = meansBetween(contours(), plane, "mid", { quantity: "T1", unit: "ms" });
  const of = (number: number) => wall.segments.find((segment) => segment.number === number);
  assert.deepEqual([8, 9, 11, 12].map((number) => of(number)?.mean), [1200, 1200, 1000, 1000]);
  assert.equal(of(8)?.name, "mid anteroseptal");
  assert.equal(of(8)?.sd, 0);
  const tiny = meansBetween({ ...contours(), inner: ellipse(19.98) }, plane, "mid", { quantity: "T1", unit: "ms" });
  assert.ok(tiny.segments.every(({ mean, n }) => mean === undefined && n < 4));
});

test("the server's report is read, and what is none is not", () => {
  const report = {
    quantity: "T1", unit: "ms", whole: { mean: 1020.5, sd: 40, n: 300 },
    segments: [{ segment: 7, name: "mid anterior", mean: 1010, sd: 30, n: 50 }, { segment: 8, name: "mid anteroseptal", n: 0 }],
    reference: { low: 934, high: 1058, source: "Granitz 2019", within: true },
  };
  const wall = wallOfReport(JSON.stringify(report));
  assert.deepEqual(wall?.segments[0], { number: 7, name: "mid anterior", mean: 1010, sd: 30, n: 50 });
  assert.equal(wall?.segments[1]?.mean, undefined);
  assert.deepEqual(wall?.reference, { low: 934, high: 1058, source: "Granitz 2019" });
  for (const text of ["", "{", "[]", "null", '{"segments": 3}']) assert.equal(wallOfReport(text), undefined, text);
});

test("slices at several levels make one bull's-eye", () => {
  const wall = (number: number) => ({ quantity: "T1", unit: "ms", origin: "server" as const, segments: [{ number, name: "", n: 9, mean: number }] });
  const all = joined([wall(13), wall(1), wall(7)]);
  assert.deepEqual(all?.segments.map(({ number }) => number), [1, 7, 13]);
  assert.equal(joined([]), undefined);
});

test("the whole of several slices is that of all their pixels", () => {
  const slices = [[1000, 1010, 1020], [1100, 1180], [1300, 1310, 1290, 1330]];
  const wall = (values: number[], i: number) => {
    const { mean, sd, n } = spreadOf(values) ?? assert.fail();
    return { quantity: "T1", unit: "ms", origin: "server" as const, whole: { mean, sd, n }, segments: [{ number: [1, 7, 13][i] ?? 0, name: "", n, mean, sd }] };
  };
  const walls = slices.map(wall);
  const all = spreadOf(slices.flat());
  const whole = joined(walls)?.whole;
  assert.equal(whole?.n, 9);
  assert.ok(Math.abs((whole?.mean ?? 0) - (all?.mean ?? 1)) < 1e-9, `${whole?.mean}`);
  assert.ok(Math.abs((whole?.sd ?? 0) - (all?.sd ?? 1)) < 1e-9, `${whole?.sd}`);
  assert.equal(joined([wall([5], 0), wall([6, 8], 0)])?.whole?.n, 2, "of a slice that came twice the later one");
  const { whole: _, ...silent } = wall([7, 9], 0);
  assert.equal(joined([silent, wall([6, 8], 1)])?.whole, undefined, "one does not tell its own");
});

test("angles are those in the patient where pixels are not square", () => {
  // Pixels twice as tall as wide: the same heart, with half as many rows.
  const tall = [1, 2] as const;
  const flat = ({ x, y }: Point): Point => ({ x, y: CENTER.y + (y - CENTER.y) / 2 });
  const round = contours();
  const squashed = (radius: number) => ({ kind: "ellipse" as const, center: CENTER, radii: [radius, radius / 2] as const });
  const drawn: Contours = { outer: squashed(20), inner: squashed(10), anteriorInsertion: flat(round.anteriorInsertion), inferiorInsertion: flat(round.inferiorInsertion) };
  for (let deg = 5; deg < 360; deg += 10) {
    const place = offset(15 * Math.cos((deg * Math.PI) / 180), 15 * Math.sin((deg * Math.PI) / 180));
    const wanted = segmentOfPoint(round, "mid", place, SQUARE);
    assert.equal(segmentOfPoint(drawn, "mid", flat(place), tall), wanted, `at ${deg}°`);
  }
  const [width, height] = [100, 80];
  const place = (i: number) => ({ x: i % width, y: Math.floor(i / width) });
  const values = Float32Array.from({ length: width * height }, (_, i) => 1000 + 10 * segmentOfPoint(drawn, "mid", place(i), tall));
  const plane: Plane = { values, width, height, zeroIsInvalid: true, pixelMm: tall };
  const label = ({ x, y }: Point) => {
    const [dx, dy] = [x - CENTER.x, 2 * (y - CENTER.y)];
    const radius = Math.hypot(dx, dy);
    return radius <= 10 ? 2 : radius <= 20 ? 1 : Math.hypot(dx + 25, dy + 17) <= 8 ? 3 : 0;
  };
  const labels = { ...plane, values: Float32Array.from(values, (_, i) => label(place(i))) };
  const wall = meansOnLabels(labels, { wall: 1, leftBlood: 2, rightBlood: 3 }, plane, { x: 0, y: -1 }, "mid", { quantity: "T1", unit: "ms" });
  // The right ventricle lies 34° further to the front than the insertions say, in millimetres: of the
  // 60° of each segment, 34° belong to the next one of the contours.
  const of = (number: number) => wall?.segments.find((segment) => segment.number === number);
  const [anterior, inferior] = [of(8)?.mean ?? 0, of(9)?.mean ?? 0];
  assert.ok(Math.abs(anterior - (1080 - (10 * 34) / 60)) < 1, `${anterior}`);
  assert.ok(Math.abs(inferior - (1080 + (10 * 26) / 60)) < 1, `${inferior}`);
  // Sixths of the wall are alike, but for the border's pixels that are left out.
  const sizes = wall?.segments.map(({ n }) => n) ?? [];
  assert.ok(Math.max(...sizes) < 1.35 * Math.min(...sizes), sizes.join());
});

test("the bull's-eye has the base outside and the front above", () => {
  const middle = (segment: number) => {
    const { fromDeg, toDeg } = placeInBullsEye(segment);
    return (fromDeg + toDeg) / 2;
  };
  assert.deepEqual([1, 7, 13].map(middle), [90, 90, 90], "anterior");
  assert.deepEqual([2, 4, 6].map(middle), [150, 270, 390]);
  assert.equal(middle(14), 180, "septal");
  assert.ok(placeInBullsEye(1).inner >= placeInBullsEye(7).outer);
  assert.ok(placeInBullsEye(7).inner >= placeInBullsEye(13).outer);
});

test("labels give the segments that contours of the same wall give", () => {
  const [width, height] = [100, 80];
  const about = { quantity: "T1", unit: "ms" };
  const drawn = contours();
  // A value of its own for each segment.
  const values = Float32Array.from({ length: width * height }, (_, i) => 1000 + 10 * segmentOfPoint(drawn, "mid", { x: i % width, y: Math.floor(i / width) }, SQUARE));
  const plane: Plane = { values, width, height, zeroIsInvalid: true, pixelMm: [1, 1] };
  const legend = [
    { label: 1, name: "myocardium" },
    { label: 2, name: "left_blood" },
    { label: 3, name: "right_blood" },
  ];
  const numbers = heartLabels(legend);
  assert.ok(numbers);
  assert.equal(heartLabels(legend.slice(0, 2)), undefined, "without a right ventricle nobody knows where the septum is");
  const labels = (right: Point): Plane => {
    const label = (x: number, y: number) => {
      const [radius, toRight] = [Math.hypot(x - CENTER.x, y - CENTER.y), Math.hypot(x - right.x, y - right.y)];
      return radius <= 10 ? 2 : radius <= 20 ? 1 : toRight <= 8 ? 3 : 0;
    };
    return { ...plane, values: Float32Array.from({ length: width * height }, (_, i) => label(i % width, Math.floor(i / width))) };
  };
  const front = { x: 0, y: -1 };
  const wall = meansOnLabels(labels(offset(-30, 0)), numbers, plane, front, "mid", about);
  assert.deepEqual(wall?.segments.map(({ number, mean }) => [number, mean]), [7, 8, 9, 10, 11, 12].map((number) => [number, 1000 + 10 * number]));
  // About three fifths of the ring's 942 pixels, as its borders are left out.
  assert.ok(wall.whole && wall.whole.n > 600 && wall.whole.n < 850, `${wall.whole?.n}`);
  // A mirrored heart, the right ventricle to the right: its septum is there.
  const mirrored = meansOnLabels(labels(offset(30, 0)), numbers, plane, front, "mid", about);
  // Pixels on the border between two segments may fall to the other one.
  const anteroseptal = mirrored?.segments.find(({ number }) => number === 8)?.mean ?? 0;
  assert.ok(Math.abs(anteroseptal - (1000 + 10 * 12)) < 2, `${anteroseptal}`);
  // Seen along the line between the ventricles: the front cannot be told.
  assert.equal(meansOnLabels(labels(offset(-30, 0)), numbers, plane, { x: 1, y: 0 }, "mid", about), undefined);
  const other = { ...plane, width: 80, height: 100 };
  assert.equal(meansOnLabels(labels(offset(-30, 0)), numbers, other, front, "mid", about), undefined, "of another matrix");
});

test("a wall of several slices has the mean and the spread of all of them", () => {
  const slice = (first: number, mean: number, sd: number, n: number) =>
    JSON.stringify({ quantity: "T1", unit: "ms", segments: [{ segment: first, mean, sd, n }], whole: { mean, sd, n } });
  // 1, 3 and 5, 7, 9: together 5 ± sqrt(10).
  const walls = [slice(1, 2, Math.SQRT2, 2), slice(7, 7, 2, 3)].flatMap((text) => wallOfReport(text) ?? []);
  const whole = joined(walls)?.whole;
  assert.equal(whole?.n, 5);
  assert.ok(Math.abs(whole.mean - 5) < 1e-12 && Math.abs(whole.sd - Math.sqrt(10)) < 1e-12, JSON.stringify(whole));
});

test("what lies between two segments in pixels lies in one of them in millimetres", () => {
  // Pixels twice as tall as wide: 40° above the horizontal in the patient is 22.8° in pixels.
  const drawn = { ...contours(), outer: { kind: "ellipse" as const, center: CENTER, radii: [20, 10] as const }, inner: { kind: "ellipse" as const, center: CENTER, radii: [10, 5] as const } };
  const at = (deg: number) => offset(15 * Math.cos((deg * Math.PI) / 180), (-15 * Math.sin((deg * Math.PI) / 180)) / 2);
  const flat = { ...drawn, anteriorInsertion: offset(-10, -8.66), inferiorInsertion: offset(-10, 8.66) };
  assert.equal(segmentOfPoint(flat, "mid", at(70), [1, 2]), 7, "anterior");
  assert.equal(segmentOfPoint(flat, "mid", at(50), [1, 2]), 12, "anterolateral");
});
