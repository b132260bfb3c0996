/** What the page knows of the server: scans and their images, as many as a page can bear. */

import { create } from "@bufbuild/protobuf";
import type { Image } from "../proto/boreside/v1/images_pb";
import { Reset_Reason, type WatchResponse } from "../proto/boreside/v1/live_pb";
import { SessionSchema, SessionState, type Session } from "../proto/boreside/v1/sessions_pb";

/** An image of a scan. */
export interface ScanImage {
  /** Differs from that of every other image, also of one before a restart of the server. */
  readonly key: string;
  readonly image: Image;
  /** By this machine's clock. */
  readonly arrivedMs: number;
}

/** A session of the server, and what came of it. */
export interface Scan {
  /** Differs from that of every other scan, also of one before a restart of the server. */
  readonly key: string;
  session: Session;
  readonly images: ScanImage[];
  /** It is from before a restart, and the server has it no more. */
  isFromBefore: boolean;
}

export type Change =
  | { readonly kind: "scan"; readonly scan: Scan }
  | { readonly kind: "image"; readonly scan: Scan; readonly image: ScanImage }
  | { readonly kind: "gone"; readonly scans: readonly string[]; readonly images: readonly string[] }
  | { readonly kind: "restarted" }
  | { readonly kind: "caught-up" };

/** Scans and images beyond these numbers make room for newer ones, whole scans at a time. */
const MOST_SCANS = 60;
const MOST_IMAGES = 4000;

export class Store {
  private epoch = "";
  private readonly byKey = new Map<string, Scan>();
  private nImages = 0;
  /** Scans of this epoch that made room for others: what comes of them still is not wanted. */
  private readonly hadToGo = new Set<string>();
  /** Scans and images that the server has not told again since it began to tell everything anew. */
  private unconfirmed = new Set<string>();
  /** Between a restart of the server and its last old image. */
  private isRestarting = false;

  /** `isKept`: whether an image can be shown although the server has it no more. */
  constructor(
    private readonly onChange: (change: Change) => void,
    private readonly isKept: (imageKey: string) => boolean,
  ) {}

  /** The newest first. */
  scans(): Scan[] {
    return [...this.byKey.values()].sort(
      (a, b) => b.session.startedUnixMs - a.session.startedUnixMs || Number(b.session.id - a.session.id),
    );
  }

  scan(key: string): Scan | undefined {
    return this.byKey.get(key);
  }

  /** Takes an event of the server. */
  take(event: WatchResponse["event"], arrivedMs: number): void {
    switch (event.case) {
      case "hello":
        this.epoch = event.value.epoch;
        break;
      case "reset":
        this.reset(event.value.reason);
        break;
      case "session":
        this.takeSession(event.value);
        break;
      case "image":
        if (event.value.image) this.takeImage(event.value.image, arrivedMs);
        break;
      case "imagesRemoved":
        this.removeImages(event.value.ids.map((id) => this.imageKey(id)));
        break;
      case "caughtUp":
        this.endRestart();
        this.endReset();
        this.onChange({ kind: "caught-up" });
        break;
      default:
        break;
    }
  }

  imageKey(id: bigint): string {
    return `${this.epoch}:${id}`;
  }

  /** Whether the number of an image still means this image. */
  isOfThisServer({ key, image }: ScanImage): boolean {
    return key === this.imageKey(image.id);
  }

  private scanKey(id: bigint): string {
    return `${this.epoch}:${id}`;
  }

  private reset(reason: Reset_Reason): void {
    this.hadToGo.clear();
    if (reason === Reset_Reason.LAGGED) {
      // The same server tells everything anew: what is on the screen stays, and the reader's work on it.
      this.unconfirmed = new Set([...this.byKey.values()].flatMap(({ key, images }) => [scanMark(key), ...images.map((image) => image.key)]));
      return;
    }
    // A line that broke amid the old images of a restart: the server tells them anew.
    if (reason !== Reset_Reason.RESTARTED && !this.isRestarting) {
      this.forget([...this.byKey.values()]);
      return;
    }
    this.isRestarting = true;
    for (const scan of this.byKey.values()) {
      scan.isFromBefore = true;
      this.onChange({ kind: "scan", scan });
    }
    this.onChange({ kind: "restarted" });
  }

  /** What the server has again goes; so does what cannot be shown without it. */
  private endRestart(): void {
    if (!this.isRestarting) return;
    this.isRestarting = false;
    const scans = [...this.byKey.values()];
    const isThere = (scan: Scan) => scans.some((other) => !other.isFromBefore && isSame(other.session, scan.session));
    const isShown = (scan: Scan) => scan.images.some((image) => this.isKept(image.key));
    this.forget(scans.filter((scan) => scan.isFromBefore && (isThere(scan) || !isShown(scan))));
  }

  /** What the server has told again stays. */
  private endReset(): void {
    const gone = this.unconfirmed;
    if (gone.size === 0) return;
    this.unconfirmed = new Set();
    this.removeImages([...this.byKey.values()].flatMap(({ images }) => images.map(({ key }) => key).filter((key) => gone.has(key))));
    this.forget([...this.byKey.values()].filter(({ key, images }) => gone.has(scanMark(key)) && images.length === 0));
  }

  private takeSession(session: Session): void {
    const key = this.scanKey(session.id);
    this.unconfirmed.delete(scanMark(key));
    const known = this.byKey.get(key);
    const scan = known ?? { key, session, images: [], isFromBefore: false };
    scan.session = session;
    scan.isFromBefore = false;
    if (!known) {
      this.byKey.set(key, scan);
      this.makeRoom(scan);
    }
    this.onChange({ kind: "scan", scan });
  }

  private takeImage(image: Image, arrivedMs: number): void {
    const scanKey = this.scanKey(image.session);
    if (this.hadToGo.has(scanKey)) return;
    const key = this.imageKey(image.id);
    this.unconfirmed.delete(key);
    if (!this.byKey.has(scanKey)) this.takeSession(this.sessionOf(image));
    const scan = this.byKey.get(scanKey);
    if (!scan || scan.images.some((known) => known.key === key)) return;
    const found = { key, image, arrivedMs };
    scan.images.push(found);
    this.nImages++;
    this.makeRoom(scan);
    this.onChange({ kind: "image", scan, image: found });
  }

  /** The session of an image that outlived it: after a restart a server may have images alone. */
  private sessionOf(image: Image): Session {
    const isIts = (other: ScanImage) => other.image.id === image.id && other.image.readyUnixMs === image.readyUnixMs;
    const before = [...this.byKey.values()].find((scan) => scan.session.id === image.session && scan.images.some(isIts));
    if (before) return before.session;
    const startedUnixMs = image.readyUnixMs - (image.latency?.sinceStartMs ?? 0);
    return create(SessionSchema, { id: image.session, state: SessionState.ENDED, startedUnixMs, endedUnixMs: image.readyUnixMs });
  }

  private removeImages(keys: readonly string[]): void {
    const gone = new Set(keys);
    for (const scan of this.byKey.values()) {
      const left = scan.images.filter((image) => !gone.has(image.key));
      if (left.length === scan.images.length) continue;
      this.nImages -= scan.images.length - left.length;
      scan.images.splice(0, scan.images.length, ...left);
      this.onChange({ kind: "scan", scan });
    }
    this.onChange({ kind: "gone", scans: [], images: keys });
  }

  private makeRoom(newest: Scan): void {
    while (this.byKey.size > MOST_SCANS || this.nImages > MOST_IMAGES) {
      const oldest = this.scans().reverse().find((scan) => scan !== newest && hasEnded(scan.session));
      if (!oldest) return;
      this.hadToGo.add(oldest.key);
      this.forget([oldest]);
    }
  }

  private forget(scans: readonly Scan[]): void {
    if (scans.length === 0) return;
    for (const scan of scans) {
      this.byKey.delete(scan.key);
      this.nImages -= scan.images.length;
    }
    const images = scans.flatMap((scan) => scan.images.map((image) => image.key));
    this.onChange({ kind: "gone", scans: scans.map((scan) => scan.key), images });
  }
}

/** Scans and images have keys of one form. */
function scanMark(scanKey: string): string {
  return `scan ${scanKey}`;
}

function isSame(a: Session, b: Session): boolean {
  return a.id === b.id && Math.abs(a.startedUnixMs - b.startedUnixMs) < 1;
}

export function hasEnded(session: Session): boolean {
  return session.state === SessionState.ENDED || session.state === SessionState.FAILED;
}
