/** One place of the grid: an image, its colour bar, and what is to be read of it. */

import { colorPlane, colorsOf, isValid, labelColor, type PaletteName, type Range } from "../colors/palette";
import { decimalsOf, unitText, withUnit, written } from "../colors/ticks";
import { valueAt, type Plane } from "../measure/plane";
import { edgesOf, Projection, type Size } from "../measure/view";
import { isReversed, legendOf, paletteOf, rangeOf } from "../model/appearance";
import type { Frame, PanelContent } from "../model/arrangement";
import { planeOf, type PixelStore, type Values } from "../model/pixels";
import { ImageKind, type Image } from "../proto/boreside/v1/images_pb";
import { badge } from "./badge";
import { ColorBar } from "./color_bar";
import { button, el, setText } from "./element";
import { drawOverlay } from "./overlay";
import { toPixels, type Shared } from "./shared";
import { agoText, verdictOf } from "./wording";

/** What a panel needs of the page around it. */
export interface PanelHost {
  readonly pixels: PixelStore;
  serverNowMs(): number;
  /** An image is on the screen for the first time. */
  shown(frame: Frame): void;
  /** The reader went to another frame. */
  frameChanged(panel: Panel): void;
}

const CINE_MS = 150;
/** Frames that a window is made of. */
const MOST_FOR_WINDOW = 24;

export class Panel {
  readonly element: HTMLElement;
  readonly picture = el("div", { class: "picture" });
  index = 0;
  /** The reader's own window and colours. */
  range: Range | undefined;
  palette: PaletteName | undefined;
  isVisible = true;
  /** What is on the screen is not what it should be: pixels are still to come, or another frame was chosen. */
  isStale = true;
  /** The image at its own size: the browser scales it. */
  private readonly canvas = el("canvas", { class: "pixels" });
  private readonly overlay = el("canvas", { class: "overlay", "aria-hidden": "true" });
  private readonly message = el("p", { class: "picture-message" });
  private readonly bar = new ColorBar();
  private readonly title = el("h3");
  private readonly badgePlace = el("span", { class: "badge-place" });
  private readonly age = el("span", { class: "age" });
  private readonly remark = el("p", { class: "remark", hidden: true });
  private readonly readout = el("output", { class: "readout" });
  private readonly frames = el("div", { class: "frames" });
  private readonly slider = el("input", { type: "range", min: 0, value: 0, "aria-label": "frame" });
  private readonly frameText = el("span", { class: "frame-text" });
  private readonly play = button("▶", "play (space)", () => this.setPlaying(!this.isPlaying));
  private coloredAs = "";
  private cine: number | undefined;
  private automatic: { n: number; range: Range } | undefined;
  /** Of the picture on the screen, in CSS pixels: told, as asking for it makes the browser lay out the page at once. */
  private size: Size = { width: 0, height: 0 };

  constructor(
    public content: PanelContent,
    readonly shared: Shared,
    private readonly host: PanelHost,
  ) {
    this.picture.append(this.canvas, this.overlay, this.message);
    this.frames.append(this.play, this.slider, this.frameText);
    this.element = el(
      "article",
      { class: "panel", tabindex: 0 },
      el("header", {}, this.title, this.badgePlace, this.age),
      el("div", { class: "stage" }, this.picture, this.bar.element),
      el("footer", {}, this.remark, this.readout, this.frames),
    );
    this.slider.addEventListener("input", () => this.goTo(Number(this.slider.value)));
    this.update(content);
  }

  get frame(): Frame | undefined {
    return this.content.frames[this.index];
  }

  get image(): Image | undefined {
    return this.frame?.source.image;
  }

  get isPlaying(): boolean {
    return this.cine !== undefined;
  }

  /** Takes what came new. A panel that showed its last frame goes on to the new last one. */
  update(content: PanelContent): void {
    const before = this.frame;
    const wasLast = this.index === this.content.frames.length - 1;
    this.content = content;
    const same = before ? content.frames.findIndex((frame) => isSameFrame(frame, before)) : -1;
    const followsNewest = content.kind !== ImageKind.PICTURE && wasLast && !this.isPlaying;
    this.index = followsNewest || same < 0 ? Math.max(0, content.frames.length - 1) : same;
    if (content.kind === ImageKind.PICTURE && same < 0) this.index = 0;
    if (!before || !this.frame || !isSameFrame(before, this.frame)) this.isStale = true;
    this.describe();
  }

  goTo(index: number, isFollowing = false): void {
    const n = this.content.frames.length;
    if (n === 0) return;
    const wanted = ((index % n) + n) % n;
    if (wanted === this.index) return;
    this.index = wanted;
    this.describe();
    this.draw();
    if (!isFollowing) this.host.frameChanged(this);
  }

  setPlaying(isPlaying: boolean): void {
    if (isPlaying === this.isPlaying || (isPlaying && this.content.frames.length < 2)) return;
    if (isPlaying) {
      this.cine = window.setInterval(() => this.goTo(this.index + 1), CINE_MS);
    } else {
      window.clearInterval(this.cine);
      this.cine = undefined;
    }
    this.play.textContent = isPlaying ? "❚❚" : "▶";
    this.play.setAttribute("aria-label", isPlaying ? "pause (space)" : "play (space)");
  }

  /** Gives the canvases' memory back while nobody sees them; they are drawn anew when somebody does. */
  release(): void {
    this.blank();
    this.message.hidden = true;
    this.isStale = true;
  }

  /** No other image stands under the name of one that cannot be shown. */
  private blank(): void {
    for (const canvas of [this.canvas, this.overlay]) [canvas.width, canvas.height] = [0, 0];
    this.coloredAs = "";
    this.bar.hide();
    setText(this.readout, "");
  }

  /** The panel goes. */
  close(): void {
    this.setPlaying(false);
    this.element.remove();
  }

  values(): Values | undefined {
    const frame = this.frame;
    return frame && this.host.pixels.get(frame.source);
  }

  plane(): Plane | undefined {
    return this.frame && this.planeOf(this.frame);
  }

  /** The values of a frame, where they are there: else they are asked for. */
  planeOf({ source, channel, z }: Frame): Plane | undefined {
    const values = this.host.pixels.get(source);
    return values && planeOf(source.image, values, channel, z);
  }

  /** Asks for frames that are not there yet, as many as a window is made of, so that they can be played. */
  fetchAhead(): void {
    if (!this.isVisible) return;
    for (const { source } of this.content.frames.slice(0, MOST_FOR_WINDOW)) this.host.pixels.get(source);
  }

  /** Pixels of an image have come: it is seen, or the window is made of it too. */
  pixelsCame(imageKey: string): void {
    const hasWindow = this.range !== undefined || this.image?.window !== undefined;
    const frames = [this.frame, ...(hasWindow ? [] : this.content.frames.slice(0, MOST_FOR_WINDOW))];
    if (frames.some((frame) => frame?.source.key === imageKey)) this.isStale = true;
  }

  /** The window: the reader's, the server's, or one that fits. */
  shownRange(): Range {
    if (this.range) return this.range;
    const frames = this.content.frames;
    const first = frames[0]?.source;
    if (!first) return [0, 1];
    if (first.image.window) return rangeOf(first.image, new Float32Array());
    // One window for all frames: brightness does not jump from one to the next.
    const loaded = frames.slice(0, MOST_FOR_WINDOW).flatMap(({ source }) => {
      const values = this.host.pixels.peek(source.key);
      return values ? [{ image: source.image, values: values.values }] : [];
    });
    if (this.automatic?.n !== loaded.length) {
      const ranges = loaded.map(({ image, values }) => rangeOf(image, values));
      const range: Range = [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
      this.automatic = { n: loaded.length, range: loaded.length > 0 ? range : [0, 1] };
    }
    return this.automatic.range;
  }

  shownPalette(): PaletteName {
    return this.palette ?? (this.image ? paletteOf(this.image) : "grey");
  }

  projection(): Projection | undefined {
    const plane = this.plane();
    if (!plane) return undefined;
    if (this.size.width === 0 || this.size.height === 0) return undefined;
    return new Projection(this.size, plane, plane.pixelMm, this.shared.view);
  }

  /** The picture has another size on the screen. */
  resized({ width, height }: Size): void {
    this.size = { width, height };
    this.draw();
  }

  /** Draws image, bar and everything over them. */
  draw(): void {
    const frame = this.frame;
    if (!frame || !this.isVisible) return;
    const [plane, projection] = [this.plane(), this.projection()];
    if (!plane || !projection) {
      const isLost = this.host.pixels.isLost(frame.source.key);
      setText(this.message, isLost ? "The server does not have this image any more." : "loading …");
      this.message.hidden = plane !== undefined;
      if (isLost) this.blank();
      return;
    }
    this.message.hidden = true;
    const range = this.shownRange();
    this.color(frame, plane, range);
    // Values are shown as they are, pixel by pixel; only pictures are smoothed.
    this.canvas.classList.toggle("smooth", frame.source.image.kind === ImageKind.PICTURE);
    const at = projection.frame();
    Object.assign(this.canvas.style, { left: `${at.x}px`, top: `${at.y}px`, width: `${at.width}px`, height: `${at.height}px` });
    this.showBar(frame.source.image, range);
    this.drawOver();
    this.isStale = false;
    this.host.shown(frame);
  }

  /** Draws what lies over the image. */
  drawOver(): void {
    const [frame, plane, projection] = [this.frame, this.plane(), this.projection()];
    if (!frame || !plane || !projection || !this.isVisible) return;
    const context = fitted(this.overlay, projection.screen);
    const geometry = frame.source.image.geometry;
    if (context) {
      drawOverlay(context, projection, this.shared, {
        plane,
        unit: frame.source.image.unit,
        range: this.shownRange(),
        edges: geometry && geometry.readDir.length === 3 ? edgesOf(geometry.readDir, geometry.phaseDir) : undefined,
        hasSize: (geometry?.voxelSizeMm[0] ?? 0) > 0,
      });
    }
    setText(this.readout, this.readoutText());
  }

  /** Tells how old the image is. */
  tick(): void {
    const image = this.image;
    if (image) setText(this.age, agoText(this.host.serverNowMs() - image.readyUnixMs));
  }

  /** The picture with its drawings and its bar, as it is on the screen. */
  snapshot(): HTMLCanvasElement {
    const scale = window.devicePixelRatio || 1;
    const { width, height } = this.size;
    const barWidth = this.bar.element.querySelector(".bar-body") ? 84 : 0;
    const made = el("canvas", { width: (width + barWidth) * scale, height: (height + 26) * scale });
    const context = made.getContext("2d");
    if (!context) return made;
    context.scale(scale, scale);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width + barWidth, height + 26);
    const at = this.projection()?.frame();
    if (at) {
      context.save();
      context.beginPath();
      context.rect(0, 26, width, height);
      context.clip();
      context.imageSmoothingEnabled = this.canvas.classList.contains("smooth");
      context.imageSmoothingQuality = "high";
      context.drawImage(this.canvas, at.x, at.y + 26, at.width, at.height);
      context.restore();
    }
    context.drawImage(this.overlay, 0, 26, width, height);
    context.fillStyle = "#fff";
    context.font = "600 13px system-ui, sans-serif";
    context.textBaseline = "middle";
    const image = this.image;
    const verdict = image && verdictOf(image);
    context.fillText([this.title.textContent, verdict && `${verdict.sign} ${verdict.word}`].filter(Boolean).join("   "), 6, 13);
    const body = this.bar.element.querySelector(".bar-body");
    const colors = this.bar.element.querySelector("canvas");
    if (body && colors) {
      const top = 46;
      const tall = height - 30;
      context.drawImage(colors, width + 8, top, 16, tall);
      context.font = "12px system-ui, sans-serif";
      context.fillText(unitText(image?.unit ?? ""), width + 8, 34);
      for (const tick of body.querySelectorAll<HTMLElement>("span")) {
        context.fillText(tick.textContent ?? "", width + 30, top + (tall * parseFloat(tick.style.top)) / 100);
      }
    }
    return made;
  }

  private color(frame: Frame, plane: Plane, range: Range): void {
    const image = frame.source.image;
    const palette = this.shownPalette();
    const what = [frame.source.key, frame.channel, frame.z, palette, ...range].join();
    if (what === this.coloredAs) return;
    this.coloredAs = what;
    const { width, height, values } = plane;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const context = this.canvas.getContext("2d");
    const pixels = context?.createImageData(width, height);
    if (!context || !pixels) return;
    const into = new Uint32Array(pixels.data.buffer);
    if (image.kind === ImageKind.LABELS) {
      values.forEach((label, i) => (into[i] = labelColor(label)));
    } else if (image.kind === ImageKind.COLOR) {
      this.colorRgb(frame, pixels.data, width * height);
    } else {
      colorPlane(values, colorsOf(palette, range, isReversed(image)), range, image.zeroIsInvalid, into);
    }
    context.putImageData(pixels, 0, 0);
  }

  private colorRgb(frame: Frame, into: Uint8ClampedArray, n: number): void {
    const all = this.values();
    if (!all) return;
    const planes = all.shape[1];
    for (let i = 0; i < n; i++) {
      for (let channel = 0; channel < 3; channel++) {
        into[4 * i + channel] = all.values[(channel * planes + frame.z) * n + i] ?? 0;
      }
      into[4 * i + 3] = 255;
    }
  }

  private showBar(image: Image, range: Range): void {
    if (image.kind === ImageKind.COLOR) this.bar.hide();
    else if (image.kind === ImageKind.LABELS) this.bar.showLegend(legendOf(image));
    else this.bar.show(this.shownPalette(), range, isReversed(image), image.unit);
  }

  /** Value and place under the cursor. */
  private readoutText(): string {
    const [cursor, plane, frame] = [this.shared.cursor, this.plane(), this.frame];
    if (!cursor || !plane || !frame) return "";
    const place = toPixels(cursor, plane);
    const [x, y] = [Math.round(place.x), Math.round(place.y)];
    if (x < 0 || y < 0 || x >= plane.width || y >= plane.height) return "";
    return `${this.valueText(frame, plane, x, y)}  at ${x}, ${y}`;
  }

  private valueText(frame: Frame, plane: Plane, x: number, y: number): string {
    const image = frame.source.image;
    if (image.kind === ImageKind.LABELS) {
      const label = plane.values[y * plane.width + x] ?? 0;
      const name = legendOf(image).find((entry) => entry.label === label)?.name;
      return name ? `${label} ${name.replaceAll("_", " ")}` : String(label);
    }
    if (image.kind === ImageKind.COLOR) {
      const all = this.values();
      const n = plane.width * plane.height;
      const parts = [0, 1, 2].map((channel) => all?.values[(channel * all.shape[1] + frame.z) * n + y * plane.width + x] ?? 0);
      return `red, green, blue ${parts.map(Math.round).join(", ")}`;
    }
    const value = valueAt(plane, { x, y });
    if (value === undefined || !isValid(value, image.zeroIsInvalid)) return "no value";
    const text = withUnit(value, image.unit, decimalsOf(this.shownRange()));
    const phases = this.values()?.phases;
    if (!phases) return text;
    const first = (frame.channel * (this.values()?.shape[1] ?? 1) + frame.z) * plane.width * plane.height;
    return `${text}, ${written(phases[first + y * plane.width + x] ?? 0, 2)} rad`;
  }

  /** Title, badge, frames: what does not need pixels. */
  private describe(): void {
    const image = this.image;
    if (!image) return;
    const unit = unitText(image.unit);
    const name = unit === "" ? this.content.title : `${this.content.title} (${unit})`;
    setText(this.title, name);
    const verdict = image.kind === ImageKind.MAP ? verdictOf(image) : undefined;
    const place = this.badgePlace;
    const shown = verdict ? `${verdict.word}: ${verdict.reason}` : "";
    if (place.dataset.shown !== shown) {
      place.dataset.shown = shown;
      place.replaceChildren(...(verdict ? [badge(verdict)] : []));
    }
    // What a map's companions lack stands under the map.
    const isCompanion = image.kind === ImageKind.UNCERTAINTY || image.kind === ImageKind.GOODNESS_OF_FIT;
    const leftOut = isCompanion ? [] : image.unprocessed.map((gadget) => `${gadget} failed on it and was left out`);
    const remarks = [verdict && verdict.reason, ...leftOut];
    const remark = remarks.filter(Boolean).join("; ");
    setText(this.remark, remark);
    this.remark.hidden = remark === "";
    this.remark.className = `remark ${leftOut.length > 0 ? "check" : (verdict?.className ?? "")}`;
    Object.assign(this.element.dataset, { kind: ImageKind[image.kind], role: image.role, series: String(image.series), id: String(image.id) });
    this.element.setAttribute("aria-label", [name, verdict?.word].filter(Boolean).join(", "));
    const n = this.content.frames.length;
    this.frames.hidden = n < 2;
    this.slider.max = String(Math.max(0, n - 1));
    this.slider.value = String(this.index);
    const time = image.timesMs[0];
    const slices = new Set(this.content.frames.map(({ source }) => source.image.counters?.slice ?? 0));
    const slice = slices.size > 1 ? ` · slice ${image.counters?.slice ?? 0}` : "";
    const about = time !== undefined && image.timesMs.length === 1 ? `${slice} · ${written(time, 0)} ms` : slice;
    setText(this.frameText, `${this.index + 1}/${n}${about}`);
    this.tick();
  }
}

function isSameFrame(a: Frame, b: Frame): boolean {
  return a.source.key === b.source.key && a.channel === b.channel && a.z === b.z;
}

/** A canvas's context in CSS pixels, the canvas as fine as the screen. */
function fitted(canvas: HTMLCanvasElement, { width, height }: { width: number; height: number }): CanvasRenderingContext2D | null {
  const scale = window.devicePixelRatio || 1;
  const [wide, tall] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== tall) {
    canvas.width = wide;
    canvas.height = tall;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(scale, 0, 0, scale, 0, 0);
  return context;
}

