/** What keys do to the panel that is chosen. */

import { PALETTES } from "../colors/palette";
import { WHOLE } from "../measure/view";
import type { Action } from "./keys";
import type { Panel } from "./panel";
import { closePolygon } from "./pointer";
import type { ScanSection } from "./scan_section";
import { toPixels, toShares } from "./shared";

export interface PanelActions {
  windowChanged(panel: Panel): void;
  toggleEnlarged(panel: Panel): void;
  savePicture(panel: Panel): void;
  /** All panels that are seen or could be scrolled to, in their order. */
  inGrid(): HTMLElement[];
}

/** Whether something was done. */
export function actOnPanel(action: Action, { shared }: ScanSection, panel: Panel, host: PanelActions): boolean {
  switch (action.do) {
    case "frame":
      panel.goTo(panel.index + action.by);
      return true;
    case "panel": {
      const all = host.inGrid();
      all[all.indexOf(panel.element) + action.by]?.focus();
      return true;
    }
    case "play":
      panel.setPlaying(!panel.isPlaying);
      return true;
    case "zoom": {
      const projection = panel.projection();
      if (!projection) return false;
      const { width, height } = projection.screen;
      shared.setView(projection.zoomed(action.by, { x: width / 2, y: height / 2 }));
      return true;
    }
    case "cursor-x":
    case "cursor-y": {
      const plane = panel.plane();
      if (!plane) return false;
      const at = toPixels(shared.cursor ?? { x: 0.5, y: 0.5 }, plane);
      const [dx, dy] = action.do === "cursor-x" ? [action.by, 0] : [0, action.by];
      const within = (value: number, n: number) => Math.min(Math.max(Math.round(value), 0), n - 1);
      shared.setCursor(toShares({ x: within(at.x + dx, plane.width), y: within(at.y + dy, plane.height) }, plane));
      return true;
    }
    case "whole":
      shared.setView(WHOLE);
      return true;
    case "reset-window":
      panel.range = undefined;
      panel.palette = undefined;
      host.windowChanged(panel);
      return true;
    case "palette":
      panel.palette = PALETTES[(PALETTES.indexOf(panel.shownPalette()) + 1) % PALETTES.length];
      host.windowChanged(panel);
      return true;
    case "enlarge":
      host.toggleEnlarged(panel);
      return true;
    case "delete":
      if (shared.selected !== undefined) shared.removeRegion(shared.selected);
      return true;
    case "clear":
      shared.clear();
      return true;
    case "close-polygon":
      if (shared.drawing.open.length === 0) return false;
      closePolygon(panel);
      return true;
    case "picture":
      host.savePicture(panel);
      return true;
    default:
      return false;
  }
}
