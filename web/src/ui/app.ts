/** The page: what comes from the server goes into sections, what the reader does goes to panels. */

import { Link, type LinkState } from "../model/link";
import { PixelStore } from "../model/pixels";
import { Store, type Change } from "../model/store";
import { hasEnded } from "../model/store";
import { ImageKind } from "../proto/boreside/v1/images_pb";
import type { WatchResponse } from "../proto/boreside/v1/live_pb";
import type { ServerInfo } from "../proto/boreside/v1/server_pb";
import type { Tool } from "./shared";
import { Banner } from "./banner";
import { Details } from "./details";
import { saveExport, saveNifti, savePicture } from "./downloads";
import { button, el, setText } from "./element";
import { helpDialog } from "./help";
import { actionOf, type Action } from "./keys";
import type { Panel } from "./panel";
import { actOnPanel, type PanelActions } from "./panel_actions";
import { contourHint } from "./pointer";
import { ScanList } from "./scan_list";
import { ScanSection, type SectionHost } from "./scan_section";
import { Timings } from "./timings";
import { verdictOf } from "./wording";

/** So many scans open by themselves, the newest. */
const OPEN_BY_THEMSELVES = 2;

const TOOLS: readonly { tool: Tool; sign: string; hint: string }[] = [
  { tool: "window", sign: "◐ Window", hint: "window: drag right for wider, up for brighter (W)" },
  { tool: "pan", sign: "✥ Pan", hint: "move the image (P)" },
  { tool: "ellipse", sign: "◯ Ellipse", hint: "mean and standard deviation in an ellipse (E)" },
  { tool: "polygon", sign: "⬠ Polygon", hint: "mean and standard deviation in a polygon (G)" },
  { tool: "line", sign: "╱ Line", hint: "values along a line (L)" },
  { tool: "segments", sign: "◎ Bull's-eye", hint: "mean values of the wall's segments (B)" },
];

/** When no image has come for so long, none is likely to come at once. */
const QUIET_MS = 300;

export class App {
  readonly element = el("div", { class: "app" });
  readonly timings = new Timings(() => this.askDetails());
  private readonly store = new Store((change) => this.take(change), (key) => this.pixels.has(key));
  private readonly pixels: PixelStore = new PixelStore(
    (image) => this.link.pixels(image),
    (key) => this.pixelsCame(key),
    (key) => this.store.isOfServer(key),
  );
  private readonly link: Link;
  private readonly sections = new Map<string, ScanSection>();
  private readonly list = new ScanList((key) => this.goTo(key));
  private readonly banner = new Banner(() => this.link.reconnectNow(), (token) => this.link.setToken(token));
  private readonly details: Details;
  private readonly help = helpDialog();
  private readonly main = el("main", { class: "scans", tabindex: -1 });
  private readonly empty = el("div", { class: "empty" });
  private readonly hint = el("span", { class: "hint", role: "status" });
  private readonly spoken = el("div", { class: "spoken", "aria-live": "polite" });
  private readonly server = el("span", { class: "server quiet" });
  private readonly toolButtons = new Map<Tool, HTMLButtonElement>();
  private readonly dirty = new Set<string>();
  private tool: Tool = "window";
  private active: { section: ScanSection; panel: Panel } | undefined;
  /** Whether the reader chose it; else it is the newest. */
  private isChosen = false;
  private enlarged: HTMLElement | undefined;
  private info: ServerInfo | undefined;
  private isCaughtUp = false;
  /** Whether the server had to tell everything anew on this line. */
  private wasReset = false;
  private areDetailsStale = false;
  private isFrameAsked = false;
  private quietTimer: number | undefined;

  constructor(origin: string) {
    this.link = new Link(origin, {
      state: (state) => this.linkChanged(state),
      event: (event, arrivedMs) => this.event(event, arrivedMs),
      server: (info) => this.serverAnswered(info),
    });
    this.details = new Details({
      exportFormats: () => this.info?.exportFormats ?? [],
      screenDelayMs: (key) => this.timings.delayMs(key, Date.now() - this.link.serverNowMs()),
      windowChanged: (panel) => this.windowChanged(panel),
      savePicture: (panel) => this.savePicture(panel),
      saveNifti: (panel) => this.saving(panel, (section) => saveNifti(panel, section.scan.session, this.pixels)),
      saveExport: (panel, format) => this.saving(panel, (section) => saveExport(panel, format, this.link, section.scan)),
    });
    this.build();
  }

  start(): void {
    this.link.start();
    window.setInterval(() => this.tick(), 1000);
    document.addEventListener("keydown", (event) => this.key(event));
  }

  private build(): void {
    const tools = el("div", { class: "tools", role: "toolbar", "aria-label": "tools" });
    for (const { tool, sign, hint } of TOOLS) {
      const made = button(sign, hint, () => this.setTool(tool));
      made.setAttribute("aria-pressed", String(tool === this.tool));
      this.toolButtons.set(tool, made);
      tools.append(made);
    }
    const head = el(
      "header",
      { class: "top" },
      el("h1", {}, "Boreside"),
      this.banner.lamp,
      tools,
      this.hint,
      this.server,
      button("Details", "show or hide the details (D)", () => this.toggleDetails()),
      button("?", "keys and help (?)", () => this.help.showModal()),
    );
    this.empty.append(
      el("h2", {}, "No scan yet"),
      el("p", {}, "Images and maps appear here by themselves while a scan runs."),
      el("p", { class: "quiet" }, "To try it: ", el("code", {}, "boreside simulate molli --to localhost:9002 --chain molli_t1 --pace realtime")),
    );
    this.main.append(this.empty);
    this.element.append(head, this.banner.element, el("div", { class: "body" }, this.list.element, this.main, this.details.element), this.help, this.spoken);
  }

  private linkChanged(state: LinkState): void {
    this.banner.show(state);
  }

  private serverAnswered(info: ServerInfo): void {
    this.info = info;
    setText(this.server, `${info.version}${info.scannerAddress ? ` · scanners: ${info.scannerAddress}` : ""}`);
    if (info.isShuttingDown) this.banner.tell("The server takes no new scans: it is about to end.");
    this.askDetails();
  }

  private event(event: WatchResponse["event"], arrivedMs: number): void {
    if (event.case === "hello") this.wasReset = false;
    if (event.case === "reset") [this.wasReset, this.isCaughtUp] = [true, false];
    this.store.take(event, arrivedMs);
    // Not before the store knows which images are the server's.
    if (event.case === "hello") this.pixels.retry();
    if (event.case !== "image" || !event.value.image) return;
    const { image, pixels } = event.value;
    const key = this.store.imageKey(image.id);
    if (this.isCaughtUp) this.timings.arrived(key, image, arrivedMs);
    if (pixels) this.pixels.put(key, pixels);
  }

  private take(change: Change): void {
    switch (change.kind) {
      case "scan":
        this.markDirty(change.scan.key);
        break;
      case "image":
        this.markDirty(change.scan.key);
        if (this.isCaughtUp) this.announce(change.image.image);
        window.clearTimeout(this.quietTimer);
        this.quietTimer = window.setTimeout(() => this.fetchAhead(), QUIET_MS);
        break;
      case "gone":
        this.pixels.drop(change.images);
        for (const key of change.scans) this.dropSection(key);
        this.askFrame();
        break;
      case "restarted":
        this.banner.restarted();
        break;
      case "caught-up":
        this.isCaughtUp = true;
        this.banner.caughtUp(this.wasReset);
        this.askFrame();
        break;
    }
  }

  private announce(image: Parameters<typeof verdictOf>[0]): void {
    if (image.kind !== ImageKind.MAP) return;
    const verdict = verdictOf(image);
    setText(this.spoken, `New map: ${image.title}${verdict ? `, ${verdict.word} ${verdict.reason}` : ""}`);
  }

  private markDirty(scanKey: string): void {
    this.dirty.add(scanKey);
    this.askFrame();
  }

  private pixelsCame(key: string): void {
    for (const section of this.sections.values()) section.pixelsCame(key);
    this.askDetails();
  }

  /** Draws once for each picture of the screen, however much came. */
  private askFrame(): void {
    if (this.isFrameAsked) return;
    this.isFrameAsked = true;
    requestAnimationFrame(() => {
      this.isFrameAsked = false;
      this.render();
    });
  }

  private askDetails(): void {
    this.areDetailsStale = true;
    this.askFrame();
  }

  private render(): void {
    const scans = this.store.scans();
    this.empty.hidden = scans.length > 0 || !this.isCaughtUp;
    let before: Element | null = null;
    scans.forEach((scan, place) => {
      const known = this.sections.get(scan.key);
      const section = known ?? new ScanSection(scan, this.sectionHost);
      this.sections.set(scan.key, section);
      const at: Element | null = before ? before.nextElementSibling : this.main.firstElementChild;
      if (at !== section.element) this.main.insertBefore(section.element, at);
      before = section.element;
      const isNew = !known && (place < OPEN_BY_THEMSELVES || !hasEnded(scan.session));
      while (isNew && this.openCount() >= OPEN_BY_THEMSELVES && this.closeOldest(scan.key));
      if (isNew) section.setOpen(true);
      else if (this.dirty.has(scan.key)) section.arrange();
    });
    for (const section of this.sections.values()) {
      if (!section.isOpen) continue;
      for (const panel of section.panels.values()) if (panel.isStale) panel.draw();
    }
    if (this.main.lastElementChild !== this.empty) this.main.append(this.empty);
    this.list.show(scans, this.active?.section.scan.key ?? scans[0]?.key);
    if (this.active && this.dirty.has(this.active.section.scan.key)) this.areDetailsStale = true;
    this.dirty.clear();
    if (!this.active || !this.isChosen) this.activateFirst();
    // Images first: what is to be read of them comes when the browser has painted them.
    if (this.areDetailsStale) window.setTimeout(() => this.showDetails());
  }

  /** What may be looked at next. It must not be in the way of images that come. */
  private fetchAhead(): void {
    for (const section of this.sections.values()) {
      if (section.isOpen) for (const panel of section.panels.values()) panel.fetchAhead();
    }
  }

  private showDetails(): void {
    if (!this.areDetailsStale) return;
    this.areDetailsStale = false;
    this.details.show(this.active?.section, this.active?.panel);
  }

  /** The newest map, or else the newest image, while the reader has chosen none. */
  private activateFirst(): void {
    for (const scan of this.store.scans()) {
      const section = this.sections.get(scan.key);
      const panel = section?.ordered()[0];
      if (section && panel) {
        this.activate(panel, false);
        return;
      }
    }
  }

  private openCount(): number {
    return [...this.sections.values()].filter(({ isOpen }) => isOpen).length;
  }

  /** An old scan that the reader does not work with gives its place to a new one; whether there was one. */
  private closeOldest(except: string): boolean {
    const open = this.store.scans().flatMap((scan) => this.sections.get(scan.key) ?? []);
    const oldest = open.reverse().find((section) => section.isOpen && section.scan.key !== except && hasEnded(section.scan.session) && !this.isWorkedWith(section));
    oldest?.setOpen(false);
    return oldest !== undefined;
  }

  private isWorkedWith({ shared, element }: ScanSection): boolean {
    const { drawing } = shared;
    const isDrawnOn = drawing.regions.length > 0 || drawing.line !== undefined || drawing.contours.outer !== undefined;
    return isDrawnOn || element.contains(document.activeElement) || (this.enlarged !== undefined && element.contains(this.enlarged));
  }

  private dropSection(key: string): void {
    const section = this.sections.get(key);
    if (!section) return;
    if (this.active?.section === section) this.active = undefined;
    if (this.enlarged && section.element.contains(this.enlarged)) this.enlarge(undefined);
    section.close();
    this.sections.delete(key);
    this.areDetailsStale = true;
  }

  private readonly sectionHost: SectionHost = {
    panels: {
      pixels: this.pixels,
      serverNowMs: () => this.link.serverNowMs(),
      shown: (frame) => this.timings.shown(frame.source.key),
    },
    tool: () => this.tool,
    activate: (panel) => this.activate(panel),
    windowChanged: (panel) => this.windowChanged(panel),
    isEnlarged: () => this.enlarged !== undefined,
    changed: (section) => {
      if (this.active?.section === section) this.askDetails();
      this.showHint();
    },
    enlarge: (panel) => this.enlarge(panel),
  };

  private activate(panel: Panel, isByReader = true): void {
    this.isChosen = isByReader;
    if (this.active?.panel === panel) return;
    const section = [...this.sections.values()].find(({ panels }) => panels.get(panel.content.key) === panel);
    if (!section) return;
    this.active?.panel.element.classList.remove("active");
    this.active = { section, panel };
    panel.element.classList.add("active");
    this.showHint();
    this.askDetails();
  }

  private windowChanged(panel: Panel): void {
    panel.draw();
    this.askDetails();
  }

  private setTool(tool: Tool): void {
    this.tool = tool;
    for (const [of, made] of this.toolButtons) made.setAttribute("aria-pressed", String(of === tool));
    this.main.dataset.tool = tool;
    this.showHint();
  }

  private showHint(): void {
    const panel = this.active?.panel;
    const texts: Partial<Record<Tool, string>> = {
      ellipse: "Drag a box: the ellipse lies in it. Drag an ellipse to move it.",
      polygon: "Click the corners; close at the first, or with Enter.",
      line: "Drag from one end to the other.",
      segments: panel && contourHint(panel),
    };
    setText(this.hint, texts[this.tool] ?? "");
  }

  private goTo(scanKey: string): void {
    const section = this.sections.get(scanKey);
    if (!section) return;
    this.enlarge(undefined);
    section.setOpen(true);
    section.element.scrollIntoView({ block: "start" });
    const first = section.ordered()[0];
    if (first) this.activate(first);
  }

  private enlarge(panel: Panel | undefined): void {
    this.enlarged?.classList.remove("enlarged");
    this.enlarged = panel && [...this.sections.values()].map((section) => section.groupOf(panel)).find((group) => group !== undefined);
    this.enlarged?.classList.add("enlarged");
    this.element.classList.toggle("has-enlarged", this.enlarged !== undefined);
    panel?.element.focus();
  }

  private toggleDetails(): void {
    this.element.classList.toggle("with-details");
    this.element.classList.toggle("without-details");
  }

  private savePicture(panel: Panel): void {
    const section = this.active?.section;
    if (section?.isOpen) savePicture(panel, section.scan.session);
    else if (section) this.banner.tell("Open the scan first: a picture shows what is on the screen.");
  }

  /** `save` may give what is to be said of the file. */
  private saving(_panel: Panel, save: (section: ScanSection) => Promise<string | void>): void {
    const section = this.active?.section;
    if (!section) return;
    const failed = (error: unknown) => {
      const what = error instanceof Error ? error.message.replace(/^\[\w+\] /, "") : String(error);
      this.banner.tell(`It could not be saved: ${what}`);
    };
    save(section).then((remark) => remark && this.banner.tell(remark), failed);
  }

  private readonly panelActions: PanelActions = {
    windowChanged: (panel) => this.windowChanged(panel),
    toggleEnlarged: (panel) => this.enlarge(this.enlarged ? undefined : panel),
    savePicture: (panel) => this.savePicture(panel),
    inGrid: () => [...this.main.querySelectorAll<HTMLElement>(".panel")].filter((element) => element.offsetParent !== null),
  };

  private tick(): void {
    this.banner.tick();
    for (const section of this.sections.values()) section.tick();
  }

  private key(event: KeyboardEvent): void {
    const target = event.target;
    const isTyping = target instanceof HTMLInputElement && target.type !== "range";
    if (isTyping || target instanceof HTMLSelectElement || this.help.open) return;
    // Buttons keep their own keys.
    const isButton = target instanceof HTMLButtonElement || (target instanceof HTMLElement && target.tagName === "SUMMARY");
    if (isButton && (event.key === " " || event.key === "Enter")) return;
    const action = actionOf(event);
    if (action && this.act(action)) event.preventDefault();
  }

  /** Whether something was done. */
  private act(action: Action): boolean {
    switch (action.do) {
      case "tool":
        this.setTool(action.tool);
        return true;
      case "help":
        this.help.showModal();
        return true;
      case "details":
        this.toggleDetails();
        return true;
      case "newest": {
        const newest = this.store.scans()[0];
        if (newest) this.goTo(newest.key);
        this.isChosen = false;
        return true;
      }
      case "back": {
        // First what is being drawn is given up.
        const shared = this.active?.section.shared;
        if (shared && shared.drawing.open.length > 0) {
          shared.drawing.open = [];
          shared.drawn();
        } else {
          this.enlarge(undefined);
        }
        return true;
      }
      default:
        return this.active ? actOnPanel(action, this.active.section, this.active.panel, this.panelActions) : false;
    }
  }
}
