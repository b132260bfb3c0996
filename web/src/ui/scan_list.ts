/** All scans at one glance, the newest first. */

import { ImageKind } from "../proto/boreside/v1/images_pb";
import type { Scan } from "../model/store";
import { badge } from "./badge";
import { el, setText } from "./element";
import { clockText, nameOf, progressOf, stateOf, worstVerdict } from "./wording";

interface Row {
  readonly element: HTMLButtonElement;
  readonly name: HTMLElement;
  readonly about: HTMLElement;
  readonly badgePlace: HTMLElement;
}

export class ScanList {
  readonly element = el("nav", { class: "scan-list", "aria-label": "scans" });
  private readonly rows = new Map<string, Row>();

  constructor(private readonly choose: (scanKey: string) => void) {}

  show(scans: readonly Scan[], chosen: string | undefined): void {
    const keys = new Set(scans.map(({ key }) => key));
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    scans.forEach((scan, place) => {
      const row = this.rows.get(scan.key) ?? this.newRow(scan.key);
      this.describe(row, scan, scan.key === chosen);
      if (this.element.children[place] !== row.element) this.element.insertBefore(row.element, this.element.children[place] ?? null);
    });
  }

  private newRow(key: string): Row {
    const [name, about, badgePlace] = [el("span", { class: "row-name" }), el("span", { class: "row-about quiet" }), el("span")];
    const element = el("button", { type: "button", class: "scan-row" }, name, badgePlace, about);
    element.addEventListener("click", () => this.choose(key));
    const row = { element, name, about, badgePlace };
    this.rows.set(key, row);
    return row;
  }

  private describe({ element, name, about, badgePlace }: Row, scan: Scan, isChosen: boolean): void {
    const { session, images, isFromBefore } = scan;
    const state = stateOf(session, isFromBefore);
    element.className = `scan-row ${state.className}`;
    if (isChosen) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
    setText(name, nameOf(session));
    const progress = progressOf(session);
    const share = state.className === "running" && progress !== undefined ? ` ${Math.round(100 * progress)} %` : "";
    setText(about, `${clockText(session.startedUnixMs)} · ${state.text}${share}`);
    element.style.setProperty("--done", state.className === "running" ? String(progress ?? 0) : "0");
    const verdict = worstVerdict(images.filter(({ image }) => image.kind === ImageKind.MAP).map(({ image }) => image));
    const shown = verdict?.word ?? "";
    if (badgePlace.dataset.shown === shown) return;
    badgePlace.dataset.shown = shown;
    badgePlace.replaceChildren(...(verdict ? [badge(verdict, true)] : []));
  }
}
