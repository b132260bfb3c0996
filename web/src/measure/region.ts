/** Regions of interest: which pixels they hold, and what these are on average. */

import { valueAt, type Plane, type Point } from "./plane";

export type Region =
  | { readonly kind: "ellipse"; readonly center: Point; readonly radii: readonly [number, number] }
  | { readonly kind: "polygon"; readonly points: readonly Point[] };

export interface Statistics {
  readonly mean: number;
  /** Of a sample: divided by n − 1; 0 for one pixel. */
  readonly sd: number;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** Pixels with a value. */
  readonly n: number;
  /** Pixels without one. */
  readonly nInvalid: number;
  readonly areaMm2: number;
}

/** Whether the centre of a pixel lies in a region. */
export function contains(region: Region, { x, y }: Point): boolean {
  if (region.kind === "ellipse") {
    const [a, b] = region.radii;
    if (!(a > 0 && b > 0)) return false;
    return ((x - region.center.x) / a) ** 2 + ((y - region.center.y) / b) ** 2 <= 1;
  }
  let isIn = false;
  const points = region.points;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [p, q] = [points[i] as Point, points[j] as Point];
    if (p.y > y !== q.y > y && x < ((q.x - p.x) * (y - p.y)) / (q.y - p.y) + p.x) isIn = !isIn;
  }
  return isIn;
}

/** First and last column and row that a region may hold. */
export function boundsOf(region: Region, plane: { width: number; height: number }): [Point, Point] {
  const points =
    region.kind === "polygon"
      ? region.points
      : [-1, 1].map((sign) => ({
          x: region.center.x + sign * region.radii[0],
          y: region.center.y + sign * region.radii[1],
        }));
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  return [
    { x: Math.max(0, Math.floor(Math.min(...xs))), y: Math.max(0, Math.floor(Math.min(...ys))) },
    {
      x: Math.min(plane.width - 1, Math.ceil(Math.max(...xs))),
      y: Math.min(plane.height - 1, Math.ceil(Math.max(...ys))),
    },
  ];
}

/** Statistics of the valid pixels whose centres lie in a region; `undefined` where there are none. */
export function statisticsOf(plane: Plane, region: Region): Statistics | undefined {
  const [first, last] = boundsOf(region, plane);
  const values: number[] = [];
  let nInvalid = 0;
  for (let y = first.y; y <= last.y; y++) {
    for (let x = first.x; x <= last.x; x++) {
      if (!contains(region, { x, y })) continue;
      const value = valueAt(plane, { x, y });
      if (value === undefined) nInvalid++;
      else values.push(value);
    }
  }
  const spread = spreadOf(values);
  if (!spread) return undefined;
  const [x, y] = plane.pixelMm;
  return { ...spread, nInvalid, areaMm2: (spread.n + nInvalid) * x * y };
}

/** Mean, standard deviation and range of some values. */
export function spreadOf(values: readonly number[]): Omit<Statistics, "nInvalid" | "areaMm2"> | undefined {
  const n = values.length;
  if (n === 0) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted[(n - 1) >> 1] as number) / 2 + (sorted[n >> 1] as number) / 2;
  return {
    mean,
    sd: n > 1 ? Math.sqrt(squares / (n - 1)) : 0,
    median: middle,
    least: sorted[0] as number,
    most: sorted[n - 1] as number,
    n,
  };
}
