/** Where an image lies on the screen, and how it lies in the patient. */

import type { Point } from "./plane";

/** What of an image is shown. */
export interface View {
  /** 1: the whole image just fits. */
  readonly zoom: number;
  /** Place of the image in the middle of the screen, as a share of its width and height. */
  readonly center: Point;
}

export const WHOLE: View = { zoom: 1, center: { x: 0.5, y: 0.5 } };

const MOST_ZOOM = 40;

/** Size of something in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** From places in an image to places on the screen and back. */
export class Projection {
  /** Screen pixels for each image pixel, `[x, y]`. */
  readonly scale: readonly [number, number];
  private readonly origin: Point;

  constructor(
    readonly screen: Size,
    readonly image: Size,
    readonly pixelMm: readonly [number, number],
    readonly view: View,
  ) {
    const [x, y] = pixelMm;
    const fit = Math.min(screen.width / (image.width * x), screen.height / (image.height * y));
    this.scale = [fit * x * view.zoom, fit * y * view.zoom];
    this.origin = {
      x: screen.width / 2 - view.center.x * image.width * this.scale[0],
      y: screen.height / 2 - view.center.y * image.height * this.scale[1],
    };
  }

  /** Place on the screen of a place in the image, whose whole numbers are centres of pixels. */
  toScreen({ x, y }: Point): Point {
    return { x: this.origin.x + (x + 0.5) * this.scale[0], y: this.origin.y + (y + 0.5) * this.scale[1] };
  }

  toImage({ x, y }: Point): Point {
    return { x: (x - this.origin.x) / this.scale[0] - 0.5, y: (y - this.origin.y) / this.scale[1] - 0.5 };
  }

  /** Corner and size of the whole image on the screen. */
  frame(): Point & Size {
    const { width, height } = this.image;
    return { ...this.origin, width: width * this.scale[0], height: height * this.scale[1] };
  }

  /** The view that zooms by a factor and leaves a place of the screen where it is. */
  zoomed(factor: number, at: Point): View {
    const zoom = Math.min(Math.max(this.view.zoom * factor, 1), MOST_ZOOM);
    if (zoom === 1) return WHOLE;
    const place = this.toImage(at);
    const ratio = zoom / this.view.zoom;
    const [width, height] = [this.image.width, this.image.height];
    return {
      zoom,
      center: {
        x: (place.x + 0.5) / width + (this.screen.width / 2 - at.x) / (this.scale[0] * ratio * width),
        y: (place.y + 0.5) / height + (this.screen.height / 2 - at.y) / (this.scale[1] * ratio * height),
      },
    };
  }

  /** The view that moves the image by so much on the screen. */
  moved(dx: number, dy: number): View {
    const within = (share: number) => Math.min(Math.max(share, 0), 1);
    const { center, zoom } = this.view;
    const x = within(center.x - dx / (this.scale[0] * this.image.width));
    const y = within(center.y - dy / (this.scale[1] * this.image.height));
    return { zoom, center: { x, y } };
  }
}

/** Letters of the patient's sides, LPS: those that a direction leads to, the main one first. */
export function lettersOf(direction: readonly number[]): string {
  const sides = ["LR", "PA", "HF"].map((pair, axis) => {
    const part = direction[axis] ?? 0;
    return { letter: part >= 0 ? pair.charAt(0) : pair.charAt(1), share: Math.abs(part) };
  });
  // Below 0.3 (17°) a side is not worth a letter.
  return sides
    .filter((side) => side.share > 0.3)
    .sort((a, b) => b.share - a.share)
    .slice(0, 2)
    .map((side) => side.letter)
    .join("");
}

/** Letters at the edges of an image whose pixel axes lead to x and y. */
export function edgesOf(x: readonly number[], y: readonly number[]) {
  const back = (direction: readonly number[]) => direction.map((part) => -part);
  return { right: lettersOf(x), left: lettersOf(back(x)), bottom: lettersOf(y), top: lettersOf(back(y)) };
}

/** A round length that is at most so long, mm: 1, 2 or 5 times a power of ten. */
export function roundLengthMm(mostMm: number): number {
  if (!(mostMm > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(mostMm));
  return power * ([5, 2, 1].find((factor) => factor * power <= mostMm) ?? 1);
}
