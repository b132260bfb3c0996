// The page in a browser, against a server that says what a test wants said.

import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { ElementType, ImageKind, SessionState, Verdict_Decision } from "../build/browser/proto.mjs";
import { chromium, colorAt, colorBar, launch, open, panel, placeOf, readoutAt, until } from "./page.mjs";
import * as scan from "./pretend_scan.mjs";
import { PretendServer } from "./pretend_server.mjs";

const SIZE = { width: scan.SIZE, height: scan.SIZE };
const ended = (id) => ({ id, state: SessionState.ENDED, endedUnixMs: Date.now(), endReason: "CLOSE" });

const isThere = (page, selector) => until(page, (selector) => document.querySelector(selector) !== null, selector);
const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent);
const isLive = (page) => until(page, () => document.querySelector(".lamp")?.dataset.kind === "live");

describe("the page alone", { skip: chromium() ? false : "skipped: install chromium" }, () => {
  let [browser, server, page] = [];

  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
  beforeEach(async () => {
    server = await new PretendServer().start();
  });
  afterEach(async () => {
    const faults = page?.faults ?? [];
    await page?.close();
    await server.stop();
    assert.deepEqual(faults, [], "faults in the page");
  });

  async function opened() {
    page = await open(browser, server.url);
    await isLive(page);
  }

  /** A whole scan with its maps. */
  async function scanned(options) {
    server.session(scan.beginning(41));
    const next = scan.pictures(server, 41n, 1);
    const last = scan.maps(server, 41n, next, options);
    server.session(ended(41));
    await isThere(page, panel("T1"));
    return last;
  }

  /** Pictures of a scan, one after the other. */
  function series(session, n) {
    for (let i = 0; i < n; i++) {
      const about = { id: i + 1, session, series: 1, index: i + 1, counters: { repetition: i } };
      server.image({ ...about, kind: ImageKind.PICTURE, role: "Image", title: "images", shape: [1, 1, 2, 2] }, [1, 2, 3, i]);
    }
  }

  /** Goes to a frame, from 1, as a reader does with the slider. */
  const goToFrame = (frame, session) =>
    page.$eval(
      `${panel("Image", session)} input[type=range]`,
      (slider, frame) => {
        slider.value = String(frame - 1);
        slider.dispatchEvent(new Event("input"));
      },
      frame,
    );

  const saysGone = (selector) => {
    const message = document.querySelector(`${selector} .picture-message`);
    return !message.hidden && message.textContent === "The server does not have this image any more.";
  };

  async function drag(from, to) {
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    await page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2);
    await page.mouse.move(to.x, to.y);
    await page.mouse.up();
  }

  const at = (x, y, role = "T1") => placeOf(page, role, x, y, SIZE);

  test("maps with their uncertainty come first, then pictures before and after correction", async () => {
    await opened();
    await scanned();
    const groups = await page.$$eval(".scan .group", (groups) => groups.map((group) => [...group.querySelectorAll(".panel")].map((panel) => panel.dataset.role)));
    assert.deepEqual(groups, [
      ["T1", "T1SD", "T1R2"],
      ["Uncorrected", "MotionCorrected"],
    ]);
    assert.match(await textOf(page, `${panel("T1")} .badge`), /check/);
    assert.match(await textOf(page, `${panel("T1")} .remark`), /^breathing moved the heart by 4.2 px/);
    assert.match(await textOf(page, `${panel("Uncorrected")} .frame-text`), /1\/8 · 120 ms/);
  });

  test("a new scan comes above the one before, without a reload", async () => {
    await opened();
    await scanned();
    server.session(scan.beginning(42, { protocol: { name: "MOLLI_post" } }));
    await isThere(page, '.scan[data-session="42"]');
    assert.deepEqual(await page.$$eval(".scan", (scans) => scans.map((scan) => scan.dataset.session)), ["42", "41"]);
    assert.deepEqual(await page.$$eval(".row-name", (rows) => rows.map((row) => row.textContent)), ["MOLLI_post", "MOLLI_native_mid"]);
  });

  test("values, ticks and colours say the same; what has no value is black", async () => {
    await opened();
    await scanned();
    for (const [x, y] of [[62, 46], [38, 46], [50, 46], [20, 40]]) {
      assert.equal(await readoutAt(page, "T1", x, y, SIZE), `${scan.t1At(x, y)} ms  at ${x}, ${y}`);
    }
    assert.equal(await textOf(page, `${panel("T1SD")} .readout`), `${scan.sdAt(20, 40).toFixed(0)} ms  at 20, 40`, "the cursor is in all panels");
    assert.equal(await readoutAt(page, "T1", 1, 1, SIZE), "no value  at 1, 1");
    assert.deepEqual(await colorAt(page, "T1", 1, 1, SIZE), [0, 0, 0]);
    const bar = await colorBar(page, "T1");
    assert.equal(bar.unit, "ms");
    assert.deepEqual(bar.ticks.map(({ text }) => text), ["750", "1000", "1250", "1500", "1750"]);
    // The left half of the wall is 1000 ms, which has a tick of its own.
    const color = await colorAt(page, "T1", 38, 46, SIZE);
    const tick = bar.ticks.find(({ value }) => value === 1000);
    color.forEach((part, i) => assert.ok(Math.abs(part - tick.color[i]) <= 4, `${color} is not ${tick.color}`));
  });

  test("a drag makes the window wider and brighter, R brings the server's back", async () => {
    await opened();
    await scanned();
    const middle = await at(50, 46);
    await drag(middle, { x: middle.x + 50, y: middle.y });
    const shown = () => page.$$eval('.details input[type="number"]', (inputs) => inputs.map((input) => input.valueAsNumber));
    await until(page, () => document.querySelectorAll('.details input[type="number"]')[1].valueAsNumber > 1300);
    const [center, width] = await shown();
    assert.ok(center === 1300 && width > 1450 && width < 1700, `${center}, ${width}`);
    const before = await colorAt(page, "T1", 38, 46, SIZE);
    await drag(middle, { x: middle.x, y: middle.y - 60 });
    await until(page, () => document.querySelector('.details input[type="number"]').valueAsNumber < 1000);
    assert.ok((await colorAt(page, "T1", 38, 46, SIZE))[0] > before[0], "brighter");
    assert.equal(await readoutAt(page, "T1", 38, 46, SIZE), "1000 ms  at 38, 46", "the value is what it was");
    await page.keyboard.press("r");
    await until(page, () => document.querySelector('.details input[type="number"]').valueAsNumber === 1300);
    assert.equal((await colorBar(page, "T1")).ticks[0].value, 750);
  });

  test("C goes through all colours, grey the last", async () => {
    await opened();
    await scanned();
    await page.click(`${panel("T1")} header`);
    const seen = [await colorAt(page, "T1", 62, 46, SIZE)];
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press("c");
      seen.push(await colorAt(page, "T1", 62, 46, SIZE));
    }
    assert.deepEqual(seen[6], seen[0]);
    assert.equal(new Set(seen.slice(0, 6).map((color) => color.join())).size, 6);
    assert.equal(new Set(seen[5]).size, 1, "grey");
  });

  test("an ellipse in the wall has its mean, its spread and its pixels, in all maps at once", async () => {
    await opened();
    await scanned();
    await page.keyboard.press("e");
    await drag(await at(36, 43), await at(40, 49));
    await isThere(page, 'tr[data-region="A"]');
    const cells = (of) => page.$eval(`tr[data-region="A"][data-of="${of}"]`, (row) => [...row.cells].map((cell) => cell.textContent));
    const [, , mean, n] = await cells("T1");
    assert.equal(mean, "1000.0 ± 0.0 ms");
    // Radii of 2 and 3 pixels: about π · 6 pixels.
    assert.ok(Number(n) >= 15 && Number(n) <= 21, n);
    const [, , sd] = await cells("T1 standard deviation");
    assert.match(sd, /^24\.6 ± 0\.\d ms$/);
    await page.keyboard.press("Delete");
    await until(page, () => document.querySelector("tr[data-region]") === null);
  });

  test("a polygon is closed at its first corner, and holds what it goes around", async () => {
    await opened();
    await scanned();
    await page.keyboard.press("g");
    const corners = [[44.5, 40.5], [55.5, 40.5], [55.5, 51.5], [44.5, 51.5], [44.5, 40.5]];
    for (const [x, y] of corners) {
      const place = await at(x, y);
      await page.mouse.click(place.x, place.y);
    }
    await isThere(page, 'tr[data-region="A"]');
    const cells = await page.$eval('tr[data-region="A"]', (row) => [...row.cells].map((cell) => cell.textContent));
    assert.deepEqual(cells.slice(2, 4), ["1600.0 ± 0.0 ms", "121"]);
  });

  test("a line shows the values along it, with their uncertainty", async () => {
    await opened();
    await scanned();
    await page.keyboard.press("l");
    await drag(await at(30, 46), await at(70, 46));
    await isThere(page, ".profile .band");
    const label = await page.$eval(".profile", (plot) => plot.getAttribute("aria-label"));
    const found = /along ([\d.]+) mm: from (\d+) to (\d+) ms/.exec(label);
    assert.ok(Math.abs(Number(found[1]) - 120) < 3, label);
    assert.deepEqual(found.slice(2).map(Number), [scan.t1At(30, 46), 1600]);
  });

  test("the server's segments are a bull's-eye, and so are a reader's own contours", async () => {
    await opened();
    await scanned();
    await page.click(`${panel("T1")} header`);
    await isThere(page, ".bulls-eye");
    const segment = (number) => page.$eval(`.bulls-eye path[data-segment="${number}"]`, (path) => path.textContent);
    assert.equal(await segment(8), "8 mid anteroseptal: 1000 ± 0 ms (n 70)");
    assert.equal(await segment(1), "1: not measured");
    assert.match(await textOf(page, ".bulls-eye-figure figcaption"), /healthy 934 to 1058 ms .*server's contours/);

    await page.keyboard.press("b");
    const { x, y } = scan.CENTER;
    await drag(await at(x - 16, y - 16), await at(x + 16, y + 16));
    await drag(await at(x - 11, y - 11), await at(x + 11, y + 11));
    for (const [dx, dy] of [[-8, -13], [-8, 13]]) {
      const place = await at(x + dx, y + dy);
      await page.mouse.click(place.x, place.y);
    }
    await until(page, () => document.querySelector(".bulls-eye-figure figcaption")?.textContent.includes("your contours"));
    assert.match(await segment(8), /^8 mid anteroseptal: 1000 ± 0 ms/);
    assert.match(await segment(11), /^11 mid inferolateral: 1200 ± 0 ms/);
  });

  test("where the server tells no segments, labels of the wall give them", async () => {
    await opened();
    server.session(scan.beginning(41));
    scan.labels(server, 41n, scan.maps(server, 41n, 1, { hasReport: false }));
    await isThere(page, panel("T1"));
    await page.click(`${panel("T1")} header`);
    await isThere(page, ".bulls-eye");
    const segment = (number) => page.$eval(`.bulls-eye path[data-segment="${number}"]`, (path) => path.textContent);
    assert.match(await segment(8), /^8 mid anteroseptal: 1000 ± 0 ms/);
    assert.match(await segment(12), /^12 mid anterolateral: 1200 ± 0 ms/);
    assert.match(await textOf(page, ".bulls-eye-figure figcaption"), /from the scan's labels/);
    await page.select(".details select[aria-label=level]", "basal");
    await until(page, () => document.querySelector('.bulls-eye path[data-segment="2"]')?.textContent.startsWith("2 basal anteroseptal: 1000"));
  });

  test("zoom and pan show the same place in all panels of a scan", async () => {
    await opened();
    await scanned();
    const middle = await at(50, 46);
    await page.mouse.move(middle.x, middle.y);
    await page.keyboard.down("Control");
    await page.mouse.wheel({ deltaY: -400 });
    await page.keyboard.up("Control");
    await until(page, (selector) => document.querySelector(`${selector} .readout`).textContent.includes("at 50, 46"), panel("T1"));
    // 150 screen pixels are less of the image now.
    await page.mouse.move(middle.x + 60, middle.y);
    const place = await until(page, (selector) => /at (\d+), 46/.exec(document.querySelector(`${selector} .readout`).textContent)?.[1], panel("T1SD"));
    assert.ok(Number(place) > 52 && Number(place) < 62, place);
    await page.keyboard.press("0");
  });

  test("frames play, and before and after correction go together", async () => {
    await opened();
    await scanned();
    await page.click(`${panel("Uncorrected")} header`);
    await page.keyboard.press("ArrowRight");
    assert.match(await textOf(page, `${panel("Uncorrected")} .frame-text`), /2\/8 · 200 ms/);
    assert.match(await textOf(page, `${panel("MotionCorrected")} .frame-text`), /2\/8 · 200 ms/);
    await page.keyboard.press(" ");
    await until(page, (selector) => document.querySelector(`${selector} .frame-text`).textContent.startsWith("5/8"), panel("MotionCorrected"));
    await page.keyboard.press(" ");
  });

  test("all but drawing can be done with keys, and ? says which", async () => {
    await opened();
    await scanned();
    await page.focus(panel("T1"));
    await page.keyboard.down("Shift");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.up("Shift");
    await until(page, (selector) => document.querySelector(`${selector} .readout`).textContent.includes("ms  at 49, 48"), panel("T1"));
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.evaluate(() => document.activeElement.dataset.role), "T1SD");
    await page.keyboard.press("f");
    await isThere(page, ".group.enlarged");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    assert.ok(await page.$eval(".help", (help) => help.open));
    assert.ok((await page.$$(".help kbd")).length > 15);
    await page.keyboard.press("Escape");
  });

  test("buttons stay where they are while a scan goes on", async () => {
    await opened();
    await scanned();
    server.session(scan.beginning(42));
    await page.click(`${panel("T1")} header`);
    const save = await page.waitForSelector('.details button[title^="the values, with"]');
    server.session({ id: 41, nBytesOut: 12345n });
    server.session({ id: 42, nReadouts: 900n });
    scan.maps(server, 42n, 60);
    await isThere(page, panel("T1", 42));
    assert.ok(await save.evaluate((element) => element.isConnected));
  });

  test("a scan that fails says what, where and what to do; warnings too", async () => {
    await opened();
    server.session(scan.beginning(41, { state: SessionState.FAILED, endedUnixMs: Date.now(), notices: [scan.WARNING, scan.FAILURE] }));
    await isThere(page, ".notice.error");
    assert.match(await textOf(page, ".notice.error"), /error map_t1, slice 2: 1 of 8 inversion times .*repeat this slice/);
    assert.match(await textOf(page, ".notice.warning"), /warning correct_motion.*classical registration was used/);
    assert.match(await textOf(page, ".scan-state"), /failed/);
  });

  test("a connection that breaks is made again, and nothing is missed or comes twice", async () => {
    await opened();
    await scanned();
    server.breakConnections();
    server.session(scan.beginning(42));
    scan.maps(server, 42n, 60);
    await isThere(page, panel("T1", 42));
    await isLive(page);
    assert.equal((await page.$$('.scan[data-session="41"] .panel')).length, 5);
    assert.equal((await page.$$('.scan[data-session="42"] .panel')).length, 3);
    assert.match(await textOf(page, ".banner"), /Connected again .* Nothing was missed/);
  });

  test("a server that is away is said to be, and its return as well; what was on the screen stays", async () => {
    await opened();
    await scanned();
    const port = Number(new URL(server.url).port);
    await server.stop();
    await until(page, () => document.querySelector(".banner")?.dataset.kind === "lost");
    assert.match(await textOf(page, ".banner"), /cannot be reached since \d\d:\d\d:\d\d: it does not answer.*What you see is from before.*(Next try|Trying)/);
    assert.equal(await readoutAt(page, "T1", 62, 46, SIZE), "1200 ms  at 62, 46");

    server = await new PretendServer().start(port);
    server.epoch = "second";
    server.session(scan.beginning(42));
    scan.maps(server, 42n, 1, { decision: Verdict_Decision.REPEAT, reason: "the ECG was lost" });
    await isThere(page, panel("T1", 42));
    assert.match(await textOf(page, ".banner"), /server was restarted/);
    assert.match(await textOf(page, `${panel("T1", 42)} .badge`), /repeat/);
    // Image 1 of the new server is not image 1 of the old one.
    assert.match(await textOf(page, '.scan[data-session="41"] .scan-state'), /before the restart/);
    assert.equal((await page.$$('.scan[data-session="41"] .panel')).length, 5);
  });

  test("what a restarted server still has is there once", async () => {
    await opened();
    await scanned();
    await server.restart({ keep: [41n] });
    await until(page, () => document.querySelector(".banner")?.textContent.includes("restarted"));
    await until(page, () => document.querySelectorAll(".scan").length === 1);
    assert.match(await textOf(page, ".scan-state"), /done/);
    assert.equal((await page.$$(".panel")).length, 5);
    assert.equal(await readoutAt(page, "T1", 62, 46, SIZE), "1200 ms  at 62, 46");
  });

  test("numbers of images begin anew with a server: an old image is not fetched from a new one", async () => {
    const tiny = (session, i) => ({ id: i + 1, session, series: 1, index: i + 1, counters: { repetition: i }, kind: ImageKind.PICTURE, role: "Image", title: "images", shape: [1, 1, 2, 2] });
    server.session({ ...scan.beginning(41), ...ended(41) });
    // The first 116 of 180 do not come by themselves, and those beyond the 24th are not fetched ahead.
    for (let i = 0; i < 180; i++) server.image(tiny(41n, i), [1, 2, 3, i]);
    await opened();
    await until(page, () => document.querySelector(".panel .picture-message")?.hidden === true);
    const port = Number(new URL(server.url).port);
    await server.stop();
    server = await new PretendServer().start(port);
    server.epoch = "second";
    server.session({ ...scan.beginning(7), ...ended(7) });
    for (let i = 0; i < 180; i++) server.image(tiny(7n, i), [9, 9, 9, 9]);
    await until(page, () => document.querySelectorAll(".scan").length === 2);
    const old = '.scan[data-session="41"]';
    if ((await page.$eval(`${old} .scan-head`, (head) => head.getAttribute("aria-expanded"))) === "false") await page.click(`${old} .scan-head`);
    await page.$eval(`${old} input[type=range]`, (slider) => {
      slider.value = "60";
      slider.dispatchEvent(new Event("input"));
    });
    await until(page, (selector) => document.querySelector(selector)?.textContent.includes("does not have this image"), `${old} .picture-message`);
    await page.$eval(`${old} input[type=range]`, (slider) => {
      slider.value = "179";
      slider.dispatchEvent(new Event("input"));
    });
    // What came in time is there still.
    await until(page, (selector) => document.querySelector(selector)?.hidden === true, `${old} .picture-message`);
  });

  test("images that outlived their session are shown", async () => {
    server.image({ id: 5, session: 9n, series: 1, index: 1, counters: {}, kind: ImageKind.PICTURE, role: "Image", title: "images", shape: [1, 1, 2, 2] }, [1, 2, 3, 4]);
    await opened();
    await isThere(page, panel("Image", 9));
    assert.equal(await textOf(page, ".scan-name"), "session 9");
    assert.equal(await readoutAt(page, "Image", 1, 0, { width: 2, height: 2 }), "2.00  at 1, 0");
  });

  test("a token is asked for, a wrong one is refused, the right one opens", async () => {
    server.token = "open sesame";
    page = await open(browser, server.url);
    await isThere(page, ".banner form");
    assert.match(await textOf(page, ".banner"), /wants a token/);
    await page.type(".banner input", "wrong");
    await page.keyboard.press("Enter");
    await until(page, () => document.querySelector(".banner")?.textContent.includes("does not accept"));
    await page.type(".banner input", "open sesame");
    await page.keyboard.press("Enter");
    await isLive(page);
    // In an address it stands behind #, which is sent nowhere, and is taken away.
    const other = await open(await browser.createBrowserContext(), `${server.url}#token=open%20sesame`);
    await isLive(other);
    assert.equal(new URL(other.url()).hash, "");
    await other.close();
  });

  test("pixels that did not come with their image are fetched when they are seen, and what is gone is said to be", async () => {
    server.session({ ...scan.beginning(41), ...ended(41) });
    series(41n, 100);
    await opened();
    // Those of the newest 64 came with the list; of the first 36 the 24 are fetched that the window
    // is made of.
    await until(page, () => document.querySelector(".panel .picture-message")?.hidden === true);
    const fetched = () => new Promise((resolve) => setTimeout(resolve, 20)).then(() => server.nFetched);
    while ((await fetched()) < 24);
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))));
    assert.equal(server.nFetched, 24);
    server.forget({ images: [30] });
    await goToFrame(30);
    await until(page, saysGone, panel("Image"));
    server.swap(31, { session: 99n });
    await goToFrame(31);
    await until(page, saysGone, panel("Image"));
    assert.equal(server.nFetched, 26, "another image of the same number was fetched, and is not shown");
    server.remove([100]);
    await until(page, (selector) => document.querySelector(`${selector} .frame-text`).textContent.startsWith("31/99"), panel("Image"));
  });

  test("an image of before a restart is never another one of the same number", async () => {
    server.session({ ...scan.beginning(41), ...ended(41) });
    series(41n, 100);
    await opened();
    while (server.nFetched < 24) await new Promise((resolve) => setTimeout(resolve, 20));
    await until(page, () => document.querySelector(".panel .picture-message")?.hidden === true);
    await server.restart();
    server.session(scan.beginning(42));
    series(42n, 30);
    await isThere(page, panel("Image", 42));
    await until(page, () => document.querySelector('.scan[data-session="41"] .scan-state')?.textContent === "before the restart");
    const nBefore = server.nFetched;
    await goToFrame(30, 41);
    await until(page, saysGone, panel("Image", 41));
    assert.equal(await textOf(page, `${panel("Image", 41)} .readout`), "");
    await goToFrame(2, 41);
    await until(page, (selector) => document.querySelector(`${selector} .picture-message`).hidden, panel("Image", 41));

    // Files: what the page has, and none of the server's.
    const save = (name) => page.evaluate((name) => [...document.querySelectorAll(".details button")].find((button) => button.textContent === name).click(), name);
    await page.click(`${panel("Image", 41)} header`);
    await isThere(page, '.scan[data-session="41"] .panel.active');
    await until(page, () => document.querySelector(".details")?.textContent.includes("image 2"));
    await save("MRD stream");
    await until(page, () => /could not be saved: this scan is from before the restart/.test(document.querySelector(".banner").textContent));
    await save("NIfTI");
    await until(page, () => /^88 of 100 frames are in the NIfTI file: the server does not have the others/.test(document.querySelector(".banner").textContent));
    assert.equal(server.nFetched, nBefore, "nothing was fetched for it");
    assert.equal(server.nExported, 0);
  });

  test("after a long absence the scans stay with what is drawn on them, and what the server has no more goes", async () => {
    await opened();
    await scanned();
    server.session({ ...scan.beginning(42), ...ended(42) });
    scan.maps(server, 42n, 60);
    await isThere(page, panel("T1", 42));
    await page.focus(panel("T1", 41));
    await page.keyboard.press("e");
    const role = panel("T1", 41);
    const box = await page.$eval(`${role} .picture`, (element) => {
      element.scrollIntoView({ block: "center" });
      const { left, top, width, height } = element.getBoundingClientRect();
      return { x: left + width / 2, y: top + height / 2 };
    });
    await drag({ x: box.x - 20, y: box.y - 20 }, { x: box.x + 20, y: box.y + 20 });
    await isThere(page, 'tr[data-region="A"]');
    server.forget({ sessions: [42], images: [1] });
    server.forgetEvents();
    server.breakConnections();
    await until(page, () => document.querySelector(".banner")?.textContent.includes("Connected again"));
    await until(page, () => document.querySelectorAll(".scan").length === 1);
    assert.match(await textOf(page, ".banner"), /away for longer than the server remembers/);
    assert.doesNotMatch(await textOf(page, ".banner"), /Nothing was missed/);
    await isThere(page, 'tr[data-region="A"]');
    assert.equal((await page.$$('.scan[data-session="41"] .panel')).length, 5);
    await until(page, (selector) => /\/7/.test(document.querySelector(`${selector} .frame-text`).textContent), panel("Uncorrected"));
  });

  test("scans of before a restart outlast a long absence", async () => {
    await opened();
    await scanned();
    await server.restart();
    server.session(scan.beginning(42));
    scan.maps(server, 42n, 1);
    await isThere(page, panel("T1", 42));
    server.forgetEvents();
    server.session(scan.beginning(43));
    server.forgetEvents();
    server.breakConnections();
    await isThere(page, '.scan[data-session="43"]');
    await isLive(page);
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)));
    assert.deepEqual(await page.$$eval(".scan .scan-state", (states) => states.filter(({ textContent }) => textContent === "before the restart").length), 1);
    assert.equal((await page.$$('.scan[data-session="41"] .panel')).length, 5);
  });

  test("a scan that is closed holds no canvases, and has them again when it is opened", async () => {
    await opened();
    await scanned();
    await colorAt(page, "T1", 62, 46, SIZE);
    const before = await colorAt(page, "T1", 62, 46, SIZE);
    const held = () => page.$$eval(".scan canvas", (canvases) => canvases.reduce((sum, { width, height }) => sum + width * height, 0));
    assert.ok((await held()) > 0);
    await page.click(".scan-head");
    assert.equal(await held(), 0);
    // What comes of it meanwhile does not bring them back.
    scan.maps(server, 41n, 60);
    server.session({ id: 41, nBytesOut: 1n });
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)));
    assert.equal(await held(), 0);
    await page.click(".scan-head");
    await until(page, (selector) => document.querySelector(`${selector} canvas.pixels`).width > 0, panel("T1"));
    assert.deepEqual(await colorAt(page, "T1", 62, 46, SIZE), before);
    assert.equal((await colorBar(page, "T1")).ticks[0].value, 750);
  });

  test("a page that the server refuses says why, and asks for no token", async () => {
    server.refusal = "this name does not stand for this machine";
    page = await open(browser, server.url);
    await until(page, () => /refuses this page since .*: this name does not stand for this machine/.test(document.querySelector(".banner")?.textContent));
    assert.equal(await page.$(".banner form"), null);
    server.refusal = undefined;
    await isLive(page);
  });

  test("an ellipse that is given up leaves nothing", async () => {
    await opened();
    await scanned();
    await page.keyboard.press("e");
    const drawn = () => page.evaluate((selector) => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(document.querySelector(`${selector} .overlay`).toDataURL())))), panel("T1"));
    const from = await at(36, 43);
    await page.mouse.move(5, 5);
    const before = await drawn();
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    await page.mouse.move(from.x + 60, from.y + 40);
    assert.notEqual(await drawn(), before);
    await page.$eval(`${panel("T1")} .picture`, (picture) => {
      picture.dispatchEvent(new PointerEvent("pointercancel", { pointerId: 1 }));
      picture.releasePointerCapture(1);
    });
    await page.mouse.move(5, 5);
    await page.mouse.up();
    assert.equal(await drawn(), before);
    assert.equal(await page.$("tr[data-region]"), null);
  });

  test("the bull's-eye of a map of rates has the map's colours", async () => {
    await opened();
    await scanned({ quantity: "R1" });
    await page.click(`${panel("T1")} header`);
    await isThere(page, ".bulls-eye");
    const fill = await page.$eval('.bulls-eye path[data-segment="8"]', (path) => path.getAttribute("fill").match(/\d+/g).map(Number));
    assert.deepEqual(fill, await colorAt(page, "T1", 38, 46, SIZE));
  });

  test("complex values, colours, labels and several slices are shown as what they are", async () => {
    await opened();
    server.session(scan.beginning(41));
    const about = { session: 41n, index: 1, counters: {}, shape: [1, 1, 2, 2] };
    server.image({ ...about, id: 1, series: 1, kind: ImageKind.PICTURE, role: "complex", title: "complex", elementType: ElementType.COMPLEX64 }, [3, 4, 0, 1, -2, 0, 5, 12]);
    server.image({ ...about, id: 2, series: 2, kind: ImageKind.COLOR, role: "color", title: "colours", shape: [3, 1, 1, 1] }, [255, 128, 0]);
    server.image({ ...about, id: 3, series: 3, kind: ImageKind.LABELS, role: "labels", title: "labels", comments: ["labels: 0 background, 1 myocardium, 2 left_blood"] }, [0, 1, 2, 0]);
    server.image({ ...about, id: 4, series: 4, kind: ImageKind.PICTURE, role: "volume", title: "volume", shape: [1, 3, 2, 2] }, Array.from({ length: 12 }, (_, i) => i));
    await isThere(page, panel("volume"));
    const two = { width: 2, height: 2 };
    assert.match(await readoutAt(page, "complex", 0, 0, two), /^5\.\d*, 0\.93 rad/);
    assert.equal(await readoutAt(page, "labels", 1, 0, two), "1 myocardium  at 1, 0");
    assert.deepEqual(await page.$$eval(`${panel("labels")} .legend li`, (rows) => rows.map((row) => row.textContent)), ["myocardium", "left blood"]);
    assert.deepEqual(await colorAt(page, "color", 0, 0, { width: 1, height: 1 }), [255, 128, 0]);
    assert.match(await textOf(page, `${panel("volume")} .frame-text`), /^1\/3/);
  });

  test("files hold the values, and pictures can be saved", async () => {
    await opened();
    await scanned();
    const folder = await mkdtemp(join(tmpdir(), "boreside-downloads-"));
    const session = await page.createCDPSession();
    await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder, browserContextId: undefined });
    await page.click(`${panel("T1")} header`);
    const downloaded = async (name, ending) => {
      await page.evaluate((name) => [...document.querySelectorAll(".details button")].find((button) => button.textContent === name).click(), name);
      for (let i = 0; i < 200; i++) {
        const found = (await readdir(folder)).find((file) => file.endsWith(ending));
        if (found) return readFile(join(folder, found));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error(`no ${ending} in ${await readdir(folder)}`);
    };
    const nifti = await downloaded("NIfTI", ".nii");
    assert.equal(nifti.length, 352 + 4 * scan.SIZE ** 2);
    assert.equal(nifti.readFloatLE(352 + 4 * (46 * scan.SIZE + 62)), 1200);
    const png = await downloaded("PNG", ".png");
    assert.equal(png.subarray(1, 4).toString(), "PNG");
    assert.match((await downloaded("MRD stream", ".mrd")).toString(), /^MRD \d+$/);
  });

  test("the details follow the newest map until somebody chooses", async () => {
    await opened();
    await scanned();
    const title = () => textOf(page, ".details h2");
    await until(page, () => document.querySelector(".panel.active")?.dataset.role === "T1");
    server.session(scan.beginning(42));
    scan.maps(server, 42n, 60);
    await until(page, () => document.querySelector('.scan[data-session="42"] .panel.active')?.dataset.role === "T1");
    await page.click(`${panel("T1SD", 42)} header`);
    server.session(scan.beginning(43));
    scan.maps(server, 43n, 70);
    await isThere(page, panel("T1", 43));
    assert.equal(await title(), "T1 standard deviation");
    await page.keyboard.press("n");
    await until(page, () => document.querySelector('.scan[data-session="43"] .panel.active')?.dataset.role === "T1");
  });

  test("20 scans at once stay in bounds: two are open, and old ones make room", async () => {
    await opened();
    for (let i = 0; i < 75; i++) {
      server.session({ ...scan.beginning(100 + i, { startedUnixMs: Date.now() + i }), ...(i < 55 ? ended(100 + i) : {}) });
      server.image({ id: i + 1, session: BigInt(100 + i), series: 1, index: 1, counters: {}, kind: ImageKind.PICTURE, role: "Image", title: "images", shape: [1, 1, 64, 64] }, new Array(4096).fill(i));
    }
    await isThere(page, '.scan[data-session="174"] .panel');
    await until(page, () => document.querySelectorAll(".scan").length === 60);
    const open = await page.$$eval(".scan.open", (scans) => scans.length);
    assert.ok(open >= 2 && open <= 22, `${open} are open`);
    assert.equal(await page.$eval(".scan", (scan) => scan.dataset.session), "174");
  });

  test("names and contrasts are such that everybody can read them", async () => {
    await opened();
    await scanned();
    await page.click(`${panel("T1")} header`);
    const nameless = await page.$$eval("button, input, select, [role=img], .panel", (elements) =>
      elements
        .filter((element) => !(element.getAttribute("aria-label") || element.textContent.trim() || element.closest("label")))
        .map((element) => element.outerHTML),
    );
    assert.deepEqual(nameless, []);
    const poor = await page.evaluate(() => {
      const luminance = (color) => {
        const parts = color.match(/[\d.]+/g).slice(0, 3).map((part) => {
          const share = part / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
      };
      const groundOf = (element) => {
        for (let at = element; at; at = at.parentElement) {
          const color = getComputedStyle(at).backgroundColor;
          if (!/, 0\)$|transparent/.test(color)) return color;
        }
        return "rgb(0, 0, 0)";
      };
      const texts = [...document.querySelectorAll("body *")].filter(
        (element) => element.offsetParent !== null && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()),
      );
      return texts.flatMap((element) => {
        const [a, b] = [luminance(getComputedStyle(element).color), luminance(groundOf(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return contrast < 4.5 ? [`${contrast.toFixed(1)}: ${element.outerHTML.slice(0, 120)}`] : [];
      });
    });
    assert.deepEqual(poor, []);
  });
});
