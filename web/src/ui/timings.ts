/** How long it takes from an image that is ready to one that is seen. */

import type { Image } from "../proto/boreside/v1/images_pb";

export interface Timing {
  readonly id: string;
  readonly role: string;
  /** When the server had it, by the server's clock, ms since 1970. */
  readonly readyUnixMs: number;
  /** When it arrived and when it was on the screen, by this machine's clock. */
  readonly arrivedUnixMs: number;
  readonly shownUnixMs: number;
}

/** So many of the newest are kept. */
const MOST = 500;

export class Timings {
  private readonly waiting = new Map<string, { image: Image; arrivedMs: number }>();
  private readonly done = new Map<string, Timing>();
  private readonly channel = new MessageChannel();
  private drawn: string[] = [];

  /** `onShown`: images have come to the screen for the first time. */
  constructor(private readonly onShown: () => void) {
    this.channel.port1.addEventListener("message", () => this.painted());
    this.channel.port1.start();
  }

  arrived(key: string, image: Image, arrivedMs: number): void {
    this.waiting.set(key, { image, arrivedMs });
    trim(this.waiting);
  }

  /**
   * Pixels were drawn. New images are drawn while the browser makes a frame: the message comes when
   * that frame is painted.
   */
  shown(key: string): void {
    if (!this.waiting.has(key)) return;
    if (this.drawn.length === 0) this.channel.port2.postMessage(undefined);
    this.drawn.push(key);
  }

  /** From ready to seen, ms. `clockOffsetMs`: this machine's clock minus the server's. */
  delayMs(key: string, clockOffsetMs: number): number | undefined {
    const found = this.done.get(key);
    return found && Math.max(0, found.shownUnixMs - found.readyUnixMs - clockOffsetMs);
  }

  all(): Timing[] {
    return [...this.done.values()];
  }

  private painted(): void {
    for (const key of this.drawn.splice(0)) {
      const found = this.waiting.get(key);
      if (!found) continue;
      this.waiting.delete(key);
      const { image, arrivedMs } = found;
      this.done.set(key, {
        id: String(image.id),
        role: image.role,
        readyUnixMs: image.readyUnixMs,
        arrivedUnixMs: arrivedMs,
        shownUnixMs: Date.now(),
      });
    }
    trim(this.done);
    this.onShown();
  }
}

function trim(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    if (map.size <= MOST) return;
    map.delete(key);
  }
}
