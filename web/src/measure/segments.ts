/**
 * Segments of the left ventricle's wall.
 *
 * Source: Cerqueira et al., Circulation 105:539 (2002).
 */

import { valueAt, type Plane, type Point } from "./plane";
import { contains, spreadOf, type Region } from "./region";

export type Level = "basal" | "mid" | "apical";

export const LEVELS: readonly Level[] = ["basal", "mid", "apical"];

export interface Segment {
  /** 1 to 16. */
  readonly number: number;
  readonly name: string;
  /** `undefined` with too few pixels. */
  readonly mean?: number;
  readonly sd?: number;
  readonly n: number;
}

export interface Wall {
  readonly quantity: string;
  readonly unit: string;
  readonly segments: readonly Segment[];
  readonly whole?: { readonly mean: number; readonly sd: number; readonly n: number };
  /** Lowest and highest value of healthy hearts, with whose they are. */
  readonly reference?: { readonly low: number; readonly high: number; readonly source: string };
  /** Where the values are from: a report of the server's, contours of the reader's, an image of labels. */
  readonly origin: "server" | "drawn" | "labels";
}

/** Walls in the order in which they follow the middle of the septum, towards the front. */
const SIX: readonly (readonly [number, string])[] = [
  [1, "anteroseptal"],
  [0, "anterior"],
  [5, "anterolateral"],
  [4, "inferolateral"],
  [3, "inferior"],
  [2, "inferoseptal"],
];
const FOUR: readonly (readonly [number, string])[] = [
  [1, "septal"],
  [0, "anterior"],
  [3, "lateral"],
  [2, "inferior"],
];
const FIRST: Record<Level, number> = { basal: 1, mid: 7, apical: 13 };

/** Numbers and names of a level's segments, in the order of their numbers. */
export function segmentsOf(level: Level): (readonly [number, string])[] {
  const walls = level === "apical" ? FOUR : SIX;
  const named = walls.map(([beyond, name]) => [FIRST[level] + beyond, `${level} ${name}`] as const);
  return named.sort((a, b) => a[0] - b[0]);
}

/** The segment at a turn (0 to 1) from the middle of the septum, towards the front. */
export function segmentAt(level: Level, turn: number): number {
  const place = (n: number, at: number) => Math.min(Math.floor((at - Math.floor(at)) * n), n - 1);
  // The septal segment of the apex lies around the middle of the septum.
  const wall = level === "apical" ? FOUR[place(4, turn + 0.125)] : SIX[place(6, turn)];
  return FIRST[level] + (wall?.[0] ?? 0);
}

/** What a reader draws: both borders of the wall, and where the right ventricle's wall meets it. */
export interface Contours {
  readonly outer: Region;
  readonly inner: Region;
  readonly anteriorInsertion: Point;
  readonly inferiorInsertion: Point;
}

/** Segments with fewer pixels have no value. */
const LEAST_PIXELS = 4;

/**
 * The segment of a place; 0 outside of the wall.
 *
 * The middle of the septum lies half way between both insertion points, on the shorter way round.
 * Contours and places are in pixels, angles are those in the patient.
 */
export function segmentOfPoint(contours: Contours, level: Level, place: Point, [wideMm, tallMm]: Plane["pixelMm"]): number {
  if (!contains(contours.outer, place) || contains(contours.inner, place)) return 0;
  const center = centerOf(contours.inner);
  const angle = ({ x, y }: Point) => Math.atan2((y - center.y) * tallMm, (x - center.x) * wideMm);
  const turn = 2 * Math.PI;
  const half = (of: number) => of - turn * Math.round(of / turn);
  const toFront = half(angle(contours.anteriorInsertion) - angle(contours.inferiorInsertion)) / 2;
  const septum = angle(contours.inferiorInsertion) + toFront;
  const along = (angle(place) - septum) * Math.sign(toFront || 1);
  return segmentAt(level, along / turn);
}

function centerOf(region: Region): Point {
  if (region.kind === "ellipse") return region.center;
  const n = Math.max(region.points.length, 1);
  const sum = region.points.reduce((sum, point) => ({ x: sum.x + point.x, y: sum.y + point.y }), { x: 0, y: 0 });
  return { x: sum.x / n, y: sum.y / n };
}

/** Mean values of a map's segments between two contours. */
export function meansBetween(contours: Contours, plane: Plane, level: Level, about: MapAbout): Wall {
  return segmentMeans(plane, (place) => segmentOfPoint(contours, level, place, plane.pixelMm), level, { ...about, origin: "drawn" });
}

type MapAbout = Pick<Wall, "quantity" | "unit">;

function segmentMeans(plane: Plane, segmentOf: (place: Point) => number, level: Level, about: MapAbout & Pick<Wall, "origin">): Wall {
  const bySegment = new Map<number, number[]>();
  const all: number[] = [];
  for (let y = 0; y < plane.height; y++) {
    for (let x = 0; x < plane.width; x++) {
      const segment = segmentOf({ x, y });
      if (segment === 0) continue;
      const value = valueAt(plane, { x, y });
      if (value === undefined) continue;
      all.push(value);
      const known = bySegment.get(segment);
      if (known) known.push(value);
      else bySegment.set(segment, [value]);
    }
  }
  const segments = segmentsOf(level).map(([number, name]): Segment => {
    const spread = spreadOf(bySegment.get(number) ?? []);
    if (!spread || spread.n < LEAST_PIXELS) return { number, name, n: spread?.n ?? 0 };
    return { number, name, mean: spread.mean, sd: spread.sd, n: spread.n };
  });
  const whole = spreadOf(all);
  return { ...about, segments, ...(whole && { whole: { mean: whole.mean, sd: whole.sd, n: whole.n } }) };
}

/** Numbers of an image of labels. */
export interface HeartLabels {
  readonly wall: number;
  readonly leftBlood: number;
  readonly rightBlood: number;
}

/** The numbers of a legend's names; `undefined` where the labels are not those of a heart in short axis. */
export function heartLabels(legend: readonly { label: number; name: string }[]): HeartLabels | undefined {
  const [wall, leftBlood, rightBlood] = ["myocardium", "left_blood", "right_blood"].map((wanted) => legend.find(({ name }) => name === wanted)?.label);
  return wall === undefined || leftBlood === undefined || rightBlood === undefined ? undefined : { wall, leftBlood, rightBlood };
}

/**
 * Mean values of a map's segments where an image of labels has the wall, without the wall's
 * outermost pixels, which are part blood or part fat.
 *
 * The middle of the septum lies on the line between both ventricles' blood, the front where `front`
 * leads (columns and rows). `undefined` where the labels have no heart, or their front cannot be told.
 */
export function meansOnLabels(labels: Plane, numbers: HeartLabels, plane: Plane, front: Point, level: Level, about: MapAbout): Wall | undefined {
  if (labels.width !== plane.width || labels.height !== plane.height) return undefined;
  const isOf = (number: number) => (x: number, y: number) =>
    x >= 0 && y >= 0 && x < labels.width && y < labels.height && labels.values[y * labels.width + x] === number;
  const isWall = isOf(numbers.wall);
  const [center, right] = [numbers.leftBlood, numbers.rightBlood].map((number) => centroidOf(labels, isOf(number)));
  if (!center || !right) return undefined;
  // Angles are those in the patient: pixels need not be square.
  const [wideMm, tallMm] = plane.pixelMm;
  const inMm = ({ x, y }: Point) => ({ x: (x - center.x) * wideMm, y: (y - center.y) * tallMm });
  const septum = inMm(right);
  const across = { x: -septum.y, y: septum.x };
  const sense = Math.sign(across.x * front.x + across.y * front.y);
  if (sense === 0) return undefined;
  const segmentOf = ({ x, y }: Point) => {
    const isInner = isWall(x, y) && isWall(x - 1, y) && isWall(x + 1, y) && isWall(x, y - 1) && isWall(x, y + 1);
    if (!isInner) return 0;
    const at = inMm({ x, y });
    const angle = Math.atan2(sense * (at.x * across.x + at.y * across.y), at.x * septum.x + at.y * septum.y);
    return segmentAt(level, angle / (2 * Math.PI));
  };
  const wall = segmentMeans(plane, segmentOf, level, { ...about, origin: "labels" });
  return wall.whole && wall;
}

function centroidOf(plane: Plane, isIn: (x: number, y: number) => boolean): Point | undefined {
  const sum = { n: 0, x: 0, y: 0 };
  for (let y = 0; y < plane.height; y++) {
    for (let x = 0; x < plane.width; x++) {
      if (!isIn(x, y)) continue;
      sum.n++;
      sum.x += x;
      sum.y += y;
    }
  }
  return sum.n > 0 ? { x: sum.x / sum.n, y: sum.y / sum.n } : undefined;
}

/** What the server's meta attribute `BoresideMyocardium` says; `undefined` where it is no such report. */
export function wallOfReport(json: string): Wall | undefined {
  let report: unknown;
  try {
    report = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!isRecord(report) || !Array.isArray(report.segments)) return undefined;
  const segments = report.segments.filter(isRecord).map((segment): Segment => {
    const values = { number: Number(segment.segment), name: String(segment.name ?? ""), n: Number(segment.n ?? 0) };
    if (typeof segment.mean !== "number") return values;
    return { ...values, mean: segment.mean, sd: Number(segment.sd ?? 0) };
  });
  const { whole, reference } = report;
  return {
    quantity: String(report.quantity ?? ""),
    unit: String(report.unit ?? ""),
    segments: segments.filter(({ number }) => number >= 1 && number <= 16),
    origin: "server",
    ...(isRecord(whole) && { whole: { mean: Number(whole.mean), sd: Number(whole.sd), n: Number(whole.n) } }),
    ...(isRecord(reference) && referenceOf(reference)),
  };
}

function referenceOf(reference: Record<string, unknown>): Pick<Wall, "reference"> {
  const [low, high] = [Number(reference.low), Number(reference.high)];
  if (!Number.isFinite(low) || !Number.isFinite(high)) return {};
  return { reference: { low, high, source: String(reference.source ?? "") } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Walls of several slices as one: of segments that come twice, the later one; the whole is all of them. */
export function joined(walls: readonly Wall[]): Wall | undefined {
  const last = walls.at(-1);
  if (!last) return undefined;
  const segments = new Map<number, Segment>();
  for (const wall of walls) for (const segment of wall.segments) segments.set(segment.number, segment);
  const sorted = [...segments.values()].sort((a, b) => a.number - b.number);
  const { whole: _, ...about } = last;
  const whole = pooled(walls, (segment) => segments.get(segment.number) === segment);
  return { ...about, segments: sorted, ...(whole && { whole }) };
}

/**
 * Mean and standard deviation of all pixels of the walls that are shown, from those of each;
 * `undefined` where a wall does not tell its own, or is shown in part only.
 */
function pooled(walls: readonly Wall[], isShown: (segment: Segment) => boolean): Wall["whole"] {
  const shown = walls.filter(({ segments }) => segments.some(isShown));
  const wholes = shown.flatMap(({ segments, whole }) => (whole && segments.every(isShown) ? [whole] : []));
  const n = wholes.reduce((sum, whole) => sum + whole.n, 0);
  if (wholes.length < shown.length || n === 0) return undefined;
  const mean = wholes.reduce((sum, whole) => sum + whole.n * whole.mean, 0) / n;
  // Squares about the common mean: those within each wall, and those of the walls' means.
  const squares = wholes.reduce((sum, whole) => sum + (whole.n - 1) * whole.sd ** 2 + whole.n * (whole.mean - mean) ** 2, 0);
  return { mean, sd: n > 1 ? Math.sqrt(squares / (n - 1)) : 0, n };
}

/**
 * Where a segment lies in the bull's-eye: radii of 0 to 1 and angles, from the right,
 * counter-clockwise, in degrees.
 */
export function placeInBullsEye(segment: number): { inner: number; outer: number; fromDeg: number; toDeg: number } {
  if (segment <= 6) return ring(segment - 1, 6, 0.72, 1);
  if (segment <= 12) return ring(segment - 7, 6, 0.44, 0.72);
  return ring(segment - 13, 4, 0.16, 0.44);
}

/** Anterior above, then counter-clockwise. */
function ring(index: number, n: number, inner: number, outer: number) {
  const width = 360 / n;
  const middle = 90 + index * width;
  return { inner, outer, fromDeg: middle - width / 2, toDeg: middle + width / 2 };
}
