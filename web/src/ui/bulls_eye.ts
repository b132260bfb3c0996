/** The left ventricle's segments as a bull's-eye: base outside, apex inside, anterior above. */

import { colorsOf, placeOf, type PaletteName, type Range } from "../colors/palette";
import { decimalsOf, withUnit, written } from "../colors/ticks";
import { placeInBullsEye, type Segment, type Wall } from "../measure/segments";
import { cssColor } from "./color_bar";
import { el, svg } from "./element";

const RADIUS = 100;

const ORIGINS: Record<Wall["origin"], string> = {
  server: "from the server's contours",
  drawn: "from your contours",
  labels: "from the scan's labels, without the wall's outermost pixels",
};

export function bullsEye(wall: Wall, palette: PaletteName, range: Range, isReversed: boolean): HTMLElement {
  const colors = colorsOf(palette, range, isReversed);
  const decimals = decimalsOf(range);
  const known = new Map(wall.segments.map((segment) => [segment.number, segment]));
  const picture = svg("svg", { viewBox: "-112 -112 224 224", role: "img", class: "bulls-eye" });
  picture.setAttribute("aria-label", spoken(wall, decimals));
  for (let number = 1; number <= 16; number++) {
    const segment = known.get(number);
    const place = placeInBullsEye(number);
    const color = segment?.mean === undefined ? 0 : (colors[placeOf(segment.mean, range)] ?? 0);
    const middle = polar(((place.inner + place.outer) / 2) * RADIUS, (place.fromDeg + place.toDeg) / 2);
    const path = svg("path", {
      d: sector(place),
      class: segment ? "segment" : "segment absent",
      fill: segment?.mean === undefined ? "none" : cssColor(color),
      "data-segment": number,
    });
    path.append(svg("title", {}, segment ? titleOf(segment, wall.unit, decimals) : `${number}: not measured`));
    picture.append(path);
    if (segment) {
      const text = segment.mean === undefined ? "–" : written(segment.mean, decimals);
      const isBright = luminance(color) > 0.4 && segment.mean !== undefined;
      picture.append(
        svg("text", { x: middle.x, y: middle.y, class: isBright ? "on-bright" : "on-dark", "data-segment": number }, text),
      );
    }
  }
  const figure = el("figure", { class: "bulls-eye-figure" }, picture);
  const reference = wall.reference;
  const parts = [
    wall.whole && `wall ${written(wall.whole.mean, decimals)} ± ${withUnit(wall.whole.sd, wall.unit, decimals)} (n ${wall.whole.n})`,
    reference && `healthy ${written(reference.low, decimals)} to ${withUnit(reference.high, wall.unit, decimals)}${reference.source && ` (${reference.source})`}`,
    ORIGINS[wall.origin],
  ];
  figure.append(el("figcaption", {}, parts.filter(Boolean).join(" · ")));
  return figure;
}

function titleOf({ number, name, mean, sd, n }: Segment, unit: string, decimals: number): string {
  if (mean === undefined) return `${number} ${name}: too few pixels (n ${n})`;
  return `${number} ${name}: ${written(mean, decimals)} ± ${withUnit(sd ?? 0, unit, decimals)} (n ${n})`;
}

function spoken(wall: Wall, decimals: number): string {
  return `Bull's-eye of ${wall.quantity}. ${wall.segments.map((segment) => titleOf(segment, wall.unit, decimals)).join("; ")}`;
}

function polar(radius: number, angleDeg: number) {
  const angle = (angleDeg * Math.PI) / 180;
  return { x: round(radius * Math.cos(angle)), y: round(-radius * Math.sin(angle)) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function sector({ inner, outer, fromDeg, toDeg }: ReturnType<typeof placeInBullsEye>): string {
  const [a, b] = [polar(outer * RADIUS, fromDeg), polar(outer * RADIUS, toDeg)];
  const [c, d] = [polar(inner * RADIUS, toDeg), polar(inner * RADIUS, fromDeg)];
  const arc = (radius: number, sweep: number) => `A ${radius} ${radius} 0 0 ${sweep}`;
  return `M ${a.x} ${a.y} ${arc(outer * RADIUS, 0)} ${b.x} ${b.y} L ${c.x} ${c.y} ${arc(inner * RADIUS, 1)} ${d.x} ${d.y} Z`;
}

/** Relative luminance as WCAG defines it. */
export function luminance(color: number): number {
  const linear = (byte: number) => {
    const share = byte / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(color & 255) + 0.7152 * linear((color >> 8) & 255) + 0.0722 * linear((color >> 16) & 255);
}
