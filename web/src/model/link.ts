/** The line to the server: it watches, and when it breaks it is made again. */

import { Code, ConnectError, createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { FileFormat, ImageService, type Image, type Pixels } from "../proto/boreside/v1/images_pb";
import { LiveService, type WatchResponse } from "../proto/boreside/v1/live_pb";
import { ServerService, type ServerInfo } from "../proto/boreside/v1/server_pb";

export type LinkState =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** It broke, or the server refuses this page: why, and when it is tried again, by this machine's clock. */
  | { readonly kind: "lost"; readonly why: string; readonly isRefused: boolean; readonly sinceMs: number; readonly retryAtMs: number }
  /** The server wants a token, or another one. */
  | { readonly kind: "locked"; readonly isRefused: boolean }
  /** Nobody looks at the page. */
  | { readonly kind: "resting" };

export interface LinkEvents {
  state(state: LinkState): void;
  event(event: WatchResponse["event"], arrivedMs: number): void;
  server(info: ServerInfo): void;
}

/** Pixels up to so many bytes come with their image. */
const INLINE_BYTES = 1024 * 1024;
/** So many pictures of each series: the first is seen at once, the others when somebody looks. */
const INLINE_PICTURES = 1;
/** The server says something at least every 15 s. */
const SILENCE_MS = 40_000;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8_000;
/** A page that nobody sees gives its line back after so long: browsers have six for each server. */
const REST_AFTER_MS = 60_000;

const TOKEN = "boreside-token";

export class Link {
  private readonly images: Client<typeof ImageService>;
  private readonly live: Client<typeof LiveService>;
  private readonly serverInfo: Client<typeof ServerService>;
  private epoch = "";
  private sequence = 0n;
  private nFailures = 0;
  private lostSinceMs: number | undefined;
  private current: AbortController | undefined;
  private retryTimer: number | undefined;
  private restTimer: number | undefined;
  private isResting = false;
  /** This machine's clock minus the server's, ms: the least that was seen, which has the least delay. */
  private clockOffsetMs: number | undefined;

  constructor(
    origin: string,
    private readonly on: LinkEvents,
  ) {
    const authorize: Interceptor = (next) => (request) => {
      const token = sessionStorage.getItem(TOKEN);
      if (token) request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    const transport = createGrpcWebTransport({ baseUrl: origin, useBinaryFormat: true, interceptors: [authorize] });
    this.images = createClient(ImageService, transport);
    this.live = createClient(LiveService, transport);
    this.serverInfo = createClient(ServerService, transport);
  }

  start(): void {
    takeTokenFromAddress();
    window.addEventListener("online", () => this.reconnectNow());
    document.addEventListener("visibilitychange", () => this.seen(!document.hidden));
    void this.watch();
  }

  setToken(token: string): void {
    sessionStorage.setItem(TOKEN, token);
    this.reconnectNow();
  }

  reconnectNow(): void {
    window.clearTimeout(this.retryTimer);
    this.current?.abort();
    void this.watch();
  }

  /** The server's time of now, ms since 1970. */
  serverNowMs(): number {
    return Date.now() - (this.clockOffsetMs ?? 0);
  }

  /** Pixels of an image; `undefined` where the server has it no more, or has another one of this number. */
  async pixels(wanted: Image): Promise<Pixels | undefined> {
    try {
      const { image, pixels } = await this.images.getImage({ id: wanted.id });
      return image && isSameImage(image, wanted) ? pixels : undefined;
    } catch (error) {
      if (ConnectError.from(error).code === Code.NotFound) return undefined;
      throw error;
    }
  }

  /** Images as a file of the server's. */
  async exported(ids: bigint[], format: FileFormat): Promise<{ name: string; blob: Blob }> {
    const { epoch } = this;
    let [name, type] = ["", ""];
    const pieces: BlobPart[] = [];
    for await (const piece of this.images.exportImages({ ids, format })) {
      name ||= piece.fileName;
      type ||= piece.mediaType;
      pieces.push(piece.data.slice());
    }
    // A restart that the watch has not told of yet: the same numbers may be other images.
    const { server } = await this.serverInfo.getServerInfo({});
    if (server?.epoch !== epoch) throw new Error("the server was restarted meanwhile");
    return { name: name || "images", blob: new Blob(pieces, { type: type || "application/octet-stream" }) };
  }

  private seen(isSeen: boolean): void {
    window.clearTimeout(this.restTimer);
    if (isSeen) {
      if (this.isResting) {
        this.isResting = false;
        this.reconnectNow();
      }
      return;
    }
    this.restTimer = window.setTimeout(() => {
      this.isResting = true;
      window.clearTimeout(this.retryTimer);
      this.current?.abort();
      this.on.state({ kind: "resting" });
    }, REST_AFTER_MS);
  }

  /** One connection, until it breaks. */
  private async watch(): Promise<void> {
    const current = new AbortController();
    this.current = current;
    let silence: number | undefined;
    const heard = () => {
      window.clearTimeout(silence);
      silence = window.setTimeout(() => current.abort(new Error("the server has not been heard of for 40 s")), SILENCE_MS);
    };
    if (this.nFailures === 0) this.on.state({ kind: "connecting" });
    let why = "the connection was closed";
    let isRefused = false;
    try {
      heard();
      const request = { epoch: this.epoch, afterSequence: this.sequence, session: 0n, inlinePixelsUpToBytes: INLINE_BYTES, inlinePicturesUpToIndex: INLINE_PICTURES };
      for await (const { sequence, unixMs, event } of this.live.watch(request, { signal: current.signal })) {
        if (this.current !== current) return;
        heard();
        const arrivedMs = Date.now();
        if (event.case === "hello") this.greeted(event.value.epoch, unixMs, arrivedMs);
        // A line that breaks at once each time is not tried ever more often.
        if (event.case === "caughtUp") this.nFailures = 0;
        if (event.case === "alive" || event.case === "hello") this.setClock(arrivedMs - unixMs);
        this.on.event(event, arrivedMs);
        if (sequence > 0n) this.sequence = sequence;
      }
    } catch (error) {
      const found = ConnectError.from(error);
      if (found.code === Code.Unauthenticated) {
        window.clearTimeout(silence);
        if (this.current === current) this.on.state({ kind: "locked", isRefused: sessionStorage.getItem(TOKEN) !== null });
        return;
      }
      isRefused = found.code === Code.PermissionDenied;
      why = reasonOf(found, current.signal);
    }
    window.clearTimeout(silence);
    // Another connection has taken its place, or nobody looks.
    if (this.current !== current || this.isResting) return;
    this.lost(why, isRefused);
  }

  private greeted(epoch: string, unixMs: number, arrivedMs: number): void {
    if (epoch !== this.epoch) {
      this.epoch = epoch;
      this.sequence = 0n;
      this.clockOffsetMs = undefined;
    }
    this.lostSinceMs = undefined;
    this.setClock(arrivedMs - unixMs);
    this.on.state({ kind: "live" });
    void this.askServer();
  }

  private async askServer(): Promise<void> {
    try {
      const { server } = await this.serverInfo.getServerInfo({});
      if (server) this.on.server(server);
    } catch {
      // The watch tells what is wrong.
    }
  }

  private setClock(offsetMs: number): void {
    this.clockOffsetMs = Math.min(this.clockOffsetMs ?? Infinity, offsetMs);
  }

  private lost(why: string, isRefused: boolean): void {
    this.lostSinceMs ??= Date.now();
    // Half of the delay is chance, lest all viewers come back at once.
    const longest = Math.min(FIRST_DELAY_MS * 2 ** this.nFailures, LONGEST_DELAY_MS);
    const delayMs = longest * (0.5 + Math.random() / 2);
    this.nFailures++;
    this.on.state({ kind: "lost", why, isRefused, sinceMs: this.lostSinceMs, retryAtMs: Date.now() + delayMs });
    this.retryTimer = window.setTimeout(() => void this.watch(), delayMs);
  }
}

/** Numbers begin anew when the server does; time and session tell images of one number apart. */
function isSameImage(a: Image, b: Image): boolean {
  return a.id === b.id && a.session === b.session && a.readyUnixMs === b.readyUnixMs;
}

function reasonOf(error: ConnectError, signal: AbortSignal): string {
  if (signal.aborted && signal.reason instanceof Error) return signal.reason.message;
  if (error.code === Code.Unknown || error.code === Code.Unavailable || error.code === Code.Aborted) {
    const isBare = /fetch|network|load failed|input stream/i.test(error.rawMessage);
    return isBare || error.rawMessage === "" ? "it does not answer" : error.rawMessage;
  }
  return error.rawMessage;
}

/** `#token=…`: the part of an address that browsers send nowhere. */
function takeTokenFromAddress(): void {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  sessionStorage.setItem(TOKEN, token);
  history.replaceState(null, "", location.pathname + location.search);
}
