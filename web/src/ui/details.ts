/** All that is known of the image that is chosen. */

import { PALETTES, type PaletteName } from "../colors/palette";
import { decimalsOf, meanText, unitText, written } from "../colors/ticks";
import { profileOf } from "../measure/profile";
import { statisticsOf } from "../measure/region";
import { heartLabels, joined, LEVELS, meansBetween, meansOnLabels, wallOfReport, type Level, type Wall } from "../measure/segments";
import type { Plane } from "../measure/plane";
import { isReversed, legendOf, paletteOf, presetsOf, rangeOfValues } from "../model/appearance";
import { frameLike } from "../model/arrangement";
import { ImageKind, type FileFormat, type Image, type Provenance, type StageTime } from "../proto/boreside/v1/images_pb";
import type { Scan } from "../model/store";
import { badge } from "./badge";
import { bullsEye } from "./bulls_eye";
import { FORMAT_NAMES } from "./downloads";
import { button, el } from "./element";
import type { Panel } from "./panel";
import { profilePlot } from "./profile_plot";
import type { ScanSection } from "./scan_section";
import { contoursInPixels, regionInPixels, toPixels, type Shared } from "./shared";
import { clockText, spanText, verdictOf } from "./wording";

export interface DetailsHost {
  exportFormats(): readonly FileFormat[];
  /** From ready on the server to the screen, ms. */
  screenDelayMs(imageKey: string): number | undefined;
  windowChanged(panel: Panel): void;
  savePicture(panel: Panel): void;
  saveNifti(panel: Panel): void;
  saveExport(panel: Panel, format: FileFormat): void;
}

/** Meta attribute with the values of the wall. */
const WALL_KEY = "BoresideMyocardium";

/**
 * Comments that say for scanners what stands elsewhere here: the scale of stored integers, gadgets
 * that were left out, networks that were not used.
 */
const SAID_ELSEWHERE = /^(\S+ x[\d.e+-]+( \S+)?$|unprocessed: |model \S+( \S+)? not used: )/;

export class Details {
  readonly element = el("aside", { class: "details", "aria-label": "details" });
  private isMetaOpen = false;

  constructor(private readonly host: DetailsHost) {
    this.show(undefined, undefined);
  }

  show(section: ScanSection | undefined, panel: Panel | undefined): void {
    const image = panel?.image;
    if (!section || !panel || !image) {
      this.element.replaceChildren(el("p", { class: "quiet" }, "Choose an image: what is known of it stands here."));
      return;
    }
    // What is being typed is not taken away.
    const typing = document.activeElement;
    if (typing instanceof HTMLInputElement && this.element.contains(typing) && typing.dataset.panel === panel.content.key) return;
    const parts = [
      this.headline(panel, image),
      this.windowControls(panel, image),
      this.regions(section, panel),
      this.profile(section, panel),
      this.bullsEye(section, panel, image),
      this.facts(panel, image),
      this.chain(section.scan, image),
      this.models(image),
      this.downloads(panel),
      this.meta(image),
    ];
    const about = `${section.scan.key} ${panel.content.key}`;
    this.replace(parts.filter((part) => part !== undefined), about);
  }

  /** Puts new parts in the place of the old ones, and leaves those that say the same: a button under a finger stays. */
  private replace(parts: readonly HTMLElement[], about: string): void {
    const before = [...this.element.children];
    const after = parts.map((part) => {
      part.dataset.about = about;
      return before.find((known) => known.isEqualNode(part)) ?? part;
    });
    for (const known of before) if (!after.includes(known as HTMLElement)) known.remove();
    after.forEach((part, place) => {
      const there = this.element.children[place];
      if (there !== part) this.element.insertBefore(part, there ?? null);
    });
  }

  private headline(panel: Panel, image: Image): HTMLElement {
    const verdict = image.kind === ImageKind.MAP ? verdictOf(image) : undefined;
    const made = el("section", { class: "headline" }, el("h2", {}, panel.content.title));
    if (verdict) {
      made.append(el("div", { class: `verdict ${verdict.className}` }, badge(verdict), el("span", {}, verdict.reason || "nothing was found against it")));
    }
    for (const gadget of image.unprocessed) {
      made.append(el("p", { class: "notice warning" }, `! Gadget ${gadget} failed on it and was left out.`));
    }
    const said = verdict ? [`${verdict.word}: ${verdict.reason}`, verdict.word] : [];
    for (const comment of image.comments) {
      if (!said.includes(comment) && !SAID_ELSEWHERE.test(comment)) made.append(el("p", { class: "comment" }, comment));
    }
    return made;
  }

  private windowControls(panel: Panel, image: Image): HTMLElement | undefined {
    if (image.kind === ImageKind.LABELS || image.kind === ImageKind.COLOR) return undefined;
    const [low, high] = panel.shownRange();
    const decimals = decimalsOf([low, high]);
    const set = (range: readonly [number, number] | undefined) => {
      panel.range = range;
      this.host.windowChanged(panel);
    };
    const number = (name: string, value: number, apply: (value: number) => readonly [number, number] | undefined) => {
      const input = el("input", { type: "number", step: "any", value: value.toFixed(decimals), "data-panel": panel.content.key });
      input.addEventListener("change", () => {
        const range = apply(input.valueAsNumber);
        input.blur();
        if (range && range[1] > range[0]) set(range);
        else this.host.windowChanged(panel);
      });
      return el("label", {}, name, input);
    };
    const select = el("select", { "aria-label": "colours" });
    for (const palette of PALETTES) {
      const option = el("option", { value: palette }, palette === paletteOf(image) ? `${palette} (recommended)` : palette);
      option.toggleAttribute("selected", palette === panel.shownPalette());
      select.append(option);
    }
    select.addEventListener("change", () => {
      panel.palette = select.value as PaletteName;
      this.host.windowChanged(panel);
    });
    const fit = () => {
      const plane = panel.plane();
      if (plane) set(rangeOfValues(plane.values, plane.zeroIsInvalid));
    };
    const width = high - low;
    const center = (low + high) / 2;
    return el(
      "section",
      {},
      el("h3", {}, `Window${image.unit === "" ? "" : ` (${unitText(image.unit)})`}`),
      el(
        "div",
        { class: "controls" },
        number("centre", center, (value) => [value - width / 2, value + width / 2]),
        number("width", width, (value) => [center - value / 2, center + value / 2]),
        el("label", {}, "colours", select),
      ),
      el(
        "div",
        { class: "controls" },
        button("server's", "the window that the server gave (R)", () => set(undefined)),
        button("fit", "a window that fits the values", fit),
        ...presetsOf(image).map(({ name, range }) => button(name, `${range[0]} to ${range[1]}`, () => set(range))),
      ),
    );
  }

  private regions(section: ScanSection, panel: Panel): HTMLElement | undefined {
    const { regions } = section.shared.drawing;
    if (regions.length === 0) return undefined;
    const rows = regions.flatMap(({ name, region }) =>
      section.beside(panel).map((of, i) => {
        const plane = of.plane();
        const found = plane && statisticsOf(plane, regionInPixels(region, plane));
        const unit = of.image?.unit ?? "";
        const decimals = decimalsOf(of.shownRange());
        const remove = button("✕", `remove region ${name}`, () => section.shared.removeRegion(name), "plain");
        const cells = found
          ? [
              meanText(found.mean, found.sd, unit, decimals),
              found.nInvalid > 0 ? `${found.n} (${found.nInvalid} without value)` : String(found.n),
              i === 0 ? `${(found.areaMm2 / 100).toFixed(2)} cm²` : "",
            ]
          : ["no values", "0", ""];
        return el(
          "tr",
          { "data-region": name, "data-of": of.content.title, class: of === panel ? "chosen" : undefined },
          el("th", { scope: "row" }, i === 0 ? name : ""),
          el("td", {}, of.content.title),
          ...cells.map((cell) => el("td", {}, cell)),
          el("td", {}, ...(i === 0 ? [remove] : [])),
        );
      }),
    );
    const head = ["", "", "mean ± SD", "n", "area", ""].map((text) => el("th", { scope: "col" }, text));
    return el("section", {}, el("h3", {}, "Regions"), el("table", { class: "regions" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
  }

  private profile(section: ScanSection, panel: Panel): HTMLElement | undefined {
    const { line } = section.shared.drawing;
    const plane = panel.plane();
    if (!line || !plane) return undefined;
    const along = (of: NonNullable<typeof plane>) => profileOf(of, toPixels(line.from, of), toPixels(line.to, of));
    const beside = section.beside(panel).find(({ content }) => content.kind === ImageKind.UNCERTAINTY);
    const sd = panel.content.kind === ImageKind.MAP ? beside?.plane() : undefined;
    const plot = profilePlot(along(plane), panel.image?.unit ?? "", sd && along(sd));
    const title = sd ? "Values along the line, ± one standard deviation" : "Values along the line";
    return el("section", { class: "profile-part" }, el("h3", {}, title), plot);
  }

  private bullsEye(section: ScanSection, panel: Panel, image: Image): HTMLElement | undefined {
    if (panel.content.kind !== ImageKind.MAP) return undefined;
    const { shared } = section;
    const plane = panel.plane();
    const contours = plane && contoursInPixels(shared.drawing.contours, plane);
    const about = { quantity: image.quantity, unit: image.unit };
    let wall = plane && contours && meansBetween(contours, plane, shared.drawing.level, about);
    if (!wall) {
      const sources = new Set(panel.content.frames.map(({ source }) => source.image));
      const reports = [...sources].flatMap(({ meta }) => meta.find(({ key }) => key === WALL_KEY)?.values ?? []);
      wall = joined(reports.flatMap((text) => wallOfReport(text) ?? []));
    }
    wall ??= plane && onLabels(section, panel, plane, about);
    if (!wall) return undefined;
    const made = el("section", {}, el("h3", {}, "Bull's-eye"));
    if (wall.origin !== "server") made.append(levelChoice(shared));
    made.append(bullsEye(wall, panel.shownPalette(), panel.shownRange(), isReversed(image)));
    return made;
  }

  private facts(panel: Panel, image: Image): HTMLElement {
    const { geometry, latency, counters } = image;
    const frame = panel.frame;
    const delay = frame && this.host.screenDelayMs(frame.source.key);
    const [, , height = 0, width = 0] = image.shape;
    const sizes = geometry?.voxelSizeMm.map((mm) => mm.toFixed(2)).join(" × ");
    const facts: [string, string | undefined][] = [
      ["ready", clockText(image.readyUnixMs)],
      ["after its last readout", latency && spanText(latency.sinceLastReadoutMs)],
      ["after the scan began", latency && spanText(latency.sinceStartMs)],
      ["on this screen after", delay === undefined ? undefined : spanText(delay)],
      ["method", image.method],
      ["times", image.timesMs.length > 0 ? `${image.timesMs.map((ms) => written(ms, ms < 100 ? 1 : 0)).join(", ")} ms` : ""],
      ["slice", counters && String(counters.slice)],
      ["matrix", `${width} × ${height}`],
      ["voxel", sizes && `${sizes} mm`],
      ["series", `${image.series}, image ${image.index}, stored as ${image.storedType}`],
    ];
    const rows = facts.flatMap(([name, text]) => (text ? [el("dt", {}, name), el("dd", {}, text)] : []));
    return el("section", {}, el("h3", {}, "Image"), el("dl", { class: "facts" }, ...rows));
  }

  /** Gadgets in the order of the chain, with the time that each took. */
  private chain({ session, images }: Scan, image: Image): HTMLElement | undefined {
    const stages = stagesUntil(images.map(({ image }) => image), image);
    const names = session.gadgets.length > 0 ? session.gadgets.map(({ gadget }) => gadget) : stages.map(({ gadget }) => gadget);
    if (names.length === 0) return undefined;
    const hasStages = stages.length > 0;
    const totals = session.gadgets.map(({ busyMs }) => busyMs);
    const most = Math.max(...(hasStages ? stages.map(({ busyMs }) => busyMs) : totals), 1e-9);
    const rows = names.map((name, i) => {
      const stage = stages[i]?.gadget === name ? stages[i] : stages.find(({ gadget }) => gadget === name);
      const busy = hasStages ? stage?.busyMs : totals[i];
      const total = session.gadgets[i];
      const share = busy === undefined ? 0 : (100 * busy) / most;
      const faults = total && total.faults > 0n ? ` · ${total.faults} ${total.faults === 1n ? "fault" : "faults"}` : "";
      return el(
        "li",
        { title: total ? `in the whole scan ${spanText(total.busyMs)}, longest call ${spanText(total.longestMs)}` : "" },
        el("span", { class: "stage-name" }, name + faults),
        el("span", { class: "stage-bar" }, el("i", { style: `width:${share.toFixed(1)}%` })),
        el("span", { class: "stage-time" }, busy === undefined ? "–" : timeText(busy)),
      );
    });
    const title = session.chain === "" ? "Chain" : `Chain ${session.chain}`;
    const about = session.chainDescription === "" ? [] : [el("p", { class: "quiet" }, session.chainDescription)];
    return el("section", {}, el("h3", {}, title), ...about, el("ol", { class: "stages" }, ...rows), el("p", { class: "quiet" }, `Time that each gadget worked in this scan ${hasStages ? "until this image" : "so far"}; gadgets work side by side.`));
  }

  private models(image: Image): HTMLElement | undefined {
    if (image.models.length === 0) return undefined;
    return el("section", {}, el("h3", {}, image.models.length === 1 ? "Network" : "Networks"), ...image.models.map(modelElement));
  }

  private downloads(panel: Panel): HTMLElement {
    const buttons = [
      button("PNG", "the picture with its drawings and its colour bar (S)", () => this.host.savePicture(panel)),
      button("NIfTI", "the values, with their place in the patient", () => this.host.saveNifti(panel)),
      ...this.host.exportFormats().flatMap((format) => {
        const name = FORMAT_NAMES[format];
        return name ? [button(name, `all images of this series as ${name}`, () => this.host.saveExport(panel, format))] : [];
      }),
    ];
    return el("section", {}, el("h3", {}, "Save"), el("div", { class: "controls" }, ...buttons));
  }

  private meta(image: Image): HTMLElement {
    const made = el("details", {}, el("summary", {}, `All attributes (${image.meta.length})`));
    made.open = this.isMetaOpen;
    made.addEventListener("toggle", () => (this.isMetaOpen = made.open));
    const rows = image.meta.flatMap(({ key, values }) => [el("dt", {}, key), el("dd", {}, values.join(" · "))]);
    made.append(el("dl", { class: "facts wide" }, ...rows));
    return made;
  }
}

/** Which part of the heart the slice shows: the reader knows. */
function levelChoice(shared: Shared): HTMLElement {
  const { drawing } = shared;
  const select = el("select", { "aria-label": "level" });
  for (const level of LEVELS) {
    const option = el("option", { value: level }, level);
    option.toggleAttribute("selected", level === drawing.level);
    select.append(option);
  }
  select.addEventListener("change", () => {
    drawing.level = select.value as Level;
    shared.drawn();
  });
  return el("label", { class: "controls" }, "level ", select);
}

/** Values of the wall where an image of labels of the same slice has it. */
function onLabels({ panels, shared }: ScanSection, map: Panel, plane: Plane, about: { quantity: string; unit: string }): Wall | undefined {
  const geometry = map.image?.geometry;
  const wanted = map.frame;
  if (!geometry || !wanted) return undefined;
  // x to the left, y to the back, z to the head.
  const [x, y] = [geometry.readDir, geometry.phaseDir].map((direction) => (direction[2] ?? 0) - (direction[1] ?? 0));
  for (const labels of panels.values()) {
    if (labels.content.kind !== ImageKind.LABELS) continue;
    const frame = labels.content.frames[frameLike(labels.content.frames, wanted, map.index)];
    const numbers = frame && heartLabels(legendOf(frame.source.image));
    const found = numbers && labels.planeOf(frame);
    const wall = found && meansOnLabels(found, numbers, plane, { x: x ?? 0, y: y ?? 0 }, shared.drawing.level, about);
    if (wall) return wall;
  }
  return undefined;
}

/** Time that gadgets worked until an image was ready: images that leave the chain together share it. */
function stagesUntil(images: readonly Image[], last: Image): StageTime[] {
  const sums = new Map<string, StageTime>();
  for (const image of images) {
    if (image.id > last.id) continue;
    // A chain may have a gadget twice.
    const times = new Map<string, number>();
    for (const stage of image.latency?.stages ?? []) {
      const nth = times.get(stage.gadget) ?? 0;
      times.set(stage.gadget, nth + 1);
      const key = `${stage.gadget} ${nth}`;
      sums.set(key, { ...stage, busyMs: stage.busyMs + (sums.get(key)?.busyMs ?? 0) });
    }
  }
  return [...sums.values()];
}

function modelElement(model: Provenance): HTMLElement {
  const isUsed = model.fallback === "";
  const facts: [string, string][] = [
    ["ran on", [model.provider, model.runtime].filter(Boolean).join(", ")],
    ["time", model.timeMs > 0 ? `${timeText(model.timeMs)}, waited ${timeText(model.waitedMs)}` : ""],
    ["guards", model.guards],
    ["instead", model.fallback],
    ["SHA-256", model.sha256],
  ];
  const rows = facts.flatMap(([name, text]) => (text === "" ? [] : [el("dt", {}, name), el("dd", {}, text)]));
  const sign = isUsed ? el("span", { class: "badge accept" }, el("b", {}, "✓"), "used") : el("span", { class: "badge check" }, el("b", {}, "!"), "not used");
  return el("div", { class: "model" }, el("p", {}, el("strong", {}, model.model), " ", sign), el("dl", { class: "facts" }, ...rows));
}

function timeText(ms: number): string {
  return ms < 9.95 ? `${ms.toFixed(1)} ms` : spanText(ms);
}
