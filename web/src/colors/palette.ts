/**
 * Colours of values: lipari for T1, navia for T2 and T2*, batlow for MD, FA and |E2A|, vik around a neutral 0, vikO
 * for angles of lines, of which −90° and 90° are one, grey for pictures.
 *
 * The first colour of a table is black and means that there is no value.
 */

import batlow from "../../../crates/pipeline/src/palette/batlow.txt";
import lipari from "../../../crates/pipeline/src/palette/lipari.txt";
import navia from "../../../crates/pipeline/src/palette/navia.txt";
import vik from "../../../crates/pipeline/src/palette/vik.txt";
import vikO from "../../../crates/pipeline/src/palette/viko.txt";

export type PaletteName = "lipari" | "navia" | "batlow" | "vik" | "vikO" | "grey";

export const PALETTES: readonly PaletteName[] = ["lipari", "navia", "batlow", "vik", "vikO", "grey"];

/** Those of relaxation times, whose long ones share few colours. */
const OF_RELAXATION: readonly PaletteName[] = ["lipari", "navia"];

/** Lowest and highest value of a window, in the image's unit. */
export type Range = readonly [low: number, high: number];

/** Colours of a palette. */
export const N_COLORS = 256;

/** Red, green and blue of 0 to 1, from dark to bright. */
type Table = readonly (readonly [number, number, number])[];

const TABLES: Record<PaletteName, Table> = {
  lipari: parse(lipari),
  navia: parse(navia),
  batlow: parse(batlow),
  vik: parse(vik),
  vikO: parse(vikO),
  grey: Array.from({ length: N_COLORS }, (_, place) => {
    const share = place / (N_COLORS - 1);
    return [share, share, share] as const;
  }),
};

function parse(text: string): Table {
  const rows = text.trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return rows.map(([red = 0, green = 0, blue = 0]) => [red, green, blue] as const);
}

/**
 * The colours of a window, 256 of them, each as red + 2⁸ green + 2¹⁶ blue + 2²⁴ · 255: what a
 * little-endian view of canvas pixels takes.
 *
 * Lipari and navia follow a curve that is linear up to a third (1/e) of the highest value and
 * logarithmic above; the others are linear.
 *
 * Source: Fuderer et al. 2025, color-map recommendation for relaxometry maps; the curve from its
 * supplement.
 */
export function colorsOf(name: PaletteName, [low, high]: Range, isReversed = false): Uint32Array {
  const table = isReversed ? [...TABLES[name]].reverse() : TABLES[name];
  const rows = OF_RELAXATION.includes(name) && high > 0 ? curve(low, high) : undefined;
  const colors = new Uint32Array(N_COLORS);
  for (let place = 0; place < N_COLORS; place++) {
    const [red, green, blue] = table[rows?.[place] ?? place] ?? [0, 0, 0];
    colors[place] = packed(255 * red, 255 * green, 255 * blue);
  }
  colors[0] = BLACK;
  return colors;
}

/** The table's row for each 256th of the window. */
function curve(low: number, high: number): Int32Array {
  const n = N_COLORS;
  const bend = high / Math.E;
  const from = Math.max(bend, low);
  const share = bend >= low ? (bend - low) / (2 * bend - low) : 0;
  const atBend = 1 / n + share + 1e-7;
  const rows = new Int32Array(n);
  for (let place = 1; place <= n; place++) {
    const value = (place * (high - low)) / n + low;
    let row = 1;
    if (value > from) {
      const logarithm = (Math.log(from) - Math.log(value)) / (Math.log(from) - Math.log(high));
      row = n * (logarithm * (1 - atBend) + atBend);
    } else if (low < bend && value > low) {
      row = n * (((value - low) / (bend - low)) * (atBend - 1 / n)) + 1;
    }
    rows[place - 1] = Math.min(Math.floor(row), n - 1);
  }
  return rows;
}

export function packed(red: number, green: number, blue: number): number {
  return ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
}

/** No value. */
export const BLACK = packed(0, 0, 0);

/** The colour of labels: distinct for all kinds of colour vision (Okabe and Ito 2008). */
const LABELS = [
  BLACK,
  packed(86, 180, 233),
  packed(213, 94, 0),
  packed(0, 158, 115),
  packed(240, 228, 66),
  packed(204, 121, 167),
  packed(230, 159, 0),
  packed(0, 114, 178),
  packed(170, 170, 170),
];

export function labelColor(label: number): number {
  if (!(label > 0)) return BLACK;
  return LABELS[1 + ((Math.round(label) - 1) % (LABELS.length - 1))] ?? BLACK;
}

/** Place of a value in a palette: 0 only for what is no value. */
export function placeOf(value: number, [low, high]: Range): number {
  const place = Math.floor(((value - low) / (high - low)) * N_COLORS);
  return Math.min(Math.max(place, 1), N_COLORS - 1);
}

/** Whether a value is one. */
export function isValid(value: number, zeroIsInvalid: boolean): boolean {
  return Number.isFinite(value) && !(zeroIsInvalid && value === 0);
}

/**
 * Colours a plane of values.
 *
 * `into`: a little-endian view of as many canvas pixels as there are values.
 */
export function colorPlane(
  values: Float32Array,
  colors: Uint32Array,
  range: Range,
  zeroIsInvalid: boolean,
  into: Uint32Array,
): void {
  const [low, high] = range;
  const scale = N_COLORS / (high - low);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (!Number.isFinite(value) || (zeroIsInvalid && value === 0)) {
      into[i] = BLACK;
      continue;
    }
    const place = (value - low) * scale;
    into[i] = colors[place < 1 ? 1 : place >= N_COLORS ? N_COLORS - 1 : place | 0] as number;
  }
}
