/** Values along a line, drawn. */

import { ticksOf, unitText, written, decimalsOf } from "../colors/ticks";
import type { Sample } from "../measure/profile";
import { el, svg } from "./element";

const [WIDTH, HEIGHT] = [300, 150];
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 8, 12, 26];

/** `sd`: standard deviations at the same places, drawn as a band. */
export function profilePlot(samples: readonly Sample[], unit: string, sd?: readonly Sample[]): HTMLElement {
  const values = samples.flatMap(({ value }) => (value === undefined ? [] : [value]));
  if (values.length < 2) return el("p", { class: "quiet" }, "There are no values along this line.");
  const spread = Math.max(...values) - Math.min(...values) || Math.abs(values[0] ?? 1) || 1;
  const [low, high] = [Math.min(...values) - 0.08 * spread, Math.max(...values) + 0.08 * spread];
  const length = samples.at(-1)?.distanceMm || 1;
  const x = (mm: number) => LEFT + (mm / length) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const clamp = (value: number) => Math.min(Math.max(value, low), high);

  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "profile", role: "img" });
  const decimals = decimalsOf([low, high]);
  picture.setAttribute(
    "aria-label",
    `Values along ${length.toFixed(1)} mm: from ${written(Math.min(...values), decimals)} to ${written(Math.max(...values), decimals)} ${unitText(unit)}`,
  );
  for (const value of ticksOf([low, high], 4)) {
    picture.append(
      svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "rule" }),
      svg("text", { x: LEFT - 4, y: y(value), class: "y-tick" }, written(value, Math.max(0, decimals - 1))),
    );
  }
  for (const mm of ticksOf([0, length], 4)) {
    picture.append(svg("text", { x: x(mm), y: HEIGHT - BOTTOM + 13, class: "x-tick" }, String(mm)));
  }
  picture.append(
    svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 2, class: "axis-name end" }, "mm"),
    svg("text", { x: 2, y: 9, class: "axis-name" }, unitText(unit)),
  );
  for (const run of runsOf(samples)) {
    const band = run.flatMap((i) => {
      const deviation = sd?.[i]?.value;
      const value = samples[i]?.value;
      return deviation === undefined || value === undefined ? [] : [{ at: x(samples[i]?.distanceMm ?? 0), value, deviation }];
    });
    if (band.length > 1) {
      const above = band.map(({ at, value, deviation }) => `${at},${y(clamp(value + deviation))}`);
      const below = band.reverse().map(({ at, value, deviation }) => `${at},${y(clamp(value - deviation))}`);
      picture.append(svg("polygon", { points: [...above, ...below].join(" "), class: "band" }));
    }
    const points = run.map((i) => `${x(samples[i]?.distanceMm ?? 0)},${y(samples[i]?.value ?? 0)}`);
    picture.append(svg("polyline", { points: points.join(" "), class: "curve" }));
  }
  return el("figure", {}, picture);
}

/** Places that follow each other and have values. */
function runsOf(samples: readonly Sample[]): number[][] {
  const runs: number[][] = [[]];
  samples.forEach((sample, i) => {
    if (sample.value === undefined) runs.push([]);
    else runs.at(-1)?.push(i);
  });
  return runs.filter((run) => run.length > 1);
}
