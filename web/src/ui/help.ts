/** What can be done here, over the page. */

import { button, el } from "./element";
import { KEYS } from "./keys";

export function helpDialog(): HTMLDialogElement {
  const dialog = el("dialog", { class: "help", "aria-labelledby": "help-title" });
  const columns = KEYS.map(({ title, entries }) =>
    el(
      "section",
      {},
      el("h3", {}, title),
      el("dl", {}, ...entries.flatMap(({ keys, what }) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, what)])),
    ),
  );
  dialog.append(
    el("header", {}, el("h2", { id: "help-title" }, "Keys"), button("✕", "close", () => dialog.close())),
    el("div", { class: "help-columns" }, ...columns),
    el("p", { class: "quiet" }, "Values are those of the map, in its unit, not those of the colours. A black pixel has no value."),
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}
