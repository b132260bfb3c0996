/** Which images stand together: frames in panels, panels side by side in groups. */

import { ImageKind, MotionState, type Image } from "../proto/boreside/v1/images_pb";
import type { ScanImage } from "./store";

/** One plane of one image. */
export interface Frame {
  readonly source: ScanImage;
  readonly channel: number;
  readonly z: number;
}

/** Images that are shown in one place, one after the other. */
export interface PanelContent {
  readonly key: string;
  readonly title: string;
  readonly kind: ImageKind;
  readonly frames: readonly Frame[];
}

/** Panels that belong side by side. */
export interface Group {
  readonly key: string;
  readonly panels: readonly PanelContent[];
}

/** Maps with their uncertainty come first, then pictures before and after motion correction, then what is left. */
export function arranged(images: readonly ScanImage[]): Group[] {
  const panels = new Map<string, ScanImage[]>();
  for (const image of images) {
    const key = panelKey(image.image);
    const found = panels.get(key);
    if (found) found.push(image);
    else panels.set(key, [image]);
  }
  const groups = new Map<string, PanelContent[]>();
  for (const [key, of] of panels) {
    const first = of[0];
    if (!first) continue;
    const group = groupKey(first.image);
    const panel = { key, title: titleOf(first.image), kind: first.image.kind, frames: framesOf(of) };
    groups.set(group, [...(groups.get(group) ?? []), panel]);
  }
  const sorted = [...groups].map(([key, panels]) => ({ key, panels: panels.sort(inGroup) }));
  return sorted.sort((a, b) => rankOf(a) - rankOf(b) || a.key.localeCompare(b.key, "en", { numeric: true }));
}

function panelKey(image: Image): string {
  return [image.kind, image.quantity, image.role, image.motion, image.series, image.component].join("/");
}

function groupKey(image: Image): string {
  if (isOfMap(image)) return `map/${image.quantity}`;
  if (image.motion !== MotionState.UNSPECIFIED) return "motion";
  return `series/${image.series}/${image.role}`;
}

function isOfMap(image: Image): boolean {
  const kinds = [ImageKind.MAP, ImageKind.UNCERTAINTY, ImageKind.GOODNESS_OF_FIT];
  return kinds.includes(image.kind) && image.quantity !== "";
}

function rankOf(group: Group): number {
  const kind = group.panels[0]?.kind;
  if (group.key.startsWith("map/")) return 0;
  if (group.key === "motion") return 1;
  return kind === ImageKind.LABELS || kind === ImageKind.COLOR ? 2 : 3;
}

/** Before the correction is to the left of after, the map of its uncertainty. */
function inGroup(a: PanelContent, b: PanelContent): number {
  const motion = (panel: PanelContent) => panel.frames[0]?.source.image.motion ?? 0;
  return a.kind - b.kind || motion(a) - motion(b) || seriesOf(a) - seriesOf(b);
}

function seriesOf(panel: PanelContent): number {
  return panel.frames[0]?.source.image.series ?? 0;
}

function framesOf(images: readonly ScanImage[]): Frame[] {
  const sorted = [...images].sort((a, b) => {
    const [p, q] = [a.image, b.image];
    const order = ["slice", "contrast", "set", "phase", "repetition", "average"] as const;
    for (const counter of order) {
      const difference = (p.counters?.[counter] ?? 0) - (q.counters?.[counter] ?? 0);
      if (difference !== 0) return difference;
    }
    return p.index - q.index || Number(p.id - q.id);
  });
  return sorted.flatMap((source) => {
    const [channels = 1, planes = 1] = source.image.shape;
    const n = source.image.kind === ImageKind.COLOR ? 1 : channels;
    return Array.from({ length: n * planes }, (_, i) => ({ source, channel: Math.floor(i / planes), z: i % planes }));
  });
}

/** What to call a panel. */
export function titleOf(image: Image): string {
  if (image.title !== "") return image.title;
  return image.role || `series ${image.series}`;
}

/** The frame of another panel that shows the same: same slice and, where there are several, same place in the series. */
export function frameLike(frames: readonly Frame[], wanted: Frame, index: number): number {
  const slice = (frame: Frame) => frame.source.image.counters?.slice ?? 0;
  const alike = (frame: Frame | undefined): boolean =>
    frame !== undefined && slice(frame) === slice(wanted) && frame.z === wanted.z;
  if (alike(frames[index])) return index;
  const found = frames.findIndex(alike);
  return found >= 0 ? found : Math.min(index, frames.length - 1);
}
