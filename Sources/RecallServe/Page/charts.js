// The charts: curves by epoch, and accuracy against the bytes of state as `recall-bench plot tradeoff` has it.

import { element, keep, say, shape } from "/dom.js";
import { frame, heightFor, line, linear, linearTicks, marker, octaves, sample } from "/axes.js";
import { keyEntry, options } from "/tables.js";
import { accuracy, bytes, loss } from "/text.js";

const $ = (selector) => document.querySelector(selector);

/** Puts a chart in place of the one before; a sentence where there is nothing to draw. */
function put(container, title, chart) {
  if (container.children.length === 0) container.append(element("figcaption"), element("div"));
  say(container.children[0], title);
  // Without a place on the page yet it has no width; it is drawn again once it has.
  const content = chart(Math.max(container.clientWidth, 240)) ?? element("p", { class: "nothing" }, "nothing to draw yet");
  container.children[1].replaceChildren(content);
}

const accuracyTicks = [0, 0.2, 0.4, 0.6, 0.8, 1];

// Curves

const manyCurves = 60;

/** What there is to choose from, and which of it is chosen. */
function curveChoice({ runs, tradeoff, looks, curves, choice }) {
  const drawn = runs.filter((run) => curves.has(run.run_id));
  const best = new Set(tradeoff.rows.flatMap((row) => row.run_ids));
  const sets = new Map([
    ["all", ["all", drawn]],
    ["running", ["under way", drawn.filter((run) => run.status === "running")]],
    ["best", ["at the best learning rates", drawn.filter((run) => best.has(run.run_id))]],
  ]);
  for (const model of looks.keys()) {
    sets.set(`model ${model}`, [`of ${model}`, drawn.filter((run) => run.model === model)]);
  }
  const usual = drawn.length <= manyCurves ? "all" : sets.get("running")[1].length > 0 ? "running" : "best";
  const chosen = sets.has(choice.curves) ? choice.curves : usual;
  return { sets, chosen, shown: sets.get(chosen)[1] };
}

export function drawCurves(view) {
  const { looks, choice } = view;
  const { sets, chosen, shown } = curveChoice(view);
  options($("#curves-of"), chosen, [...sets].map(([value, [text, members]]) => [value, `${text}, ${members.length}`]));
  $("#no-run").hidden = choice.run === null;
  // What is to be seen lies above the rest.
  const rank = (run) => (run.run_id === choice.run ? 2 : run.status === "running" ? 1 : 0);
  const runs = [...shown].sort((one, other) => rank(one) - rank(other));
  put($("#accuracy"), "validation accuracy", (width) => curveChart(view, runs, width, "validation_accuracy"));
  put($("#loss"), "validation loss, nats" + (choice.run ? " (dotted: training loss)" : ""), (width) =>
    curveChart(view, runs, width, "validation_loss"),
  );
  const models = [...looks.values()].filter((look) => runs.some((run) => run.model === look.model));
  $("#curves .key").replaceChildren(...models.map((look) => keyEntry(sample(look), look.model)));
}

function curveChart({ looks, curves, choice }, runs, width, figure) {
  if (runs.length === 0) return null;
  const isLoss = figure === "validation_loss";
  const lists = runs.map((run) => curves.get(run.run_id));
  const epochs = linearTicks(Math.max(...lists.map((list) => list.epochs.at(-1))), width / 60, 1);
  const highest = lists.reduce((top, list, place) => {
    const isChosen = runs[place].run_id === choice.run;
    return Math.max(top, ...list[figure], ...(isLoss && isChosen ? list.train_loss : []));
  }, 0);
  const chart = frame(
    width,
    heightFor(width),
    linear("epoch", epochs),
    linear("", isLoss ? linearTicks(highest, 6) : accuracyTicks),
    `${isLoss ? "validation loss" : "validation accuracy"} by epoch, ${runs.length} runs`,
  );
  const isUnderWay = runs.some((run) => run.status === "running");
  runs.forEach((run, place) => {
    const list = lists[place];
    const look = looks.get(run.model);
    const isChosen = run.run_id === choice.run;
    const places = (values) =>
      values.map((value, index) => (value === null ? null : [chart.x(list.epochs[index]), chart.y(value)]));
    const curve = places(list[figure]);
    const group = shape("g", {
      class: "run",
      "data-run": run.run_id,
      "data-epochs": list.epochs.length,
      opacity: choice.run ? (isChosen ? 1 : 0.15) : isUnderWay && run.status !== "running" ? 0.45 : 1,
    });
    const last = list[figure].at(-1);
    group.append(
      shape("title", {}, `${run.label}, ${run.status}: ${(isLoss ? loss : accuracy)(last)} after epoch ${list.epochs.at(-1)}`),
      line(look, curve, { width: isChosen ? 3 : run.status === "running" ? 2.4 : 1.6 }),
    );
    if (isChosen && isLoss) {
      group.append(line(look, places(list.train_loss), { width: 1.6, dashes: [1, 4] }));
    }
    const end = curve.findLast((point) => point !== null);
    if (end) group.append(marker(look, end[0], end[1], { size: isChosen ? 5 : 3.5 }));
    chart.data.append(group);
  });
  return chart.svg;
}

// The tradeoff

export function drawTradeoff({ tradeoff, looks }) {
  const { rows } = tradeoff;
  const settings = [...new Set(rows.map((row) => row.setting))];
  const panels = settings.length > 0 ? settings : [""];
  keep(
    $("#tradeoff .charts"),
    panels,
    (setting) => setting,
    () => element("figure"),
    () => {},
  );
  $("#tradeoff .charts").classList.toggle("one", panels.length === 1);
  [...$("#tradeoff .charts").children].forEach((container, place) => {
    const setting = panels[place];
    const title = "test accuracy" + (setting === "" ? "" : `: ${setting}`);
    put(container, title, (width) => tradeoffChart(rows, setting, looks, width));
  });
  $("#tradeoff .key").replaceChildren(...tradeoffKey(rows, looks));
}

function tradeoffChart(rows, setting, looks, width) {
  const here = rows.filter((row) => row.setting === setting);
  if (here.length === 0) return null;
  const states = octaves("state of one sequence", rows.map((row) => row.state_bytes), width / 70);
  const chart = frame(
    width,
    heightFor(width),
    states,
    linear("", accuracyTicks),
    `test accuracy against bytes of state, ${here.length} points; the table below has the numbers`,
  );
  const place = (row) => [chart.x(row.state_bytes), chart.y(row.accuracy)];
  for (const [name, value] of [["chance", here[0].chance], ["sequence", here[0].chance_in_sequence]]) {
    chart.data.append(shape("line", { class: name, x1: chart.left, x2: chart.right, y1: chart.y(value), y2: chart.y(value) }));
  }
  chart.data.append(...frontier(here, chart));
  for (const model of new Set(here.map((row) => row.model))) {
    const look = looks.get(model);
    const points = here.filter((row) => row.model === model).sort((one, other) => one.state_bytes - other.state_bytes);
    const isCurve = new Set(points.map((row) => row.state_bytes)).size === points.length;
    if (isCurve && points.length > 1) chart.data.append(line(look, points.map(place)));
    for (const row of points) chart.data.append(tradeoffPoint(row, look, chart, place(row)));
  }
  return chart.svg;
}

/** Seeds are drawn as `recall-bench plot tradeoff` draws them. */
const hasInterval = (row) => row.low !== undefined;
const hasSeeds = (row) => row.seed_accuracies.length > 1;
/** Of several seeds that are too few for an interval. */
const hasRange = (row) => hasSeeds(row) && !hasInterval(row) && row.minimum < row.maximum;
const rangeDashes = [3, 3];

function spreadText(row) {
  if (hasInterval(row)) return `, 95 % from ${accuracy(row.low)} to ${accuracy(row.high)}`;
  return hasRange(row) ? `, seeds from ${accuracy(row.minimum)} to ${accuracy(row.maximum)}` : "";
}

function tradeoffPoint(row, look, chart, [x, y]) {
  const group = shape("g", { class: "point" });
  group.append(shape("title", {}, `${row.label}: ${accuracy(row.accuracy)} with ${bytes(row.state_bytes)}${spreadText(row)}`));
  if (hasInterval(row)) group.append(line(look, [[x, chart.y(row.low)], [x, chart.y(row.high)]], { dashes: [] }));
  if (hasRange(row)) {
    group.append(line(look, [[x, chart.y(row.minimum)], [x, chart.y(row.maximum)]], { dashes: rangeDashes }));
  }
  if (hasSeeds(row)) {
    for (const value of row.seed_accuracies) {
      const dot = marker({ ...look, shape: "circle" }, x, chart.y(value), { size: 2 });
      dot.classList.add("seed");
      group.append(dot);
    }
  }
  group.append(marker(look, x, y, { open: row.learning_rate_at_edge }));
  if (row.standing === "possible") group.append(shape("circle", { class: "ring", cx: x, cy: y, r: 9 }));
  return group;
}

/** Level from each row on it to the next one's state, then up. */
function frontier(rows, chart) {
  const on = rows
    .filter((row) => row.standing === "on")
    .sort((one, other) => one.state_bytes - other.state_bytes || one.accuracy - other.accuracy);
  if (on.length === 0) return [];
  let path = `M${chart.x(on[0].state_bytes)} ${chart.y(0)}`;
  for (const row of on) path += `H${chart.x(row.state_bytes)}V${chart.y(row.accuracy)}`;
  return [shape("path", { class: "frontier", d: path + `H${chart.right}` })];
}

function tradeoffKey(rows, looks) {
  const drawing = (...children) => shape("svg", { class: "sample", width: 26, height: 14, "aria-hidden": "true" }, ...children);
  const stroke = (name) => drawing(shape("line", { class: name, x1: 1, x2: 25, y1: 7, y2: 7 }));
  const grey = { colour: "#555555", colour_on_dark: "#bbbbbb", shape: "circle", dashes: [] };
  const level = (name) => {
    const levels = [...new Set(rows.map((row) => accuracy(row[name])))];
    return levels.length === 1 ? `: ${levels[0]}` : "";
  };
  const models = [...new Set(rows.map((row) => row.model))];
  const entries = models.map((model) => keyEntry(sample(looks.get(model)), model));
  const add = (isDrawn, picture, text) => isDrawn && entries.push(keyEntry(picture, text));
  add(
    rows.some((row) => row.standing === "on"),
    stroke("frontier"),
    "frontier: nothing with as little state is more accurate",
  );
  add(
    rows.some((row) => row.standing === "possible"),
    drawing(shape("circle", { class: "ring", cx: 13, cy: 7, r: 6 })),
    "perhaps on it: the seeds do not tell",
  );
  add(
    rows.some((row) => row.learning_rate_at_edge),
    drawing(marker(grey, 13, 7, { open: true })),
    "open: at the edge of the learning rates tried",
  );
  add(
    rows.some(hasInterval),
    drawing(line(grey, [[13, 1], [13, 13]])),
    "95 % interval over seeds",
  );
  add(
    rows.some(hasRange),
    drawing(line(grey, [[13, 1], [13, 13]], { dashes: rangeDashes })),
    "range of the seeds, which are too few for an interval",
  );
  add(rows.some(hasSeeds), drawing(marker(grey, 13, 7, { size: 2 })), "a dot for each seed");
  add(
    rows.some((row) => row.state_bytes === 0),
    stroke("break"),
    "left of this line, at 0 B: no state",
  );
  add(rows.length > 0, stroke("sequence"), "a guess among the sequence's values" + level("chance_in_sequence"));
  add(rows.length > 0, stroke("chance"), "a guess among all values" + level("chance"));
  return entries;
}
