/** What the page says of times, states and verdicts. */

import { Verdict_Decision, type Image } from "../proto/boreside/v1/images_pb";
import { SessionState, type Session } from "../proto/boreside/v1/sessions_pb";

/** A time span as people say it. */
export function spanText(ms: number): string {
  if (ms < 950) return `${Math.max(0, Math.round(ms))} ms`;
  const s = ms / 1000;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  return h < 48 ? `${h} h ${min % 60} min` : `${Math.floor(h / 24)} days`;
}

/** How long ago something was. */
export function agoText(ms: number): string {
  return ms < 1500 ? "now" : `${ms < 60_000 ? `${Math.round(ms / 1000)} s` : spanText(ms)} ago`;
}

// Made once: that is slow.
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function clockText(unixMs: number): string {
  return CLOCK.format(unixMs);
}

export function bytesText(n: number): string {
  if (n < 1024) return `${n} B`;
  const power = Math.min(Math.floor(Math.log2(n) / 10), 4);
  return `${(n / 1024 ** power).toFixed(1)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

export interface VerdictWords {
  readonly className: "accept" | "check" | "repeat";
  /** Shape, which says the same as the colour. */
  readonly sign: string;
  readonly word: string;
  readonly reason: string;
}

export function verdictOf(image: Image): VerdictWords | undefined {
  const reason = image.verdict?.reason ?? "";
  switch (image.verdict?.decision) {
    case Verdict_Decision.ACCEPT:
      return { className: "accept", sign: "✓", word: "accept", reason };
    case Verdict_Decision.CHECK:
      return { className: "check", sign: "!", word: "check", reason };
    case Verdict_Decision.REPEAT:
      return { className: "repeat", sign: "↻", word: "repeat", reason };
    default:
      return undefined;
  }
}

/** The worst of several verdicts. */
export function worstVerdict(images: readonly Image[]): VerdictWords | undefined {
  const order = ["accept", "check", "repeat"];
  let worst: VerdictWords | undefined;
  for (const image of images) {
    const verdict = verdictOf(image);
    if (verdict && order.indexOf(verdict.className) > order.indexOf(worst?.className ?? "")) worst = verdict;
  }
  return worst;
}

export interface StateWords {
  readonly className: "running" | "ended" | "failed" | "before";
  readonly text: string;
}

export function stateOf(session: Session, isFromBefore: boolean): StateWords {
  if (isFromBefore) return { className: "before", text: "before the restart" };
  switch (session.state) {
    case SessionState.OPENING:
      return { className: "running", text: "begins" };
    case SessionState.RECEIVING:
      return { className: "running", text: progressOf(session) === undefined ? "data arrive" : "scanning" };
    case SessionState.FINISHING:
      return { className: "running", text: "reconstructs" };
    case SessionState.FAILED:
      return { className: "failed", text: "failed" };
    default:
      return { className: "ended", text: "done" };
  }
}

/** Share of the readouts that have arrived; `undefined` where nobody knows. */
export function progressOf(session: Session): number | undefined {
  if (session.nReadoutsExpected === 0n) return undefined;
  return Math.min(Number(session.nReadouts) / Number(session.nReadoutsExpected), 1);
}

export function nameOf(session: Session): string {
  const protocol = session.protocol;
  return protocol?.name || protocol?.seriesDescription || session.chain || `session ${session.id}`;
}
