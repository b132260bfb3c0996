/** What is drawn over an image: regions, line, contours, cursor, the patient's sides, the scale. */

import { decimalsOf, meanText } from "../colors/ticks";
import type { Range } from "../colors/palette";
import type { Plane, Point } from "../measure/plane";
import { boundsOf, statisticsOf, type Region } from "../measure/region";
import { segmentOfPoint } from "../measure/segments";
import { roundLengthMm, type Projection } from "../measure/view";
import { contoursInPixels, regionInPixels, toPixels, type Shared } from "./shared";

/** Distinct for all kinds of colour vision, each with its letter beside it. */
const REGION_COLORS = ["#56b4e9", "#f0e442", "#ff9f6b", "#7fe0c0", "#e69fd0"];
const LINE_COLOR = "#ffffff";
const CONTOUR_COLOR = "#f0e442";

export interface Underneath {
  readonly plane: Plane;
  readonly unit: string;
  readonly range: Range;
  /** Letters of the patient's sides at the edges. */
  readonly edges: { left: string; right: string; top: string; bottom: string } | undefined;
  /** Whether pixels have a size. */
  readonly hasSize: boolean;
}

export function drawOverlay(context: CanvasRenderingContext2D, projection: Projection, shared: Shared, under: Underneath): void {
  const { width, height } = projection.screen;
  context.clearRect(0, 0, width, height);
  drawContours(context, projection, shared, under.plane);
  shared.drawing.regions.forEach(({ name, region }, i) => {
    const color = REGION_COLORS[i % REGION_COLORS.length] ?? LINE_COLOR;
    drawRegion(context, projection, under, name, regionInPixels(region, under.plane), color, name === shared.selected);
  });
  const { line, open, preview } = shared.drawing;
  if (preview) {
    stroke(context, LINE_COLOR, 1.5, () => outline(context, projection, regionInPixels(preview, under.plane)));
  }
  if (line) {
    stroke(context, LINE_COLOR, 1.5, () => path(context, projection, [line.from, line.to].map((p) => toPixels(p, under.plane))));
  }
  if (open.length > 0) {
    const points = open.map((point) => toPixels(point, under.plane));
    stroke(context, REGION_COLORS[0] ?? LINE_COLOR, 1.5, () => path(context, projection, points));
    for (const point of points) dot(context, projection.toScreen(point), REGION_COLORS[0] ?? LINE_COLOR);
  }
  if (shared.cursor) drawCursor(context, projection, toPixels(shared.cursor, under.plane));
  if (under.edges) drawEdges(context, projection, under.edges);
  if (under.hasSize) drawScale(context, projection);
}

function drawRegion(
  context: CanvasRenderingContext2D,
  projection: Projection,
  { plane, unit, range }: Underneath,
  name: string,
  region: Region,
  color: string,
  isSelected: boolean,
): void {
  stroke(context, color, isSelected ? 2.5 : 1.5, () => outline(context, projection, region));
  const statistics = statisticsOf(plane, region);
  const decimals = decimalsOf(range);
  const text = statistics
    ? `${name}  ${meanText(statistics.mean, statistics.sd, unit, decimals)}`
    : `${name}  no values`;
  const at = projection.toScreen(topOf(region));
  label(context, text, at.x, at.y - 9, color, "center");
}

function topOf(region: Region): Point {
  if (region.kind === "ellipse") return { x: region.center.x, y: region.center.y - region.radii[1] };
  return region.points.reduce((top, point) => (point.y < top.y ? point : top), region.points[0] ?? { x: 0, y: 0 });
}

function drawContours(context: CanvasRenderingContext2D, projection: Projection, shared: Shared, plane: Plane): void {
  const { contours, level } = shared.drawing;
  for (const region of [contours.outer, contours.inner]) {
    if (region) stroke(context, CONTOUR_COLOR, 1.5, () => outline(context, projection, regionInPixels(region, plane)));
  }
  for (const [point, text] of [[contours.anteriorInsertion, "ant"], [contours.inferiorInsertion, "inf"]] as const) {
    if (!point) continue;
    const at = projection.toScreen(toPixels(point, plane));
    dot(context, at, CONTOUR_COLOR);
    label(context, text, at.x, at.y - 10, CONTOUR_COLOR, "center");
  }
  const all = contoursInPixels(contours, plane);
  if (!all) return;
  // The middle of what is there of each segment bears its number.
  const sums = new Map<number, { x: number; y: number; n: number }>();
  const [first, last] = boundsOf(all.outer, plane);
  for (let y = first.y; y <= last.y; y++) {
    for (let x = first.x; x <= last.x; x++) {
      const segment = segmentOfPoint(all, level, { x, y }, plane.pixelMm);
      if (segment === 0) continue;
      const sum = sums.get(segment) ?? { x: 0, y: 0, n: 0 };
      sums.set(segment, { x: sum.x + x, y: sum.y + y, n: sum.n + 1 });
    }
  }
  for (const [segment, { x, y, n }] of sums) {
    const at = projection.toScreen({ x: x / n, y: y / n });
    label(context, String(segment), at.x, at.y, CONTOUR_COLOR, "center");
  }
}

function drawCursor(context: CanvasRenderingContext2D, projection: Projection, place: Point): void {
  const { x, y } = projection.toScreen(place);
  const [gap, arm] = [4, 10];
  stroke(context, "#ffffff", 1, () => {
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
      context.moveTo(x + gap * dx, y + gap * dy);
      context.lineTo(x + arm * dx, y + arm * dy);
    }
  });
}

function drawEdges(context: CanvasRenderingContext2D, { screen }: Projection, edges: NonNullable<Underneath["edges"]>): void {
  const [width, height] = [screen.width, screen.height];
  const color = "#e6edf3";
  label(context, edges.left, 6, height / 2, color, "left");
  label(context, edges.right, width - 6, height / 2, color, "right");
  label(context, edges.top, width / 2, 11, color, "center");
  label(context, edges.bottom, width / 2, height - 11, color, "center");
}

function drawScale(context: CanvasRenderingContext2D, { scale, pixelMm, screen }: Projection): void {
  const pixelsPerMm = scale[0] / pixelMm[0];
  const length = roundLengthMm((screen.width * 0.25) / pixelsPerMm);
  if (!(length > 0)) return;
  const [right, y] = [screen.width - 10, screen.height - 10];
  const left = right - length * pixelsPerMm;
  stroke(context, "#e6edf3", 2, () => {
    context.moveTo(left, y - 4);
    context.lineTo(left, y);
    context.lineTo(right, y);
    context.lineTo(right, y - 4);
  });
  label(context, length >= 10 ? `${length / 10} cm` : `${length} mm`, (left + right) / 2, y - 10, "#e6edf3", "center");
}

function outline(context: CanvasRenderingContext2D, projection: Projection, region: Region): void {
  if (region.kind === "ellipse") {
    const { x, y } = projection.toScreen(region.center);
    context.ellipse(x, y, region.radii[0] * projection.scale[0], region.radii[1] * projection.scale[1], 0, 0, 2 * Math.PI);
  } else {
    path(context, projection, region.points);
    context.closePath();
  }
}

function path(context: CanvasRenderingContext2D, projection: Projection, points: readonly Point[]): void {
  points.forEach((point, i) => {
    const { x, y } = projection.toScreen(point);
    if (i === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
  });
}

/** A line that is seen on bright and on dark. */
function stroke(context: CanvasRenderingContext2D, color: string, width: number, trace: () => void): void {
  for (const [style, wide] of [["rgb(0 0 0 / 0.75)", width + 2], [color, width]] as const) {
    context.beginPath();
    trace();
    context.strokeStyle = style;
    context.lineWidth = wide;
    context.stroke();
  }
}

function dot(context: CanvasRenderingContext2D, { x, y }: Point, color: string): void {
  context.beginPath();
  context.arc(x, y, 3.5, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.strokeStyle = "rgb(0 0 0 / 0.75)";
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}

/** Text with its outline, drawn once: outlines of letters are slow to draw. */
interface Sprite {
  readonly canvas: HTMLCanvasElement;
  readonly width: number;
}

const sprites = new Map<string, Sprite>();
const MOST_SPRITES = 200;
const SPRITE_HEIGHT = 20;
/** Room for the outline on each side. */
const MARGIN = 3;

function label(context: CanvasRenderingContext2D, text: string, x: number, y: number, color: string, align: "left" | "center" | "right"): void {
  const scale = window.devicePixelRatio || 1;
  const key = `${scale} ${color} ${text}`;
  const found = sprites.get(key) ?? sprite(text, color, scale);
  if (sprites.size >= MOST_SPRITES) sprites.clear();
  sprites.set(key, found);
  const left = { left: x - MARGIN, center: x - found.width / 2, right: x - found.width + MARGIN }[align];
  // On whole pixels of the screen, else it is blurred.
  const onPixel = (at: number) => Math.round(at * scale) / scale;
  context.drawImage(found.canvas, onPixel(left), onPixel(y - SPRITE_HEIGHT / 2), found.canvas.width / scale, SPRITE_HEIGHT);
}

function sprite(text: string, color: string, scale: number): Sprite {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (!context) return { canvas, width: 0 };
  const font = "600 12px system-ui, sans-serif";
  context.font = font;
  const width = Math.ceil(context.measureText(text).width) + 2 * MARGIN;
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.round(SPRITE_HEIGHT * scale);
  context.scale(scale, scale);
  context.font = font;
  context.textBaseline = "middle";
  context.lineWidth = 3.5;
  context.lineJoin = "round";
  context.strokeStyle = "rgb(0 0 0 / 0.85)";
  context.strokeText(text, MARGIN, SPRITE_HEIGHT / 2);
  context.fillStyle = color;
  context.fillText(text, MARGIN, SPRITE_HEIGHT / 2);
  return { canvas, width };
}
