/** Planes as one volume. */

import type { Volume } from "./nifti";

export interface PlacedPlane {
  /** `[y, x]`. */
  readonly values: Float32Array;
  readonly width: number;
  readonly height: number;
  /** 4 × 4 of this plane's first voxel on, LPS, mm. */
  readonly patientFromVoxel: readonly number[];
}

/** Millimetres within which places are the same. */
const SAME_MM = 0.01;

/**
 * Planes with their places, as a volume.
 *
 * Planes at one place follow each other in t; parallel ones at equal distances are the slices.
 * `undefined` where they are neither: they have no place together.
 */
export function stacked(planes: readonly PlacedPlane[]): Pick<Volume, "values" | "size" | "patientFromVoxel"> | undefined {
  const first = planes[0];
  if (!first) return undefined;
  const { width, height } = first;
  const isAlike = (plane: PlacedPlane) =>
    plane.width === width && plane.height === height && hasDirectionsOf(first, plane);
  if (!planes.every(isAlike)) return undefined;

  // Planes by place, the places along the normal.
  const normal = normalOf(first.patientFromVoxel);
  const groups: { at: number[]; along: number; planes: PlacedPlane[] }[] = [];
  for (const plane of planes) {
    const at = columnOf(plane.patientFromVoxel, 3);
    const found = groups.find((group) => distance(group.at, at) < SAME_MM);
    if (found) found.planes.push(plane);
    else groups.push({ at, along: dot(at, normal), planes: [plane] });
  }
  groups.sort((a, b) => a.along - b.along);
  const n = groups[0]?.planes.length ?? 0;
  if (groups.some((group) => group.planes.length !== n)) return undefined;

  const lowest = groups[0]?.at ?? [];
  let step = columnOf(first.patientFromVoxel, 2);
  if (groups.length > 1) {
    const next = groups[1]?.at ?? [];
    step = next.map((part, axis) => part - (lowest[axis] ?? 0));
    const expected = (i: number) => lowest.map((part, axis) => part + i * (step[axis] ?? 0));
    if (groups.some((group, i) => distance(group.at, expected(i)) > SAME_MM)) return undefined;
  }
  const values = new Float32Array(width * height * planes.length);
  groups.forEach((group, z) =>
    group.planes.forEach((plane, t) => values.set(plane.values, (t * groups.length + z) * width * height)),
  );
  const patientFromVoxel = [...first.patientFromVoxel];
  for (let axis = 0; axis < 3; axis++) {
    patientFromVoxel[4 * axis + 2] = step[axis] ?? 0;
    patientFromVoxel[4 * axis + 3] = lowest[axis] ?? 0;
  }
  return { values, size: [width, height, groups.length, n], patientFromVoxel };
}

function hasDirectionsOf(a: PlacedPlane, b: PlacedPlane): boolean {
  return [0, 1].every((axis) => distance(columnOf(a.patientFromVoxel, axis), columnOf(b.patientFromVoxel, axis)) < 1e-4);
}

function columnOf(matrix: readonly number[], column: number): number[] {
  return [0, 1, 2].map((row) => matrix[4 * row + column] ?? 0);
}

function normalOf(matrix: readonly number[]): number[] {
  const [x, y] = [columnOf(matrix, 0), columnOf(matrix, 1)];
  const part = (i: number, j: number) => (x[i] ?? 0) * (y[j] ?? 0) - (x[j] ?? 0) * (y[i] ?? 0);
  const cross = [part(1, 2), part(2, 0), part(0, 1)];
  const length = Math.hypot(...cross) || 1;
  // To the side that the matrix says.
  const sign = dot(cross, columnOf(matrix, 2)) < 0 ? -1 : 1;
  return cross.map((value) => (sign * value) / length);
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.hypot(...a.map((value, i) => value - (b[i] ?? 0)));
}
