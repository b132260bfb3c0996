// Measures, with the real server, on this machine:
//
//   node browser/measure.mjs screen    from an image that is ready to its pixels on the screen
//   node browser/measure.mjs viewers   what five viewers change in a scan's own latency
//
// BORESIDE names the program; use a release build.

import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { ImageService } from "../build/browser/proto.mjs";
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

async function viewers(server) {
  const images = createClient(ImageService, createGrpcWebTransport({ baseUrl: server.url.replace(/\/$/, ""), httpVersion: "1.1" }));
  const latency = { without: [], with: [] };
  let seed = 0;
  async function scans(kind, n) {
    for (let i = 0; i < n; i++) {
      await simulate(server, [...SCAN, "--seed", String(++seed)]);
      const { images: newest } = await images.listImages({ limit: 40 });
      const map = newest.filter(({ role }) => role === "T1").at(-1);
      latency[kind].push(map.latency.sinceLastReadoutMs);
    }
  }
  await scans("without", 2);
  latency.without = [];
  for (let block = 0; block < 4; block++) {
    await scans("without", 6);
    const browser = await launch();
    for (let i = 0; i < 5; i++) {
      const page = await open(browser, server.url);
      await until(page, () => document.querySelector(".lamp")?.dataset.kind === "live");
    }
    await scans("with", 6);
    await browser.close();
  }
  head("ms, last readout to T1 map ready");
  row("no viewer", latency.without);
  row("five viewers", latency.with);
  const change = (100 * (median(latency.with) - median(latency.without))) / median(latency.without);
  console.log(`change of the median: ${change.toFixed(1)} %`);
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
