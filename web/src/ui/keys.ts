/** What keys do: one list, for the page and for its help. */

import type { Tool } from "./shared";

export type Action =
  | { readonly do: "tool"; readonly tool: Tool }
  | { readonly do: "frame" | "panel" | "zoom" | "cursor-x" | "cursor-y"; readonly by: number }
  | {
      readonly do:
        | "play"
        | "whole"
        | "reset-window"
        | "palette"
        | "enlarge"
        | "back"
        | "newest"
        | "delete"
        | "clear"
        | "close-polygon"
        | "picture"
        | "details"
        | "help";
    };

interface Key {
  /** As `KeyboardEvent.key` has it; `Shift+` before it where that is held. */
  readonly key: string;
  readonly action: Action;
}

interface Entry {
  /** How the keys are called. */
  readonly keys: string;
  readonly what: string;
  readonly bound: readonly Key[];
}

const one = (key: string, action: Action): readonly Key[] => [{ key, action }];

export const KEYS: readonly { readonly title: string; readonly entries: readonly Entry[] }[] = [
  {
    title: "Tools",
    entries: [
      { keys: "W", what: "window: drag right for wider, up for brighter", bound: one("w", { do: "tool", tool: "window" }) },
      { keys: "P", what: "pan (or drag with Shift)", bound: one("p", { do: "tool", tool: "pan" }) },
      { keys: "E", what: "ellipse: mean ± standard deviation", bound: one("e", { do: "tool", tool: "ellipse" }) },
      { keys: "G", what: "polygon: click its corners, close at the first or with Enter", bound: one("g", { do: "tool", tool: "polygon" }) },
      { keys: "L", what: "line: values along it", bound: one("l", { do: "tool", tool: "line" }) },
      { keys: "B", what: "bull's-eye: both borders, then both insertion points", bound: one("b", { do: "tool", tool: "segments" }) },
      { keys: "Delete", what: "remove the region that is chosen", bound: [...one("Delete", { do: "delete" }), ...one("Backspace", { do: "delete" })] },
      { keys: "X", what: "remove all drawings", bound: one("x", { do: "clear" }) },
    ],
  },
  {
    title: "Image",
    entries: [
      { keys: "← →", what: "frame before, next frame", bound: [...one("ArrowLeft", { do: "frame", by: -1 }), ...one("ArrowRight", { do: "frame", by: 1 })] },
      { keys: "Space", what: "play, pause", bound: one(" ", { do: "play" }) },
      { keys: "+ −", what: "zoom (or Ctrl and wheel, or two fingers)", bound: [...one("+", { do: "zoom", by: 1.25 }), ...one("=", { do: "zoom", by: 1.25 }), ...one("-", { do: "zoom", by: 0.8 })] },
      { keys: "0", what: "whole image", bound: one("0", { do: "whole" }) },
      { keys: "R", what: "the window that the server gave", bound: one("r", { do: "reset-window" }) },
      { keys: "C", what: "next colours", bound: one("c", { do: "palette" }) },
      {
        keys: "Shift + arrows",
        what: "move the cursor: read values without a mouse",
        bound: [
          ...one("Shift+ArrowLeft", { do: "cursor-x", by: -1 }),
          ...one("Shift+ArrowRight", { do: "cursor-x", by: 1 }),
          ...one("Shift+ArrowUp", { do: "cursor-y", by: -1 }),
          ...one("Shift+ArrowDown", { do: "cursor-y", by: 1 }),
        ],
      },
      { keys: "S", what: "save as a picture", bound: one("s", { do: "picture" }) },
    ],
  },
  {
    title: "Page",
    entries: [
      { keys: "↑ ↓", what: "panel before, next panel", bound: [...one("ArrowUp", { do: "panel", by: -1 }), ...one("ArrowDown", { do: "panel", by: 1 })] },
      { keys: "F", what: "enlarge (or double click)", bound: one("f", { do: "enlarge" }) },
      { keys: "Esc", what: "give up a polygon; back to all", bound: one("Escape", { do: "back" }) },
      { keys: "N", what: "newest scan", bound: one("n", { do: "newest" }) },
      { keys: "D", what: "details", bound: one("d", { do: "details" }) },
      { keys: "?", what: "this help", bound: [...one("?", { do: "help" }), ...one("h", { do: "help" })] },
    ],
  },
];

const BY_KEY = new Map(KEYS.flatMap(({ entries }) => entries.flatMap(({ bound }) => bound)).map(({ key, action }) => [key, action]));

/** What a key does; `undefined` where it is not one of the page's, or belongs to the browser. */
export function actionOf(event: { key: string; shiftKey: boolean; ctrlKey: boolean; altKey: boolean; metaKey: boolean }): Action | undefined {
  if (event.ctrlKey || event.altKey || event.metaKey) return undefined;
  if (event.key === "Enter") return { do: "close-polygon" };
  const isArrow = event.key.startsWith("Arrow");
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return BY_KEY.get(isArrow && event.shiftKey ? `Shift+${key}` : key);
}
