/** How the line to the server is, in plain words, and what was told of it. */

import type { LinkState } from "../model/link";
import { button, el, setText } from "./element";
import { clockText, spanText } from "./wording";

export class Banner {
  readonly element = el("div", { class: "banner", role: "status", "aria-live": "polite", hidden: true });
  /** One word beside a lamp, always there. */
  readonly lamp = el("span", { class: "lamp", role: "status" });
  private state: LinkState = { kind: "connecting" };
  private note: { text: string; untilMs: number } | undefined;
  private wasLost = false;

  constructor(
    private readonly reconnect: () => void,
    private readonly setToken: (token: string) => void,
  ) {}

  show(state: LinkState): void {
    this.state = state;
    if (state.kind === "lost") this.wasLost = true;
    this.render();
  }

  /** The page knows all that there is. `wasReset`: the server had to tell it anew. */
  caughtUp(wasReset: boolean): void {
    if (!this.wasLost) return;
    this.wasLost = false;
    const missed = wasReset ? "The line was away for longer than the server remembers what happened: what it still has is here." : "Nothing was missed.";
    this.tell(`Connected again at ${clockText(Date.now())}. ${missed}`);
  }

  restarted(): void {
    this.wasLost = false;
    this.tell("The server was restarted. Connected again; what it kept is here, and new scans appear.", 20_000);
  }

  /** Says something for a while. */
  tell(text: string, forMs = 12_000): void {
    this.note = { text, untilMs: Date.now() + forMs };
    this.render();
  }

  /** Counts down. */
  tick(): void {
    if (this.note && Date.now() > this.note.untilMs) this.note = undefined;
    if (this.state.kind === "lost" || this.element.dataset.kind === "note") this.render();
  }

  private render(): void {
    const { state } = this;
    this.lamp.dataset.kind = state.kind;
    setText(this.lamp, { connecting: "connecting", live: "live", lost: "not connected", locked: "locked", resting: "resting" }[state.kind]);
    switch (state.kind) {
      case "lost":
        this.showLost(state);
        break;
      case "locked":
        this.showLocked(state.isRefused);
        break;
      default:
        this.showNote();
    }
  }

  private showLost({ why, isRefused, sinceMs, retryAtMs }: Extract<LinkState, { kind: "lost" }>): void {
    const what = isRefused ? "The server refuses this page" : "The server cannot be reached";
    const text = `${what} since ${clockText(sinceMs)}: ${why}.`;
    const before = "What you see is from before. Scans go on without this page.";
    const remedy = isRefused ? before : `${before} If it lasts, see whether the server runs: boreside serve.`;
    if (this.element.dataset.kind !== "lost") {
      this.replace("lost", [
        el("strong", {}, text),
        el("span", {}, remedy),
        el("span", { class: "countdown" }),
        button("Try now", "", this.reconnect),
      ]);
    }
    const strong = this.element.querySelector("strong");
    if (strong) setText(strong, text);
    const countdown = this.element.querySelector(".countdown");
    const left = retryAtMs - Date.now();
    if (countdown) setText(countdown, left > 500 ? `Next try in ${spanText(Math.ceil(left / 1000) * 1000)}.` : "Trying …");
  }

  private showLocked(isRefused: boolean): void {
    if (this.element.dataset.kind === "locked") return;
    const input = el("input", { type: "password", autocomplete: "off", "aria-label": "token", required: true });
    const form = el("form", {}, input, el("button", { type: "submit" }, "Open"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.element.dataset.kind = "";
      this.setToken(input.value.trim());
    });
    const text = isRefused ? "The server does not accept this token." : "This server wants a token.";
    this.replace("locked", [el("strong", {}, text), el("span", {}, "Whoever runs the server has it."), form]);
    input.focus();
  }

  private showNote(): void {
    if (!this.note) {
      this.element.hidden = true;
      this.element.dataset.kind = "";
      return;
    }
    if (this.element.dataset.kind !== "note" || this.element.textContent !== this.note.text) {
      this.replace("note", [el("span", {}, this.note.text)]);
    }
  }

  private replace(kind: string, children: Node[]): void {
    this.element.dataset.kind = kind;
    this.element.hidden = false;
    this.element.replaceChildren(...children);
  }
}
