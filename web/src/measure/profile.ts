/** Values along a line. */

import { valueAt, type Plane, type Point } from "./plane";

export interface Sample {
  /** From the line's beginning, mm. */
  readonly distanceMm: number;
  /** `undefined` where a pixel that it is made of has no value. */
  readonly value: number | undefined;
}

/**
 * Values along a line, at steps of at most half a pixel, between the four pixels about each place
 * (bilinear). No value is made up of one that is none.
 */
export function profileOf(plane: Plane, from: Point, to: Point): Sample[] {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const lengthMm = Math.hypot(dx * plane.pixelMm[0], dy * plane.pixelMm[1]);
  const n = Math.min(Math.max(Math.ceil(2 * Math.hypot(dx, dy)), 1), 4096);
  return Array.from({ length: n + 1 }, (_, i) => {
    const place = { x: from.x + (dx * i) / n, y: from.y + (dy * i) / n };
    return { distanceMm: (lengthMm * i) / n, value: between(plane, place) };
  });
}

function between(plane: Plane, { x, y }: Point): number | undefined {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [fx, fy] = [x - left, y - top];
  let sum = 0;
  for (const [column, wx] of [[left, 1 - fx], [left + 1, fx]] as const) {
    for (const [row, wy] of [[top, 1 - fy], [top + 1, fy]] as const) {
      if (wx * wy === 0) continue;
      const value = valueAt(plane, { x: column, y: row });
      if (value === undefined) return undefined;
      sum += wx * wy * value;
    }
  }
  return sum;
}
