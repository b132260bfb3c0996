/** The bar beside an image: which colour is which value. */

import { colorsOf, labelColor, N_COLORS, placeOf, type PaletteName, type Range } from "../colors/palette";
import { decimalsOf, ticksOf, unitText, written } from "../colors/ticks";
import { el } from "./element";

const HEIGHT = 256;

export class ColorBar {
  readonly element = el("div", { class: "bar" });
  private readonly canvas = el("canvas", { class: "bar-colors", width: 1, height: HEIGHT, "aria-hidden": "true" });
  private readonly ticks = el("div", { class: "bar-ticks" });
  private readonly unit = el("div", { class: "bar-unit" });
  private shown = "";

  /** Colours from the lowest value, below, to the highest, above. */
  show(palette: PaletteName, range: Range, isReversed: boolean, unit: string): void {
    const what = [palette, ...range, isReversed, unit].join();
    if (what === this.shown) return;
    this.shown = what;
    this.element.replaceChildren(this.unit, el("div", { class: "bar-body" }, this.canvas, this.ticks));
    this.unit.textContent = unitText(unit);
    const colors = colorsOf(palette, range, isReversed);
    const context = this.canvas.getContext("2d");
    const pixels = context?.createImageData(1, HEIGHT);
    if (context && pixels) {
      const into = new Uint32Array(pixels.data.buffer);
      const [low, high] = range;
      for (let row = 0; row < HEIGHT; row++) {
        const value = high - ((row + 0.5) / HEIGHT) * (high - low);
        into[row] = colors[Math.min(placeOf(value, range), N_COLORS - 1)] ?? 0;
      }
      context.putImageData(pixels, 0, 0);
    }
    const decimals = decimalsOf(range);
    const values = ticksOf(range);
    // As many decimals as the ticks have, no more.
    const needed = Math.max(0, ...values.map((value) => (String(Number(value.toPrecision(6))).split(".")[1] ?? "").length));
    this.ticks.replaceChildren(
      ...values.map((value) => {
        const fromTop = (100 * (range[1] - value)) / (range[1] - range[0]);
        return el("span", { style: `top:${fromTop.toFixed(3)}%`, "data-value": value }, written(value, Math.min(needed, decimals + 1)));
      }),
    );
  }

  /** Names of labels. */
  showLegend(legend: readonly { label: number; name: string }[]): void {
    const what = legend.map(({ label, name }) => `${label} ${name}`).join();
    if (what === this.shown) return;
    this.shown = what;
    const rows = legend
      .filter(({ label }) => label > 0)
      .map(({ label, name }) => el("li", {}, el("i", { style: `background:${cssColor(labelColor(label))}` }), name.replaceAll("_", " ")));
    this.element.replaceChildren(el("ul", { class: "legend" }, ...rows));
  }

  hide(): void {
    this.shown = "";
    this.element.replaceChildren();
  }
}

export function cssColor(packed: number): string {
  return `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;
}
