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

/** The share of an axis of bytes that is for what has no logarithm. */
const zeroShare = 0.13;

/**
 * An axis of bytes, an octave as long as the next, that has room for all values. Where some are 0 it begins with a strip
 * for those, which ends at `breakAt` of the axis' length.
 */
export function octaves(label, values, most) {
  const positive = values.filter((value) => value > 0);
  let low = positive.length > 0 ? Math.floor(Math.log2(Math.min(...positive))) : 0;
  let high = positive.length > 0 ? Math.ceil(Math.log2(Math.max(...positive))) : 0;
  if (high - low < 2) [low, high] = [Math.max(0, low - 1), high + 1];
  const breakAt = positive.length < values.length ? zeroShare : 0;
  const step = Math.max(1, Math.ceil((high - low) / (most * (1 - breakAt))));
  const ticks = breakAt > 0 ? [[0, bytes(0)]] : [];
  for (let power = Math.ceil(low / step) * step; power <= high; power += step) {
    // Beside the 0 there is no room for another right after the break.
    if (breakAt === 0 || power > low) ticks.push([2 ** power, bytes(2 ** power).replace(".0 ", " ")]);
  }
  const place = (value) =>
    value > 0 ? breakAt + ((1 - breakAt) * (Math.log2(value) - low)) / (high - low) : breakAt / 2;
  return { label, ticks, place, breakAt };
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
  if (x.breakAt > 0) {
    const at = margin.left + x.breakAt * (right - margin.left);
    svg.append(shape("line", { class: "break", x1: at, x2: at, y1: margin.top, y2: bottom }));
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
