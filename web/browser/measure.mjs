// Measures, with the real server, on this machine:
//
//   node browser/measure.mjs screen    from an image that is ready to its pixels on the screen
//   node browser/measure.mjs viewers   what five viewers change in a scan's own latency
//
// BORESIDE names the program; use a release build.

import { request } from "node:http";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { ImageService, WatchRequestSchema } from "../build/browser/proto.mjs";
import { launch, open, until } from "./page.mjs";
import { RealServer, simulate } from "./real_server.mjs";

const SCAN = ["molli", "--chain", "molli_t1", "--matrix", "192", "--channels", "8", "--snr", "60"];

const median = (values) => quantile(values, 0.5);

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round(share * (sorted.length - 1))];
}

function row(name, values) {
  const parts = [0.5, 0.95, 1].map((share) => quantile(values, share).toFixed(0).padStart(7));
  console.log(`${name.padEnd(44)} ${String(values.length).padStart(4)} ${parts.join(" ")}`);
}

const head = (unit) => console.log(`${"".padEnd(44)}    n  median     95 %   most  (${unit})`);

async function screen(server) {
  const browser = await launch();
  const page = await open(browser, server.url);
  await until(page, () => document.querySelector(".lamp")?.dataset.kind === "live");
  for (let i = 1; i <= 10; i++) {
    await simulate(server, [...SCAN, "--seed", String(i)]);
    await until(page, (n) => boreside.timings().filter(({ role }) => role.startsWith("T1")).length >= n, 3 * i);
  }
  const timings = await page.evaluate(() => boreside.timings());
  head("ms");
  row("ready to arrived", timings.map(({ readyUnixMs, arrivedUnixMs }) => arrivedUnixMs - readyUnixMs));
  row("arrived to seen", timings.map(({ arrivedUnixMs, shownUnixMs }) => shownUnixMs - arrivedUnixMs));
  row("ready to seen, all", timings.map(({ readyUnixMs, shownUnixMs }) => shownUnixMs - readyUnixMs));
  const maps = timings.filter(({ role }) => role.startsWith("T1"));
  row("ready to seen, maps", maps.map(({ readyUnixMs, shownUnixMs }) => shownUnixMs - readyUnixMs));
  await browser.close();
}

/** Five that are asked what the page asks, and throw away what they get: what viewers cost the server. */
async function fiveReaders(server) {
  const message = toBinary(WatchRequestSchema, create(WatchRequestSchema, { inlinePixelsUpToBytes: 1 << 20, inlinePicturesUpToIndex: 1 }));
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
  const calls = [];
  for (let i = 0; i < 5; i++) {
    const call = request(new URL("boreside.v1.LiveService/Watch", server.url), { method: "POST", headers: { "content-type": "application/grpc-web+proto" } });
    call.on("response", (response) => response.on("error", () => {}).resume());
    call.on("error", () => {});
    call.end(frame);
    calls.push(call);
  }
  await settled();
  return async () => calls.forEach((call) => call.destroy());
}

/** Five pages, which take the processor that the scan needs. */
async function fivePages(server) {
  const browser = await launch();
  for (let i = 0; i < 5; i++) {
    const page = await open(browser, server.url);
    await until(page, () => document.querySelector(".lamp")?.dataset.kind === "live");
  }
  await settled();
  return () => browser.close();
}

/** What there was already has been told and drawn. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 4000));

async function viewers(server) {
  const images = createClient(ImageService, createGrpcWebTransport({ baseUrl: server.url.replace(/\/$/, ""), httpVersion: "1.1" }));
  const kinds = {
    "no viewer": async () => async () => {},
    "five viewers elsewhere": () => fiveReaders(server),
    "five viewers on this machine": () => fivePages(server),
  };
  const latency = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  const processor = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  let seed = 0;
  async function scans(kind, n) {
    const close = await kinds[kind]();
    for (let i = 0; i < n; i++) {
      const before = await server.processorMs();
      await simulate(server, [...SCAN, "--seed", String(++seed)]);
      processor[kind].push((await server.processorMs()) - before);
      const { images: newest } = await images.listImages({ limit: 40 });
      const map = newest.filter(({ role }) => role === "T1").at(-1);
      latency[kind].push(map.latency.sinceLastReadoutMs);
    }
    await close();
  }
  await scans("no viewer", 2);
  latency["no viewer"] = [];
  processor["no viewer"] = [];
  for (let block = 0; block < 4; block++) for (const kind of Object.keys(kinds)) await scans(kind, 6);
  for (const [what, found] of [["last readout to T1 map ready", latency], ["the server's processor time for a scan", processor]]) {
    head(`ms, ${what}`);
    const without = median(found["no viewer"]);
    for (const [kind, values] of Object.entries(found)) {
      row(kind, values);
      if (kind !== "no viewer") console.log(`  change of the median: ${((100 * (median(values) - without)) / without).toFixed(1)} %`);
    }
  }
}

const what = { screen, viewers }[process.argv[2]];
if (!what || !process.env.BORESIDE) {
  console.error("usage: BORESIDE=target/release/boreside node browser/measure.mjs screen|viewers");
  process.exit(2);
}
const server = await RealServer.start();
try {
  await what(server);
} finally {
  await server.stop();
}
