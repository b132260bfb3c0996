/** Where a colour bar has its ticks, and how values are written. */

import type { Range } from "./palette";

/** Round values within a window: steps of 1, 2, 2.5 or 5 times a power of ten, about `wanted` of them. */
export function ticksOf([low, high]: Range, wanted = 6): number[] {
  const rough = (high - low) / Math.max(wanted, 1);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
  if (step === undefined) return [];
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return ticks.map((tick) => Number(tick.toPrecision(12)));
}

/** Decimals that values of a window are written with. */
export function decimalsOf([low, high]: Range): number {
  const width = Math.abs(high - low);
  if (!(width > 0)) return 1;
  return Math.min(Math.max(2 - Math.floor(Math.log10(width) + 1e-9), 0), 12);
}

/** A value as people read it. */
export function written(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return "no value";
  if (Math.abs(value) >= 1e7) return value.toExponential(2);
  return value.toFixed(decimals);
}

/** A unit as people write it. */
export function unitText(unit: string): string {
  const signs: Record<string, string> = { deg: "°", "10^-3 mm^2/s": "10⁻³ mm²/s", "mm^2/s": "mm²/s", "s^-1": "s⁻¹" };
  return signs[unit] ?? unit;
}

/** A mean with its standard deviation, one digit finer where that is small. */
export function meanText(mean: number, sd: number, unit: string, decimals: number): string {
  const finer = sd * 10 ** decimals < 9.95 ? decimals + 1 : decimals;
  return `${written(mean, finer)} ± ${withUnit(sd, unit, finer)}`;
}

/** A value with its unit. */
export function withUnit(value: number, unit: string, decimals: number): string {
  const text = written(value, decimals);
  const sign = unitText(unit);
  if (sign === "") return text;
  return sign === "°" ? text + sign : `${text} ${sign}`;
}
