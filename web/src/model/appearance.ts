/** How an image is shown unless somebody wishes otherwise. */

import { ImageKind, type Image } from "../proto/boreside/v1/images_pb";
import { PALETTES, type PaletteName, type Range } from "../colors/palette";

export interface Preset {
  readonly name: string;
  readonly range: Range;
}

/** Shares of the values that are darker and brighter than a window made of them. */
const DARKEST = 0.005;
const BRIGHTEST = 0.995;
/** Values that are looked at, about. */
const SAMPLE = 4096;
/** R² of fits that are worth a look: below, a fit is no fit. */
const FITS_WELL: Range = [0.8, 1];

export function paletteOf(image: Image): PaletteName {
  return PALETTES.find((name) => name === image.palette) ?? "grey";
}

/** Maps of rates have their colours turned round, such that long times look alike. */
export function isReversed(image: Image): boolean {
  return /^R[12]/.test(image.quantity) && image.kind !== ImageKind.GOODNESS_OF_FIT;
}

/** The server's window, or one that fits the values. */
export function rangeOf(image: Image, values: Float32Array): Range {
  if (image.window && image.window.width > 0) {
    const { center, width } = image.window;
    return [center - width / 2, center + width / 2];
  }
  if (image.kind === ImageKind.GOODNESS_OF_FIT) return FITS_WELL;
  return rangeOfValues(values, image.zeroIsInvalid);
}

/** Windows that were found already: values do not change. */
const found = new WeakMap<Float32Array, Range>();

/** A window that all but the outermost values lie in. */
export function rangeOfValues(values: Float32Array, zeroIsInvalid: boolean): Range {
  const known = found.get(values) ?? fittedTo(values, zeroIsInvalid);
  found.set(values, known);
  return known;
}

function fittedTo(values: Float32Array, zeroIsInvalid: boolean): Range {
  // Of large images every so many values.
  const step = Math.max(1, Math.floor(values.length / SAMPLE));
  const sample = new Float32Array(Math.ceil(values.length / step));
  let n = 0;
  for (let i = 0; i < values.length; i += step) {
    const value = values[i] as number;
    if (Number.isFinite(value) && !(zeroIsInvalid && value === 0)) sample[n++] = value;
  }
  if (n === 0) return [0, 1];
  const sorted = sample.subarray(0, n).sort();
  const at = (share: number) => sorted[Math.round(share * (n - 1))] ?? 0;
  const [low, high] = [at(DARKEST), at(BRIGHTEST)];
  if (high > low) return low > 0 && low < 0.2 * high ? [0, high] : [low, high];
  return [low - 0.5, low + 0.5];
}

/** Windows that readers know by name. */
export function presetsOf(image: Image): Preset[] {
  const around = (name: string, center: number, width: number): Preset => ({
    name,
    range: [center - width / 2, center + width / 2],
  });
  if (image.kind !== ImageKind.MAP) return [];
  switch (image.quantity) {
    case "T1":
      return [around("native", 1300, 1300), around("after contrast agent", 400, 300), around("all", 1250, 2500)];
    case "T2":
      return [around("heart", 60, 120), around("all", 150, 300)];
    case "T2STAR":
      return [around("heart", 30, 60), around("iron", 15, 30)];
    case "ECV":
      return [around("heart", 40, 80)];
    default:
      return [];
  }
}

/** Number and name of each label in the legend that labels carry in their comments. */
export function legendOf(image: Image): { label: number; name: string }[] {
  const text = image.comments.find((comment) => comment.startsWith("labels: "));
  const comments = text ?? image.meta.find(({ key }) => key === "ImageComments")?.values.find((value) => value.startsWith("labels: "));
  if (comments === undefined) return [];
  return comments
    .slice("labels: ".length)
    .split(",")
    .map((part) => /^\s*(\d+)\s+(.+)$/.exec(part))
    .flatMap((found) => (found ? [{ label: Number(found[1]), name: found[2] ?? "" }] : []));
}
