// A server that is none: it says what a test wants said.
//
// It serves the built page and the rpcs that the page uses, and keeps Watch's promises: sequences,
// epochs, resets. What the real server says of itself is tested with the real one.

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { EventEmitter, once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import * as proto from "../build/browser/proto.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

export class PretendServer {
  epoch = "first";
  token = undefined;
  formats = [proto.FileFormat.MRD_STREAM];
  nWatchers = 0;
  nFetched = 0;
  nExported = 0;
  /** What it says to everybody instead of an answer. */
  refusal = undefined;
  #sequence = 0n;
  #events = [];
  /** Who has not seen what was before this one gets everything anew. */
  #firstKept = 0n;
  #sessions = new Map();
  #images = new Map();
  #bell = new EventEmitter().setMaxListeners(0);
  #http;
  #port = 0;

  async start(port = 0) {
    const handler = connectNodeAdapter({ routes: (router) => this.#routes(router) });
    this.#http = createServer((request, response) => {
      if (request.method === "GET") void this.#page(request, response);
      else handler(request, response);
    });
    this.#http.listen(port, "127.0.0.1");
    await once(this.#http, "listening");
    this.#port = this.#http.address().port;
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/`;
  }

  async stop() {
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, "close");
  }

  /** Stops, forgets all but what is kept, and starts again at the same place. */
  async restart({ keep = [] } = {}) {
    await this.stop();
    this.epoch += "'";
    this.#sequence = 0n;
    this.#firstKept = 0n;
    this.#events = [];
    for (const id of [...this.#sessions.keys()]) if (!keep.includes(id)) this.#sessions.delete(id);
    for (const [id, { image }] of [...this.#images]) if (!keep.includes(image.session)) this.#images.delete(id);
    this.#bell.emit("ring");
    await this.start(this.#port);
  }

  session(fields) {
    const before = this.#sessions.get(BigInt(fields.id));
    const session = create(proto.SessionSchema, { ...before, ...fields, id: BigInt(fields.id) });
    this.#sessions.set(session.id, session);
    this.#push({ case: "session", value: session });
  }

  /** `values`: as many as `shape` says. */
  image(fields, values) {
    const shape = fields.shape;
    const elementType = fields.elementType ?? proto.ElementType.FLOAT32;
    const data = new Uint8Array(Float32Array.from(values).buffer);
    const image = create(proto.ImageSchema, { readyUnixMs: Date.now(), elementType, nBytes: BigInt(data.length), ...fields, session: BigInt(fields.session), id: BigInt(fields.id) });
    const pixels = create(proto.PixelsSchema, { elementType, shape, data });
    this.#images.set(image.id, { image, pixels });
    this.#push({ case: "image", value: { image, pixels } });
  }

  remove(ids) {
    for (const id of ids) this.#images.delete(BigInt(id));
    this.#push({ case: "imagesRemoved", value: { ids: ids.map(BigInt) } });
  }

  /** Forgets scans and images, which nobody is told of. */
  forget({ sessions = [], images = [] }) {
    for (const id of sessions) this.#sessions.delete(BigInt(id));
    for (const [id, { image }] of this.#images) if (sessions.includes(Number(image.session)) || images.includes(Number(id))) this.#images.delete(id);
  }

  /** Has another image under the number of one, which nobody is told of. */
  swap(id, fields) {
    const { image, pixels } = this.#images.get(BigInt(id));
    this.#images.set(image.id, { image: create(proto.ImageSchema, { ...image, ...fields }), pixels });
  }

  /** Keeps no events: who comes back was away for too long. */
  forgetEvents() {
    this.#firstKept = ++this.#sequence;
    this.#events = [];
  }

  /** Breaks all connections. */
  breakConnections() {
    this.#http.closeAllConnections();
  }

  #push(event) {
    this.#events.push({ sequence: ++this.#sequence, unixMs: Date.now(), event });
    this.#bell.emit("ring");
  }

  #authorize(context) {
    if (this.refusal !== undefined) throw new ConnectError(this.refusal, Code.PermissionDenied);
    if (this.token !== undefined && context.requestHeader.get("authorization") !== `Bearer ${this.token}`) {
      throw new ConnectError("this server wants a token", Code.Unauthenticated);
    }
  }

  #routes(router) {
    const server = this;
    router.service(proto.LiveService, {
      async *watch(request, context) {
        server.#authorize(context);
        server.nWatchers++;
        try {
          yield* server.#watch(request, context.signal);
        } finally {
          server.nWatchers--;
        }
      },
    });
    router.service(proto.ImageService, {
      getImage({ id }, context) {
        server.#authorize(context);
        server.nFetched++;
        const found = server.#images.get(id);
        if (!found) throw new ConnectError("there is no such image", Code.NotFound);
        return found;
      },
      async *exportImages({ ids }) {
        server.nExported++;
        yield { fileName: "images.mrd", mediaType: "application/octet-stream", data: new TextEncoder().encode(`MRD ${ids}`) };
      },
    });
    router.service(proto.ServerService, {
      getServerInfo: () => ({
        server: { version: "pretend", epoch: this.epoch, nowUnixMs: Date.now(), scannerAddress: "127.0.0.1:9002", exportFormats: this.formats },
      }),
    });
  }

  async *#watch(request, signal) {
    const epoch = this.epoch;
    const at = () => ({ unixMs: Date.now() });
    yield { ...at(), event: { case: "hello", value: { epoch } } };
    let after = request.afterSequence;
    if (request.epoch !== epoch || after === 0n || after < this.#firstKept) {
      const { NEW, LAGGED, RESTARTED } = proto.Reset_Reason;
      const reason = request.epoch === "" ? NEW : request.epoch === epoch ? LAGGED : RESTARTED;
      yield { ...at(), event: { case: "reset", value: { reason } } };
      after = this.#sequence;
      for (const session of this.#sessions.values()) yield { ...at(), event: { case: "session", value: session } };
      const images = [...this.#images.values()];
      for (const [i, { image, pixels }] of images.entries()) {
        const isInline = i >= images.length - 64 && pixels.data.length <= request.inlinePixelsUpToBytes;
        yield { ...at(), event: { case: "image", value: isInline ? { image, pixels } : { image } } };
      }
    }
    let next = this.#events.findIndex(({ sequence }) => sequence > after);
    if (next < 0) next = this.#events.length;
    const missed = this.#events.length;
    for (; next < missed; next++) yield this.#events[next];
    yield { ...at(), sequence: this.#sequence, event: { case: "caughtUp", value: {} } };
    while (!signal.aborted && this.epoch === epoch) {
      for (; next < this.#events.length; next++) yield this.#events[next];
      await Promise.race([once(this.#bell, "ring"), once(signal, "abort")]).catch(() => {});
    }
  }

  async #page(request, response) {
    const path = new URL(request.url, this.url).pathname;
    const name = path === "/" ? "index.html" : path.slice(1).replaceAll("..", "");
    try {
      const content = await readFile(new URL(`../dist/${name}`, import.meta.url));
      response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "content-security-policy": POLICY });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  }
}
