/** What mouse, pen and fingers do on an image. */

import type { Point } from "../measure/plane";
import { contains, type Region } from "../measure/region";
import type { Panel } from "./panel";
import { toShares, type Tool } from "./shared";

export interface PointerHost {
  tool(): Tool;
  activate(panel: Panel): void;
  /** Window or colours of a panel changed. */
  windowChanged(panel: Panel): void;
  /** Whether one finger scrolls the page instead. */
  isEnlarged(): boolean;
}

/** Drags shorter than this are clicks. */
const CLICK_PX = 4;

/** One drag: what happens while it lasts, and then: it ends or is given up. */
interface Drag {
  move(to: Point, dx: number, dy: number): void;
  end?(to: Point, isClick: boolean): void;
  /** It is given up: what it has drawn for a look goes. */
  cancel?(): void;
}

export function attachPointer(panel: Panel, host: PointerHost): void {
  const { picture, shared } = panel;
  const down = new Map<number, Point>();
  let drag: Drag | undefined;
  let start: Point = { x: 0, y: 0 };
  let last: Point = start;

  const placeOf = (event: PointerEvent | WheelEvent | MouseEvent): Point => {
    const box = picture.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const sharesOf = (at: Point): Point | undefined => {
    const [projection, plane] = [panel.projection(), panel.plane()];
    return projection && plane && toShares(projection.toImage(at), plane);
  };

  const giveUp = () => {
    drag?.cancel?.();
    drag = undefined;
  };

  picture.addEventListener("pointerdown", (event) => {
    host.activate(panel);
    const at = placeOf(event);
    down.set(event.pointerId, at);
    picture.setPointerCapture(event.pointerId);
    [start, last] = [at, at];
    if (down.size === 2) giveUp();
    else if (event.button === 1 || event.shiftKey) drag = panDrag(panel);
    else if (event.button === 2) drag = zoomDrag(panel, at);
    else if (event.button === 0) drag = dragOf(panel, host, at, sharesOf);
    if (event.button === 1) event.preventDefault();
  });

  picture.addEventListener("pointermove", (event) => {
    const at = placeOf(event);
    if (down.size === 2 && down.has(event.pointerId)) {
      pinch(panel, down, event.pointerId, at);
      down.set(event.pointerId, at);
      return;
    }
    shared.setCursor(sharesOf(at));
    if (!drag) return;
    drag.move(at, at.x - last.x, at.y - last.y);
    last = at;
  });

  const release = (event: PointerEvent) => {
    down.delete(event.pointerId);
    if (event.type === "pointercancel") giveUp();
    const ended = drag;
    drag = undefined;
    const at = placeOf(event);
    ended?.end?.(at, Math.hypot(at.x - start.x, at.y - start.y) < CLICK_PX);
  };
  picture.addEventListener("pointerup", release);
  picture.addEventListener("pointercancel", release);
  picture.addEventListener("pointerleave", () => {
    if (down.size === 0) shared.setCursor(undefined);
  });
  picture.addEventListener("contextmenu", (event) => event.preventDefault());
  picture.addEventListener(
    "wheel",
    (event) => {
      const isZoom = event.ctrlKey || event.altKey;
      // In the grid the wheel scrolls the page.
      if (!isZoom && !host.isEnlarged()) return;
      event.preventDefault();
      if (!isZoom && panel.content.frames.length > 1) {
        panel.goTo(panel.index + Math.sign(event.deltaY));
        return;
      }
      const projection = panel.projection();
      if (projection) shared.setView(projection.zoomed(Math.exp(-event.deltaY / 300), placeOf(event)));
    },
    { passive: false },
  );
}

function dragOf(panel: Panel, host: PointerHost, at: Point, sharesOf: (at: Point) => Point | undefined): Drag | undefined {
  const { shared } = panel;
  const from = sharesOf(at);
  switch (host.tool()) {
    case "pan":
      return panDrag(panel);
    case "window":
      return windowDrag(panel, host, from);
    case "ellipse": {
      const grabbed = from && grab(panel, from);
      return grabbed ?? (from && ellipseDrag(panel, from, sharesOf, (region) => shared.addRegion(region)));
    }
    case "line":
      return from && lineDrag(panel, from, sharesOf);
    case "polygon":
      return { move() {}, end: (to) => polygonPoint(panel, sharesOf(to)) };
    case "segments":
      return from && contourDrag(panel, from, sharesOf);
  }
}

function panDrag(panel: Panel): Drag {
  return {
    move(_, dx, dy) {
      const projection = panel.projection();
      if (projection) panel.shared.setView(projection.moved(dx, dy));
    },
  };
}

function zoomDrag(panel: Panel, at: Point): Drag {
  return {
    move(_to, _dx, dy) {
      const projection = panel.projection();
      if (projection) panel.shared.setView(projection.zoomed(Math.exp(-dy / 120), at));
    },
  };
}

/** To the right is wider, upwards is brighter: the level falls. A click selects the region under it. */
function windowDrag(panel: Panel, host: PointerHost, from: Point | undefined): Drag {
  return {
    move(_, dx, dy) {
      const [low, high] = panel.shownRange();
      const step = (high - low) / 250;
      const width = Math.max(high - low + dx * step, (high - low) / 100);
      const level = (low + high) / 2 + dy * step;
      panel.range = [level - width / 2, level + width / 2];
      host.windowChanged(panel);
    },
    end(_, isClick) {
      if (!isClick || !from) return;
      panel.shared.selected = regionAt(panel, from)?.name;
      panel.shared.drawn();
    },
  };
}

function regionAt(panel: Panel, place: Point): { readonly name: string; region: Region } | undefined {
  return [...panel.shared.drawing.regions].reverse().find(({ region }) => contains(region, place));
}

/** Moves the region under the pointer. */
function grab(panel: Panel, from: Point): Drag | undefined {
  const found = regionAt(panel, from);
  const plane = panel.plane();
  if (!found || !plane) return undefined;
  panel.shared.selected = found.name;
  panel.shared.drawn();
  return {
    move(_, dx, dy) {
      const projection = panel.projection();
      if (!projection) return;
      const by = { x: dx / projection.scale[0] / plane.width, y: dy / projection.scale[1] / plane.height };
      found.region = moved(found.region, by);
      panel.shared.drawn();
    },
  };
}

function moved(region: Region, by: Point): Region {
  const shift = ({ x, y }: Point) => ({ x: x + by.x, y: y + by.y });
  if (region.kind === "ellipse") return { ...region, center: shift(region.center) };
  return { kind: "polygon", points: region.points.map(shift) };
}

/** The ellipse in the box between two corners. */
function ellipseBetween(a: Point, b: Point): Region {
  return {
    kind: "ellipse",
    center: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
    radii: [Math.abs(b.x - a.x) / 2, Math.abs(b.y - a.y) / 2],
  };
}

function ellipseDrag(panel: Panel, from: Point, sharesOf: (at: Point) => Point | undefined, done: (region: Region) => void): Drag {
  const { shared } = panel;
  return {
    move(at) {
      const to = sharesOf(at);
      if (!to) return;
      shared.drawing.preview = ellipseBetween(from, to);
      shared.setCursor(to);
    },
    end(at, isClick) {
      shared.drawing.preview = undefined;
      const to = sharesOf(at);
      if (!isClick && to) done(ellipseBetween(from, to));
      else shared.drawn();
    },
    cancel() {
      shared.drawing.preview = undefined;
      shared.drawn();
    },
  };
}

function lineDrag(panel: Panel, from: Point, sharesOf: (at: Point) => Point | undefined): Drag {
  const { shared } = panel;
  const before = shared.drawing.line;
  return {
    move(at) {
      const to = sharesOf(at);
      if (!to) return;
      shared.drawing.line = { from, to };
      shared.drawn();
    },
    end(_, isClick) {
      if (!isClick) return;
      shared.drawing.line = undefined;
      shared.drawn();
    },
    cancel() {
      shared.drawing.line = before;
      shared.drawn();
    },
  };
}

/** A click adds a corner; one near the first closes the polygon. */
function polygonPoint(panel: Panel, place: Point | undefined): void {
  const { shared } = panel;
  const [projection, plane] = [panel.projection(), panel.plane()];
  if (!place || !projection || !plane) return;
  const { open } = shared.drawing;
  const first = open[0];
  if (first && open.length > 2) {
    const dx = (place.x - first.x) * plane.width * projection.scale[0];
    const dy = (place.y - first.y) * plane.height * projection.scale[1];
    if (Math.hypot(dx, dy) < 10) {
      closePolygon(panel);
      return;
    }
  }
  open.push(place);
  shared.drawn();
}

/** Makes a region of the corners that are there. */
export function closePolygon(panel: Panel): void {
  const { shared } = panel;
  const points = shared.drawing.open;
  shared.drawing.open = [];
  if (points.length > 2) shared.addRegion({ kind: "polygon", points });
  else shared.drawn();
}

/** Outer border, inner border, both insertion points, one after the other; then all anew. */
function contourDrag(panel: Panel, from: Point, sharesOf: (at: Point) => Point | undefined): Drag {
  const { shared } = panel;
  const contours = shared.drawing.contours;
  if (contours.inferiorInsertion) shared.drawing.contours = {};
  const next = shared.drawing.contours;
  if (!next.outer || !next.inner) {
    return ellipseDrag(panel, from, sharesOf, (region) => {
      shared.drawing.contours = next.outer ? { ...next, inner: region } : { outer: region };
      shared.drawn();
    });
  }
  return {
    move() {},
    end(at) {
      const place = sharesOf(at);
      if (!place) return;
      shared.drawing.contours = next.anteriorInsertion
        ? { ...next, inferiorInsertion: place }
        : { ...next, anteriorInsertion: place };
      shared.drawn();
    },
  };
}

/** Two fingers: their distance zooms, their middle moves. */
function pinch(panel: Panel, down: ReadonlyMap<number, Point>, moving: number, to: Point): void {
  const other = [...down].find(([id]) => id !== moving)?.[1];
  const from = down.get(moving);
  const projection = panel.projection();
  if (!other || !from || !projection) return;
  const distance = (a: Point) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
  const middle = { x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 };
  panel.shared.setView(projection.zoomed(distance(to) / distance(from), middle));
  const after = panel.projection();
  if (after) panel.shared.setView(after.moved((to.x - from.x) / 2, (to.y - from.y) / 2));
}

/** Where a reader's contours are, in words: what to draw next. */
export function contourHint(panel: Panel): string {
  const { outer, inner, anteriorInsertion, inferiorInsertion } = panel.shared.drawing.contours;
  if (!outer) return "Drag a box around the wall's outer border.";
  if (!inner) return "Drag a box around the wall's inner border.";
  if (!anteriorInsertion) return "Click where the right ventricle meets the wall at the front.";
  if (!inferiorInsertion) return "Click where it meets the wall at the back.";
  return "The bull's-eye is at the right. Drag again to begin anew.";
}

