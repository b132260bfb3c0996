// A browser without a window, and what the tests read from the page.

import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";

const PROGRAMS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** The browser's program; `undefined` where there is none. */
export function chromium() {
  return PROGRAMS.find((path) => path && existsSync(path));
}

export function launch(options = {}) {
  return puppeteer.launch({
    executablePath: chromium(),
    // Nobody else has this browser, and a container has no sandbox to give.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb"],
    defaultViewport: { width: 1680, height: 1000 },
    ...options,
  });
}

/** A page with the viewer. What goes wrong in it is kept in `page.faults`. */
export async function open(browser, url) {
  const page = await browser.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    // A server that is away is what some tests are about.
    if (message.type() === "error" && !/net::ERR_|Failed to load resource/.test(message.text())) page.faults.push(message.text());
  });
  await page.goto(url);
  for (const [of, does] of [[page.mouse, "up"], [page.mouse, "click"], [page.keyboard, "press"], [page, "click"], [page, "select"]]) {
    const act = of[does].bind(of);
    of[does] = async (...what) => {
      const done = await act(...what);
      await settled(page);
      return done;
    };
  }
  return page;
}

/** What was done has been drawn, and behind that what is to be read of it: two frames, and what they left for later. */
function settled(page) {
  return page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve)))));
}

/** Waits until `expression`, a function in the page, gives something that is true; gives that. */
export async function until(page, expression, ...values) {
  const handle = await page.waitForFunction(expression, { timeout: 20_000, polling: 50 }, ...values);
  return handle.jsonValue();
}

export const panel = (role, session) => `${session ? `.scan[data-session="${session}"] ` : ""}.panel[data-role="${role}"]`;

/** Where a pixel of a panel's image is on the screen, for a whole image of so many pixels. */
export async function placeOf(page, role, x, y, { width, height, pixelMm: [wide, tall] = [1, 1] }) {
  const box = await page.$eval(`${panel(role)} .picture`, (element) => {
    element.scrollIntoView({ block: "center" });
    const { left, top, width, height } = element.getBoundingClientRect();
    return { left, top, width, height };
  });
  const scale = Math.min(box.width / (width * wide), box.height / (height * tall));
  return {
    x: box.left + box.width / 2 + (x + 0.5 - width / 2) * wide * scale,
    y: box.top + box.height / 2 + (y + 0.5 - height / 2) * tall * scale,
  };
}

/** What a panel says of the pixel under the mouse. */
export async function readoutAt(page, role, x, y, size) {
  const at = await placeOf(page, role, x, y, size);
  await page.mouse.move(at.x, at.y);
  return until(
    page,
    (selector, place) => {
      const text = document.querySelector(`${selector} .readout`)?.textContent ?? "";
      return text.endsWith(place) ? text : "";
    },
    panel(role),
    `at ${x}, ${y}`,
  );
}

/** Red, green and blue of an image's pixel, as it is on the screen. */
export async function colorAt(page, role, x, y, size) {
  const at = await placeOf(page, role, x, y, size);
  return page.$eval(
    `${panel(role)} canvas.pixels`,
    (canvas, at) => {
      const box = canvas.getBoundingClientRect();
      const place = [((at.x - box.left) * canvas.width) / box.width, ((at.y - box.top) * canvas.height) / box.height].map(Math.floor);
      return [...canvas.getContext("2d").getImageData(place[0], place[1], 1, 1).data.slice(0, 3)];
    },
    at,
  );
}

/** The colour bar: its ticks (value, text, share from above) and the colours beside them. */
export function colorBar(page, role) {
  return page.$eval(`${panel(role)} .bar`, (bar) => {
    const canvas = bar.querySelector("canvas");
    const context = canvas.getContext("2d");
    const colorFromTop = (share) => [...context.getImageData(0, Math.min(Math.floor(share * canvas.height), canvas.height - 1), 1, 1).data.slice(0, 3)];
    const ticks = [...bar.querySelectorAll(".bar-ticks span")].map((tick) => {
      const share = parseFloat(tick.style.top) / 100;
      return { value: Number(tick.dataset.value), text: tick.textContent, share, color: colorFromTop(share) };
    });
    return { unit: bar.querySelector(".bar-unit").textContent, ticks };
  });
}
