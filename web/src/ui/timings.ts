/** How long it takes from an image that is ready to one that is seen. */

import type { Image } from "../proto/boreside/v1/images_pb";

export interface Timing {
  readonly id: string;
  readonly role: string;
  /** From ready to here, by the server's clock, ms. */
  readonly onTheWayMs: number;
  /** From here to pixels drawn, ms. */
  readonly drawingMs: number;
}

/** So many of the newest are kept. */
const MOST = 500;

export class Timings {
  private readonly waiting = new Map<string, { image: Image; arrivedMs: number; onTheWayMs: number }>();
  private readonly done = new Map<string, Timing>();

  /** `serverMs`: the server's time when the image arrived. */
  arrived(key: string, image: Image, arrivedMs: number, serverMs: number): void {
    this.waiting.set(key, { image, arrivedMs, onTheWayMs: Math.max(0, serverMs - image.readyUnixMs) });
    trim(this.waiting);
  }

  shown(key: string): void {
    const found = this.waiting.get(key);
    if (!found) return;
    this.waiting.delete(key);
    const { image, arrivedMs, onTheWayMs } = found;
    this.done.set(key, { id: String(image.id), role: image.role, onTheWayMs, drawingMs: Date.now() - arrivedMs });
    trim(this.done);
  }

  delayMs(key: string): number | undefined {
    const found = this.done.get(key);
    return found && found.onTheWayMs + found.drawingMs;
  }

  all(): Timing[] {
    return [...this.done.values()];
  }
}

function trim(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    if (map.size <= MOST) return;
    map.delete(key);
  }
}
