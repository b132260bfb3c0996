/** Pixels: as many as fit, the least lately used make room; fetched when they are to be seen. */

import { ElementType, type Image, type Pixels } from "../proto/boreside/v1/images_pb";
import type { Plane } from "../measure/plane";
import type { ScanImage } from "./store";

export interface Values {
  /** `[channel, z, y, x]`; of complex images the magnitude. */
  readonly values: Float32Array;
  /** `[channel, z, y, x]`; of complex images only. */
  readonly phases?: Float32Array;
  readonly shape: readonly [number, number, number, number];
}

const MOST_BYTES = 256 * 1024 * 1024;
const MOST_AT_ONCE = 4;

/** An image whose pixels are wanted. */
export type Wanted = Pick<ScanImage, "key" | "image">;

export class PixelStore {
  /** In the order of their last use. */
  private readonly kept = new Map<string, Values>();
  private nBytes = 0;
  private readonly wanted = new Map<string, Wanted>();
  /** What could not be fetched as the connection was gone. */
  private readonly failed = new Map<string, Wanted>();
  private readonly underWay = new Set<string>();
  /** What the server has no more. */
  private readonly lost = new Set<string>();

  /**
   * `fetch` gives the pixels of an image, or `undefined` where the server has it no more. `isOfServer`:
   * whether an image is one of the server as it runs now. After a restart the same number may be
   * another patient's image: what is older is never asked for.
   */
  constructor(
    private readonly fetch: (image: Image) => Promise<Pixels | undefined>,
    private readonly onArrival: (key: string) => void,
    private readonly isOfServer: (key: string) => boolean,
  ) {}

  has(key: string): boolean {
    return this.kept.has(key);
  }

  isLost(key: string): boolean {
    return !this.kept.has(key) && (this.lost.has(key) || !this.isOfServer(key));
  }

  /** Pixels of an image; where they are not there yet they are asked for. */
  get({ key, image }: Wanted): Values | undefined {
    const found = this.kept.get(key);
    if (found) {
      this.kept.delete(key);
      this.kept.set(key, found);
    } else if (!this.isLost(key) && !this.underWay.has(key)) {
      this.failed.delete(key);
      this.wanted.set(key, { key, image });
      this.fetchNext();
    }
    return found;
  }

  /** Pixels that are there; others are not asked for. */
  peek(key: string): Values | undefined {
    return this.kept.get(key);
  }

  /** The same, waited for; `undefined` where the server has them no more. */
  async fetched({ key, image }: Wanted): Promise<Values | undefined> {
    const found = this.kept.get(key);
    if (found || this.isLost(key)) return found;
    const pixels = await this.fetch(image);
    return pixels && valuesOf(pixels);
  }

  put(key: string, pixels: Pixels): void {
    const values = valuesOf(pixels);
    if (!values || this.kept.has(key)) return;
    this.wanted.delete(key);
    this.failed.delete(key);
    this.kept.set(key, values);
    this.nBytes += bytesOf(values);
    for (const [oldest, of] of this.kept) {
      if (this.nBytes <= MOST_BYTES || oldest === key) break;
      this.kept.delete(oldest);
      this.nBytes -= bytesOf(of);
    }
    this.onArrival(key);
  }

  drop(keys: readonly string[]): void {
    for (const key of keys) {
      const found = this.kept.get(key);
      if (found) this.nBytes -= bytesOf(found);
      this.kept.delete(key);
      this.wanted.delete(key);
      this.failed.delete(key);
      this.lost.delete(key);
    }
  }

  /** The connection is there again: what could not be fetched is tried once more. */
  retry(): void {
    for (const [key, wanted] of this.failed) this.wanted.set(key, wanted);
    this.failed.clear();
    this.fetchNext();
  }

  private fetchNext(): void {
    while (this.underWay.size < MOST_AT_ONCE) {
      // The one that was asked for last is most likely still on the screen.
      const next = [...this.wanted.values()].at(-1);
      if (!next) return;
      this.wanted.delete(next.key);
      if (!this.isOfServer(next.key)) {
        this.onArrival(next.key);
        continue;
      }
      this.underWay.add(next.key);
      void this.fetchOne(next);
    }
  }

  private async fetchOne(wanted: Wanted): Promise<void> {
    const { key, image } = wanted;
    try {
      const pixels = await this.fetch(image);
      if (pixels) {
        this.put(key, pixels);
      } else {
        this.lost.add(key);
        this.onArrival(key);
      }
    } catch {
      // The connection is gone, and says so elsewhere: `retry` asks again.
      this.failed.set(key, wanted);
    } finally {
      this.underWay.delete(key);
      this.fetchNext();
    }
  }
}

function bytesOf({ values, phases }: Values): number {
  return values.byteLength + (phases?.byteLength ?? 0);
}

/** Pixels as the server sends them, as values; `undefined` where their shape is not theirs. */
export function valuesOf(pixels: Pixels): Values | undefined {
  const [channels, z, y, x] = pixels.shape;
  if (channels === undefined || z === undefined || y === undefined || x === undefined) return undefined;
  const n = channels * z * y * x;
  const isComplex = pixels.elementType === ElementType.COMPLEX64;
  if (n === 0 || pixels.data.byteLength !== n * (isComplex ? 8 : 4)) return undefined;
  // A copy, in a buffer of its own: the message's bytes need not lie where floats may.
  const parts = new Float32Array(pixels.data.slice().buffer);
  const shape = [channels, z, y, x] as const;
  if (!isComplex) return { values: parts, shape };
  const [values, phases] = [new Float32Array(n), new Float32Array(n)];
  for (let i = 0; i < n; i++) {
    const [re, im] = [parts[2 * i] as number, parts[2 * i + 1] as number];
    values[i] = Math.hypot(re, im);
    phases[i] = Math.atan2(im, re);
  }
  return { values, phases, shape };
}

/** One plane of an image. */
export function planeOf(image: Image, values: Values, channel: number, z: number): Plane | undefined {
  const [channels, planes, height, width] = values.shape;
  if (channel >= channels || z >= planes) return undefined;
  const first = (channel * planes + z) * width * height;
  const [x = 1, y = 1] = image.geometry?.voxelSizeMm ?? [];
  return {
    values: values.values.subarray(first, first + width * height),
    width,
    height,
    zeroIsInvalid: image.zeroIsInvalid,
    pixelMm: [x > 0 ? x : 1, y > 0 ? y : 1],
  };
}
