// Makes the README's picture of the viewer: node browser/picture.mjs ../docs/images/viewer.png

import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { launch, open, panel, placeOf, until } from "./page.mjs";
import { RealServer, simulate } from "./real_server.mjs";

const MOST_BYTES = 300_000;

const file = process.argv[2];
if (!file || !process.env.BORESIDE) {
  console.error("usage: BORESIDE=target/release/boreside node browser/picture.mjs PICTURE.png");
  process.exit(2);
}
const server = await RealServer.start();
const browser = await launch({ defaultViewport: { width: 1640, height: 815 } });
try {
  const page = await open(browser, server.url);
  await until(page, () => document.querySelector(".lamp")?.dataset.kind === "live");
  const heart = ["molli", "--chain", "molli_t1_segments", "--lesion", "infarct@-30:70", "--snr", "120", "--breathing", "free", "--breath-mm", "5"];
  const { code, log, images } = await simulate(server, heart);
  const map = images.find(({ role }) => role === "T1");
  if (code !== 0 || !map) throw new Error(`there is no map:\n${log}\n${server.log}`);
  await until(page, (selector) => document.querySelector(selector), panel("T1"));
  await until(page, () => document.querySelector(".scan-state")?.textContent === "done");
  await page.click(`${panel("T1")} header`);
  const middle = await placeOf(page, "T1", map.width / 2, map.height / 2, map);
  await page.mouse.move(middle.x, middle.y);
  await page.$eval(".scans", (scans) => scans.scrollTo(0, 0));
  await new Promise((resolve) => setTimeout(resolve, 500));
  await mkdir(dirname(file), { recursive: true });
  await page.screenshot({ path: file });
  const { size } = await stat(file);
  console.log(`${file}: ${Math.ceil(size / 1000)} kB`);
  if (size > MOST_BYTES) throw new Error(`that is more than ${MOST_BYTES / 1000} kB`);
} finally {
  await browser.close();
  await server.stop();
}
