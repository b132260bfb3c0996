// The real server, a simulated scanner, and what went over the wire between them.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { serve } from "../serve.mjs";

export const program = process.env.BORESIDE;

/** A server that has not ended after so long is killed: tests must not hang with it. */
const PATIENCE_MS = 15_000;

export class RealServer {
  #process;
  log = "";

  /** Starts it at free ports. */
  static async start(...options) {
    const server = new RealServer();
    server.options = options;
    server.data = await mkdtemp(join(tmpdir(), "boreside-viewer-"));
    await server.#spawn("127.0.0.1:0");
    // While one works on the page: as it is in dist/, not in the program.
    server.url = process.env.PAGES === "dist" ? await serve(server.http) : server.http;
    return server;
  }

  /** Processor time that the server has had, ms (Linux). */
  async processorMs() {
    const stat = await readFile(`/proc/${this.#process.pid}/stat`, "utf8");
    const [user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 13).map(Number);
    // Linux counts in hundredths of a second.
    return 10 * (user + system);
  }

  async #spawn(http) {
    const args = ["serve", "--listen", "127.0.0.1:0", "--http", http, "--data", this.data, ...this.options];
    this.#process = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#process.stderr.on("data", (text) => (this.log = (this.log + text).slice(-20_000)));
    const found = {};
    for await (const line of createInterface({ input: this.#process.stdout })) {
      const page = /http:\/\/\S+/.exec(line);
      if (page) found.page = page[0].replace(/\/?$/, "/");
      else found.scanner ??= Number(/:(\d+)\b/.exec(line)?.[1]);
      if (found.page && found.scanner) break;
    }
    if (!found.page) throw new Error(`the server did not start:\n${this.log}`);
    this.#process.stdout.resume();
    this.http = found.page;
    this.scannerPort = found.scanner;
  }

  /** At the same address for browsers. */
  async restart() {
    await this.kill();
    await this.#spawn(new URL(this.http).host);
  }

  async kill(signal = "SIGTERM") {
    // It may have ended by itself, or by a signal.
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const impatience = setTimeout(() => this.#process.kill("SIGKILL"), PATIENCE_MS);
    this.#process.kill(signal);
    await once(this.#process, "exit");
    clearTimeout(impatience);
  }

  async stop() {
    await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }
}

/**
 * Streams a simulated scan to a server.
 *
 * Gives the images that the scanner got, as they were on the wire, once the scan has ended.
 */
export async function simulate(server, args) {
  const wire = await tap(server.scannerPort);
  const scanner = spawn(program, ["simulate", ...args, "--to", `127.0.0.1:${wire.port}`], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  scanner.stderr.on("data", (text) => (log += text));
  const [code] = await once(scanner, "exit");
  wire.close();
  return { code, log, images: imagesOf(wire.bytes()) };
}

/** A port that leads to another one, and keeps what comes back. */
async function tap(port) {
  const pieces = [];
  const server = createServer((scanner) => {
    const onward = connect(port, "127.0.0.1");
    onward.on("data", (piece) => pieces.push(piece));
    scanner.pipe(onward).pipe(scanner);
    for (const socket of [scanner, onward]) socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, bytes: () => Buffer.concat(pieces), close: () => server.close() };
}

const [CLOSE, TEXT, IMAGE] = [4, 5, 1022];
const HEADER_BYTES = 198;
/** MRD's data types: bytes and how they are read. */
const TYPES = {
  1: [2, "readUInt16LE"],
  2: [2, "readInt16LE"],
  3: [4, "readUInt32LE"],
  4: [4, "readInt32LE"],
  5: [4, "readFloatLE"],
  6: [8, "readDoubleLE"],
};

/** Images of an MRD stream: role, sizes, series, and values in their unit. */
export function imagesOf(stream) {
  const images = [];
  let at = 0;
  while (at + 2 <= stream.length) {
    const id = stream.readUInt16LE(at);
    at += 2;
    if (id === CLOSE) break;
    if (id === TEXT) {
      at += 4 + stream.readUInt32LE(at);
      continue;
    }
    if (id !== IMAGE) throw new Error(`message ${id} at ${at}`);
    const header = stream.subarray(at, at + HEADER_BYTES);
    const nMeta = Number(stream.readBigUInt64LE(at + HEADER_BYTES));
    const meta = stream.subarray(at + HEADER_BYTES + 8, at + HEADER_BYTES + 8 + nMeta).toString();
    at += HEADER_BYTES + 8 + nMeta;
    const [width, height, depth] = [16, 18, 20].map((offset) => header.readUInt16LE(offset));
    const [bytes, read] = TYPES[header.readUInt16LE(2)];
    const n = width * height * depth * header.readUInt16LE(34);
    const valueOf = (key) => new RegExp(`<name>${key}</name>\\s*<value>([^<]*)</value>`).exec(meta)?.[1];
    const slope = Number(valueOf("RescaleSlope") ?? 1);
    const values = Float32Array.from({ length: n }, (_, i) => stream[read](at + bytes * i) * slope);
    at += bytes * n;
    const pixelMm = [header.readFloatLE(22) / width, header.readFloatLE(26) / height];
    images.push({ pixelMm, role: valueOf("GADGETRON_DataRole"), series: header.readUInt16LE(128), width, height, values, meta });
  }
  return images;
}
