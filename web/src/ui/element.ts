/** Elements of the page. */

type Attributes = Record<string, string | number | boolean | undefined>;

/** Makes an element. Attributes that are `false` or `undefined` are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** A button. `hint` is its tooltip, and its name where it shows but a sign. */
export function button(text: string, hint: string, onClick: () => void, className = ""): HTMLButtonElement {
  const made = el("button", { type: "button", title: hint, class: className || undefined }, text);
  if (hint !== "") made.setAttribute("aria-label", hint);
  made.addEventListener("click", onClick);
  return made;
}

/** Sets an element's text where it differs: an equal one would be read out again. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
