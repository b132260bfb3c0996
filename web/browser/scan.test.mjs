// A scan through the real server to the page: what is shown is what the scanner got.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium, colorAt, colorBar, launch, open, panel, placeOf, readoutAt, until } from "./page.mjs";
import { program, RealServer, simulate } from "./real_server.mjs";

const missing = !chromium() ? "install chromium" : !program ? "set BORESIDE to the program, e.g. target/debug/boreside" : false;
const SCAN = ["molli", "--chain", "molli_t1", "--matrix", "128", "--channels", "4", "--snr", "60", "--breathing", "free", "--breath-mm", "4"];

/** For people who want to see it: a folder for pictures. */
const pictures = process.env.SCREENSHOTS;

describe("a scan through the real server", { skip: missing && `skipped: ${missing}`, timeout: 300_000 }, () => {
  let [browser, server, page, wire] = [];
  const take = (name) => pictures && page.screenshot({ path: join(pictures, `${name}.png`) });
  const isThere = (selector) => until(page, (selector) => document.querySelector(selector) !== null, selector);
  const textOf = (selector) => page.$eval(selector, (element) => element.textContent);
  const withRole = (role) => wire.find((image) => image.role === role);

  before(async () => {
    server = await RealServer.start();
    browser = await launch();
    page = await open(browser, server.url);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("at the pace of the scanner, its map appears by itself", async () => {
    await until(page, () => document.querySelector(".lamp")?.dataset.kind === "live");
    assert.match(await textOf(".empty"), /No scan yet/);
    await take("1_before");
    await page.evaluate(() => (window.isSamePage = true));

    const scan = simulate(server, [...SCAN, "--pace", "realtime"]);
    await until(page, () => {
      const progress = document.querySelector(".scan progress");
      return progress && !progress.hidden && progress.value > 0.2 && progress.value < 1;
    });
    assert.equal(await textOf(".scan-state"), "scanning");
    await take("2_during");
    const { code, log, images } = await scan;
    assert.equal(code, 0, log);
    wire = images;
    for (const role of ["T1", "T1SD", "T1R2"]) await isThere(panel(role));
    await until(page, () => document.querySelector(".scan-state")?.textContent === "done");
    assert.ok(await page.evaluate(() => window.isSamePage), "without a reload");
    await page.click(`${panel("T1")} header`);
    await take("3_after");

    assert.match(await textOf(`${panel("T1")} .badge`), /accept|check|repeat/);
    const stages = await page.$$eval(".stages .stage-name", (names) => names.map((name) => name.textContent));
    assert.ok(stages.includes("map_t1") && stages.some((name) => name.startsWith("correct_motion")), `${stages}`);
    const facts = await textOf(".details");
    assert.match(facts, /after its last readout[\d.]+ m?s/);
    assert.match(facts, /on this screen after[\d.]+ m?s/);
  });

  test("values under the cursor are those that the scanner got", async () => {
    for (const role of ["T1", "T1SD"]) {
      const image = withRole(role);
      for (let i = 0; i < 12; i++) {
        const [x, y] = [20 + ((i * 37) % 88), 20 + ((i * 53) % 88)];
        const value = image.values[y * image.width + x];
        const expected = value === 0 ? "no value" : `${value.toFixed(0)} ms`;
        assert.equal(await readoutAt(page, role, x, y, image), `${expected}  at ${x}, ${y}`);
      }
    }
  });

  test("mean and spread in a region are those of the values that the scanner got", async () => {
    const image = withRole("T1");
    await page.keyboard.press("e");
    const [from, to] = [await placeOf(page, "T1", 54.5, 54.5, image), await placeOf(page, "T1", 73.5, 73.5, image)];
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    await page.mouse.move(to.x, to.y, { steps: 4 });
    await page.mouse.up();
    await isThere('tr[data-region="A"]');
    await take("4_region");
    const cells = await page.$eval('tr[data-region="A"][data-of="T1"]', (row) => [...row.cells].map((cell) => cell.textContent));
    const values = [];
    for (let y = 0; y < image.height; y++) {
      for (let x = 0; x < image.width; x++) {
        const isIn = ((x - 64) / 9.5) ** 2 + ((y - 64) / 9.5) ** 2 <= 1;
        const value = image.values[y * image.width + x];
        if (isIn && value > 0) values.push(value);
      }
    }
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const sd = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
    const [shown, shownSd] = /([\d.]+) ± ([\d.]+) ms/.exec(cells[2]).slice(1).map(Number);
    // A corner on the screen lies within half a screen pixel of where it should: at most a few
    // pixels at the rim are in one region and not in the other.
    assert.ok(Math.abs(parseInt(cells[3]) - values.length) <= 6, `${cells[3]}, ${values.length}`);
    assert.ok(Math.abs(shown - mean) < 0.03 * sd + 0.6, `${shown}, ${mean}`);
    assert.ok(Math.abs(shownSd - sd) < 0.05 * sd + 0.6, `${shownSd}, ${sd}`);
    await page.keyboard.press("x");
    await page.keyboard.press("w");
  });

  test("colours of the map and of its bar are those of the palette", async () => {
    const image = withRole("T1");
    const number = (key) => Number(new RegExp(`<name>${key}</name>\\s*<value>([^<]*)<`).exec(image.meta)[1]);
    const [center, width] = [number("WindowCenter"), number("WindowWidth")];
    const [low, high] = [center - width / 2, center + width / 2];
    const printed = execFileSync(program, ["palette", "lipari", "--from", String(low), "--to", String(high)], { encoding: "utf8" });
    const palette = printed.trim().split("\r\n").slice(3).map((row) => row.split(" ").map(Number));
    const colorOf = (value) => (value === 0 ? [0, 0, 0] : palette[Math.min(Math.max(Math.floor((256 * (value - low)) / (high - low)), 1), 255)]);
    for (const [x, y] of [[64, 64], [50, 64], [64, 45], [80, 70], [30, 64], [1, 1]]) {
      const value = image.values[y * image.width + x];
      assert.deepEqual(await colorAt(page, "T1", x, y, image), colorOf(value), `${value} ms at ${x}, ${y}`);
    }
    const bar = await colorBar(page, "T1");
    assert.equal(bar.unit, "ms");
    assert.ok(bar.ticks.length >= 3);
    for (const { value, text, share, color } of bar.ticks) {
      assert.equal(text, String(value));
      assert.ok(Math.abs(share - (high - value) / (high - low)) < 1e-4);
      // One of the bar's 256 rows to each side.
      const near = [-1, 0, 1].map((step) => colorOf(value + (step * width) / 256));
      assert.ok(near.some((known) => known.every((part, i) => Math.abs(part - color[i]) <= 2)), `${value}: ${color} is none of ${near.join(" | ")}`);
    }
  });

  test("a restarted server is found again, said to be, and shows new scans", async () => {
    const session = await page.$eval(".scan", (scan) => scan.dataset.session);
    await server.kill();
    await until(page, () => document.querySelector(".banner")?.dataset.kind === "lost");
    await take("5_away");
    await server.restart();
    await until(page, () => document.querySelector(".banner")?.textContent.includes("restarted"));
    assert.equal((await page.$$(`.scan[data-session="${session}"]`)).length, 1, "once");
    const { images } = await simulate(server, [...SCAN, "--seed", "2"]);
    await until(page, () => document.querySelectorAll('.panel[data-role="T1"]').length === 2);
    wire = images;
    const image = withRole("T1");
    const value = image.values[64 * image.width + 64];
    assert.equal(await readoutAt(page, "T1", 64, 64, image), `${value.toFixed(0)} ms  at 64, 64`);
    await take("6_again");
  });

  test("images that a killed server kept on disk are there once, with their values", async () => {
    const keeper = await RealServer.start("--keep-images");
    const other = await open(browser, keeper.url);
    try {
      const { images } = await simulate(keeper, ["molli", "--chain", "molli_t1", "--matrix", "64", "--channels", "2", "--snr", "60"]);
      const map = images.find(({ role }) => role === "T1");
      await until(other, (selector) => document.querySelector(selector), panel("T1"));
      await until(other, () => document.querySelector(".scan-state").textContent === "done");
      const before = await readoutAt(other, "T1", 32, 32, map);
      assert.equal(before, `${map.values[32 * 64 + 32].toFixed(0)} ms  at 32, 32`);
      await keeper.kill();
      await keeper.restart();
      await until(other, () => document.querySelector(".banner").textContent.includes("restarted"));
      await until(other, () => document.querySelector(".scan-state")?.textContent === "done");
      assert.equal((await other.$$(".scan")).length, 1);
      assert.equal((await other.$$(panel("T1"))).length, 1);
      await other.mouse.move(0, 0);
      assert.equal(await readoutAt(other, "T1", 32, 32, map), before);
      assert.deepEqual(other.faults, []);
    } finally {
      await other.close();
      await keeper.stop();
    }
  });

  test("a scan that cannot be reconstructed says why and what to do", async () => {
    await simulate(server, ["molli", "--matrix", "64", "--channels", "2", "--chain", "no_such_chain"]);
    await isThere(".scan-state.failed");
    const said = await textOf(".notice.error");
    assert.match(said, /no_such_chain/);
    await take("7_failed");
    assert.deepEqual(page.faults, []);
  });
});
