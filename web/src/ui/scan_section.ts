/** One scan in the grid: what it is, how far it is, its images. */

import { arranged, frameLike, type Frame, type Group } from "../model/arrangement";
import type { Scan } from "../model/store";
import { hasEnded } from "../model/store";
import { ImageKind } from "../proto/boreside/v1/images_pb";
import { Notice_Level, type Notice, type Session } from "../proto/boreside/v1/sessions_pb";
import { badge } from "./badge";
import { el, setText } from "./element";
import { Panel, type PanelHost } from "./panel";
import { attachPointer, type PointerHost } from "./pointer";
import { Shared } from "./shared";
import { agoText, bytesText, clockText, nameOf, progressOf, spanText, stateOf, worstVerdict } from "./wording";

export interface SectionHost extends PointerHost {
  readonly panels: Omit<PanelHost, "frameChanged">;
  /** Something that the details show changed. */
  changed(section: ScanSection): void;
  enlarge(panel: Panel): void;
}

/** Warnings and errors that are shown before the others are. */
const FIRST_NOTICES = 3;

export class ScanSection {
  readonly element = el("section", { class: "scan" });
  readonly shared: Shared;
  readonly panels = new Map<string, Panel>();
  isOpen = false;
  private readonly toggle = el("button", { type: "button", class: "scan-head", "aria-expanded": "false" });
  private readonly name = el("span", { class: "scan-name" });
  private readonly about = el("span", { class: "scan-about quiet" });
  private readonly state = el("span", { class: "scan-state" });
  private readonly badgePlace = el("span");
  private readonly progress = el("progress", { max: 1, "aria-label": "readouts" });
  private readonly notices = el("div", { class: "notices" });
  private readonly grid = el("div", { class: "groups" });
  private readonly waiting = el("p", { class: "waiting quiet" }, "Images appear here as soon as the first one is reconstructed.");
  private readonly groups = new Map<string, HTMLElement>();
  private readonly sight: IntersectionObserver;
  private readonly sizes: ResizeObserver;
  private shownNotices = "";
  private areAllNoticesShown = false;

  constructor(
    readonly scan: Scan,
    private readonly host: SectionHost,
  ) {
    this.shared = new Shared((isDrawing) => {
      for (const panel of this.panels.values()) this.redraw(panel, isDrawing);
      if (isDrawing) host.changed(this);
    });
    this.toggle.append(el("span", { class: "scan-arrow", "aria-hidden": "true" }), this.name, this.badgePlace, this.state, this.progress, this.about);
    this.toggle.addEventListener("click", () => this.setOpen(!this.isOpen));
    this.element.append(this.toggle, this.notices, this.waiting, this.grid);
    this.element.dataset.session = String(scan.session.id);
    this.sight = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const panel = [...this.panels.values()].find(({ element }) => element === entry.target);
        if (!panel) continue;
        const appears = entry.isIntersecting && !panel.isVisible;
        panel.isVisible = entry.isIntersecting;
        if (appears) panel.draw();
      }
    }, { rootMargin: "200px" });
    this.sizes = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) [...this.panels.values()].find(({ picture }) => picture === target)?.resized(contentRect);
    });
    this.grid.hidden = true;
    this.describe();
  }

  close(): void {
    this.sight.disconnect();
    this.sizes.disconnect();
    for (const panel of this.panels.values()) panel.close();
    this.element.remove();
  }

  setOpen(isOpen: boolean): void {
    this.isOpen = isOpen;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
    this.grid.hidden = !isOpen;
    this.element.classList.toggle("open", isOpen);
    if (isOpen) this.arrange();
    for (const panel of this.panels.values()) {
      if (isOpen) {
        if (panel.isStale) panel.draw();
        continue;
      }
      panel.setPlaying(false);
      panel.release();
    }
  }

  /** What the session says of itself. */
  describe(): void {
    const { session, isFromBefore, images } = this.scan;
    setText(this.name, nameOf(session));
    const state = stateOf(session, isFromBefore);
    this.state.className = `scan-state ${state.className}`;
    setText(this.state, state.text);
    const progress = progressOf(session);
    const isRunning = !hasEnded(session) && !isFromBefore;
    this.progress.hidden = !isRunning;
    this.waiting.hidden = !isRunning || !this.isOpen || images.length > 0;
    if (progress === undefined) this.progress.removeAttribute("value");
    else this.progress.value = progress;
    const verdict = worstVerdict(images.filter(({ image }) => image.kind === ImageKind.MAP).map(({ image }) => image));
    const shown = verdict ? `${verdict.word} ${verdict.reason}` : "";
    if (this.badgePlace.dataset.shown !== shown) {
      this.badgePlace.dataset.shown = shown;
      this.badgePlace.replaceChildren(...(verdict ? [badge(verdict)] : []));
    }
    this.tick();
    this.showNotices(session);
  }

  tick(): void {
    const { session, images } = this.scan;
    const now = this.host.panels.serverNowMs();
    const protocol = session.protocol;
    const ended = session.endedUnixMs > 0;
    const last = images.at(-1)?.image.latency?.sinceLastReadoutMs;
    const patient = session.patient && [session.patient.name, session.patient.id].filter(Boolean).join(", ");
    const field = protocol?.fieldStrengthT ? `${protocol.fieldStrengthT.toFixed(1)} T` : "";
    const parts = [
      `#${session.id}`,
      patient,
      protocol?.patientPosition,
      field,
      session.chain,
      session.replay && `replay of ${session.replay}`,
      `${images.length} ${images.length === 1 ? "image" : "images"}`,
      session.nErrors > 0n && `${session.nErrors} ${session.nErrors === 1n ? "error" : "errors"}`,
      session.nWarnings > 0n && `${session.nWarnings} ${session.nWarnings === 1n ? "warning" : "warnings"}`,
      last !== undefined && `last image ${spanText(last)} after its readout`,
      ended ? agoText(now - session.endedUnixMs) : `since ${clockText(session.startedUnixMs)}, ${bytesText(Number(session.nBytesIn))}`,
    ];
    setText(this.about, parts.filter(Boolean).join(" · "));
    for (const panel of this.panels.values()) panel.tick();
  }

  /** Puts images into panels, and new panels into the grid. */
  arrange(): void {
    this.describe();
    if (!this.isOpen) return;
    const groups = arranged(this.scan.images);
    const wanted = new Set(groups.flatMap(({ panels }) => panels.map(({ key }) => key)));
    for (const [key, panel] of this.panels) {
      if (wanted.has(key)) continue;
      panel.close();
      this.panels.delete(key);
    }
    let before: Element | null = null;
    for (const group of groups) {
      const element = this.groupElement(group);
      const place: Element | null = before ? before.nextElementSibling : this.grid.firstElementChild;
      if (place !== element) this.grid.insertBefore(element, place);
      before = element;
    }
    for (const [key, element] of this.groups) {
      if (groups.some((group) => group.key === key)) continue;
      element.remove();
      this.groups.delete(key);
    }
  }

  /** Pixels of an image have come: panels that show it are to be drawn. */
  pixelsCame(imageKey: string): void {
    for (const panel of this.panels.values()) panel.pixelsCame(imageKey);
  }

  /** Panels in the order in which they stand. */
  ordered(): Panel[] {
    const elements = [...this.grid.querySelectorAll(".panel")];
    return [...this.panels.values()].sort((a, b) => elements.indexOf(a.element) - elements.indexOf(b.element));
  }

  /** Panels that stand beside one. */
  beside(panel: Panel): Panel[] {
    const group = panel.element.parentElement;
    return this.ordered().filter((other) => other.element.parentElement === group);
  }

  groupOf(panel: Panel): HTMLElement | undefined {
    return [...this.groups.values()].find((element) => element.contains(panel.element));
  }

  private groupElement(group: Group): HTMLElement {
    const element = this.groups.get(group.key) ?? el("div", { class: "group", "data-group": group.key });
    this.groups.set(group.key, element);
    group.panels.forEach((content, place) => {
      let panel = this.panels.get(content.key);
      if (panel) {
        panel.update(content);
      } else {
        panel = this.newPanel(content);
      }
      if (element.children[place] !== panel.element) element.insertBefore(panel.element, element.children[place] ?? null);
    });
    element.style.setProperty("--panels", String(group.panels.length));
    return element;
  }

  private newPanel(content: Group["panels"][number]): Panel {
    const host: PanelHost = { ...this.host.panels, frameChanged: (panel) => this.follow(panel) };
    const panel = new Panel(content, this.shared, host);
    this.panels.set(content.key, panel);
    attachPointer(panel, this.host);
    panel.element.addEventListener("focus", () => this.host.activate(panel));
    panel.picture.addEventListener("dblclick", () => {
      const tool = this.host.tool();
      if (tool === "window" || tool === "pan") this.host.enlarge(panel);
    });
    this.sight.observe(panel.element);
    this.sizes.observe(panel.picture);
    return panel;
  }

  /** The other panels go to the same slice, and to the same place in their series. */
  private follow(leader: Panel): void {
    const wanted: Frame | undefined = leader.frame;
    if (wanted) {
      for (const panel of this.panels.values()) {
        if (panel !== leader && !panel.isPlaying) panel.goTo(frameLike(panel.content.frames, wanted, leader.index), true);
      }
    }
    this.host.changed(this);
  }

  private readonly dirty = new Map<Panel, boolean>();

  /** Once for each picture of the screen, however often it is asked for. */
  private redraw(panel: Panel, isDrawing: boolean): void {
    if (this.dirty.size === 0) requestAnimationFrame(() => this.drawDirty());
    this.dirty.set(panel, (this.dirty.get(panel) ?? false) || isDrawing);
  }

  private view = "";

  private drawDirty(): void {
    const { zoom, center } = this.shared.view;
    const view = [zoom, center.x, center.y].join();
    const isMoved = view !== this.view;
    this.view = view;
    for (const panel of this.isOpen ? this.dirty.keys() : []) {
      if (isMoved) panel.draw();
      else panel.drawOver();
    }
    this.dirty.clear();
  }

  private showNotices(session: Session): void {
    const wanted = session.notices.filter(({ level }) => level !== Notice_Level.INFO);
    const failure = session.endReason !== "" && session.endReason !== "CLOSE" && wanted.length === 0 ? session.endReason : "";
    const what = [wanted.length, failure, this.areAllNoticesShown].join();
    if (what === this.shownNotices) return;
    this.shownNotices = what;
    // The worst first.
    const sorted = [...wanted].sort((a, b) => b.level - a.level);
    const shown = this.areAllNoticesShown ? sorted : sorted.slice(0, FIRST_NOTICES);
    this.notices.replaceChildren(...shown.map(noticeElement));
    if (failure !== "") this.notices.append(el("p", { class: "notice error" }, el("strong", {}, "ended"), ` ${failure}`));
    const more = wanted.length - shown.length;
    if (more > 0) {
      const all = el("button", { type: "button", class: "plain" }, `${more} more`);
      all.addEventListener("click", () => {
        this.areAllNoticesShown = true;
        this.showNotices(this.scan.session);
      });
      this.notices.append(all);
    }
  }
}

function noticeElement(notice: Notice): HTMLElement {
  const isError = notice.level === Notice_Level.ERROR;
  const where = [
    notice.source,
    notice.slice !== undefined && `slice ${notice.slice}`,
    notice.repetition !== undefined && `repetition ${notice.repetition}`,
  ].filter(Boolean);
  const element = el(
    "p",
    { class: `notice ${isError ? "error" : "warning"}` },
    el("strong", {}, isError ? "✕ error" : "! warning"),
    ` ${[where.join(", "), notice.what].filter(Boolean).join(": ")}`,
  );
  if (notice.remedy !== "") element.append(el("span", { class: "remedy" }, notice.remedy));
  return element;
}
