// What charts are made of: scales, a frame with axes, markers.

import { paint, shape } from "/dom.js";
import { bytes } from "/text.js";

/** Ticks of 0 and more at steps of 1, 2 or 5 times a power of ten, no more than `most` steps; the last is at or above `end`. */
export function linearTicks(end, most, smallestStep = 0) {
  if (!(end > 0)) return [0, smallestStep || 1];
  const raw = Math.max(end / most, smallestStep);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw * 0.999999);
  const steps = Math.ceil(end / step - 1e-9);
  return Array.from({ length: steps + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/** An axis from 0 to the last of its ticks. */
export function linear(label, ticks) {
  const end = ticks[ticks.length - 1];
  return { label, ticks: ticks.map((tick) => [tick, String(tick)]), place: (value) => value / end };
}

/** An axis of bytes, an octave as long as the next, that has room for all values. */
export function octaves(label, values, most) {
  let low = Math.floor(Math.log2(Math.min(...values)));
  let high = Math.ceil(Math.log2(Math.max(...values)));
  if (high - low < 2) [low, high] = [low - 1, high + 1];
  const step = Math.max(1, Math.ceil((high - low) / most));
  const ticks = [];
  for (let power = Math.ceil(low / step) * step; power <= high; power += step) {
    ticks.push([2 ** power, bytes(2 ** power).replace(".0 ", " ")]);
  }
  return { label, ticks, place: (value) => (Math.log2(value) - low) / (high - low) };
}

const margin = { left: 46, right: 22, top: 10, bottom: 42 };

/**
 * A chart as wide as its container, empty but for its axes.
 *
 * @returns the svg, its layer for data, and the places of values in pixels
 */
export function frame(width, height, x, y, description) {
  const [right, bottom] = [width - margin.right, height - margin.bottom];
  const placeX = (value) => margin.left + x.place(value) * (right - margin.left);
  const placeY = (value) => bottom - y.place(value) * (bottom - margin.top);
  const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description });
  for (const [value, text] of y.ticks) {
    const at = placeY(value);
    svg.append(
      shape("line", { class: "grid", x1: margin.left, x2: right, y1: at, y2: at }),
      shape("text", { class: "tick", x: margin.left - 6, y: at + 4, "text-anchor": "end" }, text),
    );
  }
  for (const [value, text] of x.ticks) {
    const at = placeX(value);
    svg.append(
      shape("line", { class: "grid", x1: at, x2: at, y1: margin.top, y2: bottom }),
      shape("text", { class: "tick", x: at, y: bottom + 16, "text-anchor": "middle" }, text),
    );
  }
  const data = shape("g");
  svg.append(
    shape("line", { class: "axis", x1: margin.left, x2: right, y1: bottom, y2: bottom }),
    shape("line", { class: "axis", x1: margin.left, x2: margin.left, y1: margin.top, y2: bottom }),
    shape("text", { class: "title", x: (margin.left + right) / 2, y: height - 6, "text-anchor": "middle" }, x.label),
    data,
  );
  return { svg, data, x: placeX, y: placeY, right, left: margin.left };
}

/** A chart's height for its width. */
export function heightFor(width) {
  return Math.round(Math.min(360, Math.max(220, width * 0.62)));
}

// Corners on a circle of radius 1, clockwise from the right; y goes down.
const regular = (corners, turn) =>
  Array.from({ length: corners }, (_, index) => {
    const angle = (2 * Math.PI * index) / corners + turn;
    return [Math.cos(angle), Math.sin(angle)];
  });
const outlines = {
  square: regular(4, Math.PI / 4),
  triangle: regular(3, -Math.PI / 2),
  diamond: regular(4, 0),
  pentagon: regular(5, -Math.PI / 2),
  downward: regular(3, Math.PI / 2),
};

/** A marker in a model's colour. */
export function marker(look, x, y, { size = 5, open = false } = {}) {
  const outline = outlines[look.shape];
  const node = outline
    ? shape("polygon", { points: outline.map(([dx, dy]) => `${x + dx * size * 1.15},${y + dy * size * 1.15}`).join(" ") })
    : shape("circle", { cx: x, cy: y, r: size });
  node.classList.add("marker", open ? "open" : "full");
  return paint(node, look);
}

/** A line through places, in a model's colour. A null breaks it. */
export function line(look, places, { width = 1.6, dashes = look.dashes } = {}) {
  let path = "";
  let isDown = false;
  for (const place of places) {
    if (place) path += `${isDown ? "L" : "M"}${place[0].toFixed(1)} ${place[1].toFixed(1)}`;
    isDown = place !== null;
  }
  const node = shape("path", {
    class: "line",
    d: path,
    "stroke-width": width,
    "stroke-dasharray": dashes.length > 0 ? dashes.join(" ") : null,
  });
  return paint(node, look);
}

/** A model's line and marker beside its name. */
export function sample(look) {
  const svg = shape("svg", { class: "sample", width: 26, height: 14, "aria-hidden": "true" });
  if (look) svg.append(line(look, [[1, 7], [25, 7]]), marker(look, 13, 7, { size: 4 }));
  return svg;
}
