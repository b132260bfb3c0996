/** One plane of values. */
export interface Plane {
  /** Row after row: `[y, x]`. */
  readonly values: Float32Array;
  readonly width: number;
  readonly height: number;
  readonly zeroIsInvalid: boolean;
  /** Edges of a pixel, `[x, y]`. */
  readonly pixelMm: readonly [number, number];
}

/** A place in an image, in pixels: whole numbers are the centres of pixels, 0 is the first. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The value at a place; `undefined` where there is none. */
export function valueAt(plane: Plane, { x, y }: Point): number | undefined {
  const [column, row] = [Math.round(x), Math.round(y)];
  if (column < 0 || row < 0 || column >= plane.width || row >= plane.height) return undefined;
  const value = plane.values[row * plane.width + column];
  const isValid = value !== undefined && Number.isFinite(value) && !(plane.zeroIsInvalid && value === 0);
  return isValid ? value : undefined;
}
