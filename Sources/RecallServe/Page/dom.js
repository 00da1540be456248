// Elements made without a parser: whatever a name holds stays text.

const svgNamespace = "http://www.w3.org/2000/svg";

/** An element of HTML with properties and children: nodes, or values that become text. */
export function element(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

/** The same of SVG. */
export function shape(name, properties = {}, ...children) {
  return filled(document.createElementNS(svgNamespace, name), properties, children);
}

function filled(node, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

/** Sets a text where it is another, so that a selection in it and screen readers are left alone. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A model's colours, which the style sheet chooses from. */
export function paint(node, look) {
  node.classList.add("painted");
  node.style.setProperty("--on-light", look.colour);
  node.style.setProperty("--on-dark", look.colour_on_dark);
  return node;
}

/**
 * Makes the children of a node those of some items, in their order. A child stays the same node while its item stays, and
 * so keeps the focus.
 *
 * @param key what tells an item from the others
 * @param make a node for an item that is new
 * @param update brings a node up to date
 */
export function keep(parent, items, key, make, update) {
  const former = parent.kept ?? new Map();
  const names = items.map(key);
  const staying = new Set(names);
  for (const [name, node] of former) if (!staying.has(name)) node.remove();
  const kept = new Map();
  let next = parent.firstChild;
  items.forEach((item, place) => {
    const node = former.get(names[place]) ?? make(item);
    kept.set(names[place], node);
    update(node, item);
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  });
  parent.kept = kept;
}
