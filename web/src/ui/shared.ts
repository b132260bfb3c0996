/** What all panels of one scan have in common: what of the image is seen, and what is drawn on it. */

import type { Point } from "../measure/plane";
import { WHOLE, type View } from "../measure/view";
import type { Region } from "../measure/region";
import type { Contours, Level } from "../measure/segments";

export type Tool = "window" | "pan" | "ellipse" | "polygon" | "line" | "segments";

/**
 * Places are shares of an image's width and height, so that they fit images of every matrix: 0 is
 * the outer edge of the first pixel, 1 that of the last.
 */
export interface Drawing {
  regions: { readonly name: string; region: Region }[];
  line: { from: Point; to: Point } | undefined;
  /** The contours of a bull's-eye, as far as they are drawn. */
  contours: Partial<Contours>;
  level: Level;
  /** Corners of a polygon that is not closed yet. */
  open: Point[];
  /** An ellipse that is being drawn. */
  preview: Region | undefined;
}

export class Shared {
  view: View = WHOLE;
  cursor: Point | undefined;
  selected: string | undefined;
  readonly drawing: Drawing = { regions: [], line: undefined, contours: {}, level: "mid", open: [], preview: undefined };

  /** `onChange`: `isDrawing` where more than the cursor changed. */
  constructor(private readonly onChange: (isDrawing: boolean) => void) {}

  setView(view: View): void {
    this.view = view;
    this.onChange(false);
  }

  setCursor(cursor: Point | undefined): void {
    this.cursor = cursor;
    this.onChange(false);
  }

  /** Tells that something was drawn. */
  drawn(): void {
    this.onChange(true);
  }

  addRegion(region: Region): void {
    const taken = new Set(this.drawing.regions.map(({ name }) => name));
    const names = Array.from({ length: 26 }, (_, i) => String.fromCharCode(65 + i));
    const name = names.find((name) => !taken.has(name));
    if (name === undefined) return;
    this.drawing.regions.push({ name, region });
    this.selected = name;
    this.drawn();
  }

  removeRegion(name: string): void {
    this.drawing.regions = this.drawing.regions.filter((region) => region.name !== name);
    if (this.selected === name) this.selected = this.drawing.regions.at(-1)?.name;
    this.drawn();
  }

  clear(): void {
    this.drawing.regions = [];
    this.drawing.line = undefined;
    this.drawing.contours = {};
    this.drawing.open = [];
    this.drawing.preview = undefined;
    this.selected = undefined;
    this.drawn();
  }
}

/** A place in pixels of an image, whose whole numbers are centres of pixels. */
export function toPixels({ x, y }: Point, size: { width: number; height: number }): Point {
  return { x: x * size.width - 0.5, y: y * size.height - 0.5 };
}

export function toShares({ x, y }: Point, size: { width: number; height: number }): Point {
  return { x: (x + 0.5) / size.width, y: (y + 0.5) / size.height };
}

/** A region in pixels of an image. */
export function regionInPixels(region: Region, size: { width: number; height: number }): Region {
  if (region.kind === "polygon") {
    return { kind: "polygon", points: region.points.map((point) => toPixels(point, size)) };
  }
  const [a, b] = region.radii;
  return { kind: "ellipse", center: toPixels(region.center, size), radii: [a * size.width, b * size.height] };
}

/** All four contours in pixels; `undefined` while one is missing. */
export function contoursInPixels(contours: Partial<Contours>, size: { width: number; height: number }): Contours | undefined {
  const { outer, inner, anteriorInsertion, inferiorInsertion } = contours;
  if (!outer || !inner || !anteriorInsertion || !inferiorInsertion) return undefined;
  return {
    outer: regionInPixels(outer, size),
    inner: regionInPixels(inner, size),
    anteriorInsertion: toPixels(anteriorInsertion, size),
    inferiorInsertion: toPixels(inferiorInsertion, size),
  };
}
