/** Whether an image can be used: a shape, a word and a colour that all say the same. */

import type { VerdictWords } from "./wording";
import { el } from "./element";

export function badge(verdict: VerdictWords, isShort = false): HTMLElement {
  const { className, sign, word, reason } = verdict;
  const title = reason === "" ? word : `${word}: ${reason}`;
  const made = el("span", { class: `badge ${className}`, title, "aria-label": title, role: "img" }, el("b", {}, sign));
  if (!isShort) made.append(el("span", {}, word));
  return made;
}
