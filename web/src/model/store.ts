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
  /** Between a restart of the server and its last old image. */
  private isRestarting = false;
  /** Between a reset and its end: scans and images of this epoch that the server has not told of again. */
  private unconfirmed: { readonly scans: Set<string>; readonly images: Set<string> } | undefined;

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
        // Where the last line broke amid a reset, this one begins with another.
        this.unconfirmed = undefined;
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
        this.dropUnconfirmed();
        this.endRestart();
        this.onChange({ kind: "caught-up" });
        break;
      default:
        break;
    }
  }

  /** Whether a scan or an image is one of the server as it runs now, and not of before its restart. */
  isOfServer(key: string): boolean {
    return key.startsWith(`${this.epoch}:`);
  }

  imageKey(id: bigint): string {
    return `${this.epoch}:${id}`;
  }

  private scanKey(id: bigint): string {
    return `${this.epoch}:${id}`;
  }

  /**
   * The server tells all that it has anew. What the page has of this epoch stays meanwhile, with
   * what is drawn on it; what is older is from before a restart.
   */
  private reset(reason: Reset_Reason): void {
    const scans = [...this.byKey.values()];
    const known = scans.filter(({ key }) => this.isOfServer(key));
    const images = known.flatMap((scan) => scan.images.map(({ key }) => key));
    this.unconfirmed = { scans: new Set(known.map(({ key }) => key)), images: new Set(images) };
    const older = scans.filter((scan) => !scan.isFromBefore && !this.isOfServer(scan.key));
    // A line may break between the greeting and the reset of a restart: the next reset gives no reason.
    if (reason !== Reset_Reason.RESTARTED && older.length === 0) return;
    this.isRestarting = true;
    this.hadToGo.clear();
    for (const scan of older) {
      scan.isFromBefore = true;
      this.onChange({ kind: "scan", scan });
    }
    this.onChange({ kind: "restarted" });
  }

  /** What the server did not tell of in a reset it has no more. */
  private dropUnconfirmed(): void {
    if (!this.unconfirmed) return;
    const { scans, images } = this.unconfirmed;
    this.unconfirmed = undefined;
    this.forget([...scans].flatMap((key) => this.byKey.get(key) ?? []));
    if (images.size > 0) this.removeImages([...images]);
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

  private takeSession(session: Session): void {
    const key = this.scanKey(session.id);
    if (this.hadToGo.has(key)) return;
    this.unconfirmed?.scans.delete(key);
    const known = this.byKey.get(key);
    const scan = known ?? { key, session, images: [], isFromBefore: false };
    scan.session = session;
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
    this.unconfirmed?.images.delete(key);
    // Images may outlive their session.
    this.unconfirmed?.scans.delete(scanKey);
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

function isSame(a: Session, b: Session): boolean {
  return a.id === b.id && Math.abs(a.startedUnixMs - b.startedUnixMs) < 1;
}

export function hasEnded(session: Session): boolean {
  return session.state === SessionState.ENDED || session.state === SessionState.FAILED;
}
