// Everything on the page that is text: progress, errors, runs under way, the tables.

import { element, keep, say } from "/dom.js";
import { accuracy, bytes, count, duration, learningRate, loss, missing, number } from "/text.js";
import { sample } from "/axes.js";

const $ = (selector) => document.querySelector(selector);

/** How far a suite is, an epoch of a run under way counting as much of a run as it is. */
export function suiteBar(suite) {
  const underWay = suite.running_runs.reduce((sum, run) => sum + run.epoch / Math.max(1, run.total_epochs), 0);
  const share = suite.runs > 0 ? Math.min(1, (suite.finished + suite.failed + underWay) / suite.runs) : 1;
  return { share, percent: `${Math.floor(share * 100)} %` };
}

export function showProgress({ counted, suite }) {
  say($("#suite-name"), counted.suite);
  $("#description").hidden = suite.description === "";
  say($("#description"), suite.description);
  const { share, percent } = suiteBar(counted);
  $("#progress").value = share;
  say($("#progress"), percent);
  const isOver = counted.pending + counted.running + counted.interrupted === 0;
  const left = isOver
    ? "nothing left to train"
    : counted.seconds_left === undefined
      ? "time left unknown"
      : `at most ${duration(counted.seconds_left)} left`;
  const kinds = ["finished", "running", "failed", "pending", "interrupted"];
  const counts = kinds.filter((kind) => counted[kind] > 0).map((kind) => `${counted[kind]} ${kind}`);
  say($("#counts"), [`${percent} of ${number(counted.runs, "run")}`, left, ...counts].join(" · "));
  $("#control").hidden = suite.warning === undefined;
  $("#control").dataset.control = suite.control;
  say($("#control"), suite.warning ?? "");
}

const mostFailures = 20;

export function showFailures({ runs }) {
  const failed = runs.filter((run) => run.status === "failed");
  $("#failures").hidden = failed.length === 0;
  const shown = failed.slice(0, mostFailures);
  if (failed.length > shown.length) {
    shown.push({ key: "more", label: `and ${failed.length - shown.length} more, in the table of runs`, error: "" });
  }
  keep(
    $("#failures ul"),
    shown,
    (run) => run.key,
    () => element("li", {}, element("strong"), element("pre")),
    (item, run) => {
      say(item.children[0], run.label);
      say(item.children[1], run.error ?? "");
      item.children[1].hidden = !run.error;
    },
  );
}

export function showRunning({ runs, looks }) {
  const running = runs.filter((run) => run.status === "running");
  $("#running").hidden = running.length === 0;
  keep(
    $("#running ul"),
    running,
    (run) => run.key,
    (run) =>
      element(
        "li",
        {},
        element("span", { class: "label" }, sample(looks.get(run.model)), element("strong")),
        element("progress", { "aria-label": run.label }),
        element("span"),
        element("span", { class: "holder" }),
      ),
    (item, run) => {
      say(item.querySelector("strong"), run.label);
      item.children[1].max = run.total_epochs;
      item.children[1].value = run.epoch;
      const parts = [`epoch ${run.epoch}/${run.total_epochs}`];
      if (run.epoch > 0) parts.push(`loss ${loss(run.train_loss)}`, `accuracy ${accuracy(run.validation_accuracy)}`);
      if (run.seconds_left !== undefined) parts.push(`at most ${duration(run.seconds_left)} left`);
      say(item.children[2], parts.join(" · "));
      say(item.children[3], `${run.host}, process ${run.pid}`);
    },
  );
}

// Tables

/** Brings a table up to date: columns are `{title, text, number, hint}`, and the first heads its row. */
function fill(table, columns, items, key, head) {
  if (table.tHead === null) table.append(element("thead", {}, element("tr")), element("tbody"));
  keep(
    table.tHead.rows[0],
    columns,
    (column) => column.title,
    (column) => element("th", { scope: "col", class: column.number && "number" }, column.title),
    () => {},
  );
  keep(
    table.tBodies[0],
    items,
    key,
    (item) => {
      const row = element("tr", {}, element("th", { scope: "row" }, ...head.make(item)));
      for (const column of columns.slice(1)) row.append(element("td", { class: column.number && "number" }));
      return row;
    },
    (row, item) => {
      head.update(row, item);
      columns.slice(1).forEach((column, place) => {
        say(row.cells[place + 1], column.text(item));
        if (column.hint) row.cells[place + 1].title = column.hint(item);
      });
    },
  );
}

const standings = {
  on: ["◆", "on the frontier: nothing with as little state is more accurate"],
  possible: ["◇", "perhaps on the frontier: the seeds do not tell"],
  off: ["", ""],
};

/** "0.714–0.926"; "range 0.714–0.926" for two seeds, which have no interval; empty for one. */
function seedRange(row) {
  if (row.low !== undefined) return `${accuracy(row.low)}–${accuracy(row.high)}`;
  return row.seeds > 1 ? `range ${accuracy(row.minimum)}–${accuracy(row.maximum)}` : "";
}

export function showTradeoff({ tradeoff, looks }) {
  const { rows } = tradeoff;
  const region = $("#tradeoff .table");
  region.hidden = rows.length === 0;
  const columns = [
    { title: "model" },
    { title: "state", number: true, text: (row) => bytes(row.state_bytes) },
    { title: "parameters", number: true, text: (row) => count(row.parameters) },
    {
      title: "learning rate",
      number: true,
      text: (row) => learningRate(row.learning_rate) + (row.learning_rate_at_edge ? "*" : ""),
      hint: (row) => (row.learning_rate_at_edge ? "at the edge of those tried: the best may lie beyond" : ""),
    },
    {
      title: "seeds",
      number: true,
      text: (row) => (row.failed_seeds > 0 ? `${row.seeds} of ${row.seeds + row.failed_seeds}` : `${row.seeds}`),
    },
    {
      title: "test accuracy",
      number: true,
      text: (row) => accuracy(row.accuracy) + (row.seeds_spread ? "~" : ""),
      hint: (row) =>
        row.seeds_spread ? "seeds more than 0.2 apart: they may be of two kinds, and the mean of neither" : "",
    },
    { title: "95 %", number: true, text: (row) => seedRange(row) || missing },
    {
      title: "outcome",
      text: (row) => row.outcome + (row.is_guess ? "°" : ""),
      hint: (row) => (row.is_guess ? "no better than a guess among the sequence's own values" : ""),
    },
    {
      title: "frontier",
      text: (row) => standings[row.standing][0],
      hint: (row) =>
        [standings[row.standing][1], row.ranking && `ranking: ${row.ranking}`].filter(Boolean).join("; "),
    },
  ];
  fill($("#tradeoff table"), columns, rows, (row) => [row.setting, row.label, row.run_ids[0]].join("\n"), {
    make: (row) => [sample(looks.get(row.model)), element("span")],
    update: (line, row) => say(line.cells[0].children[1], [row.label, row.setting].filter(Boolean).join(", ")),
  });
}

const fewRuns = 50;
const statuses = ["running", "failed", "interrupted", "pending", "finished"];

export function showRuns({ counted, runs, looks, choice, choose }) {
  options($("#runs-of"), choice.status, [
    ["all", `all ${counted.runs}`],
    ...statuses.map((status) => [status, `${status}, ${counted[status]}`]),
  ]);
  const matching = runs.filter((run) => choice.status === "all" || run.status === choice.status);
  const shown = choice.allRuns ? matching : matching.slice(0, fewRuns);
  $("#more-runs").hidden = matching.length <= fewRuns;
  say($("#more-runs"), choice.allRuns ? `show the first ${fewRuns}` : `show all ${matching.length}`);
  $("#runs .table").hidden = shown.length === 0;
  const columns = [
    { title: "run" },
    { title: "status", text: (run) => run.status, hint: (run) => run.error ?? "" },
    { title: "epochs", number: true, text: (run) => `${run.epoch}/${run.total_epochs}` },
    { title: "training loss", number: true, text: (run) => loss(run.train_loss) },
    { title: "validation", number: true, text: (run) => accuracy(run.validation_accuracy) },
    { title: "test", number: true, text: (run) => accuracy(run.test_accuracy) },
    { title: "time", number: true, text: (run) => (run.seconds === undefined ? missing : duration(run.seconds)) },
    { title: "state", number: true, text: (run) => bytes(run.state_bytes) },
    { title: "id", text: (run) => run.run_id },
  ];
  fill($("#runs table"), columns, shown, (run) => run.key, {
    make: (run) => [
      sample(looks.get(run.model)),
      element("button", { type: "button", class: "plain", onclick: () => choose(run.run_id) }),
    ],
    update: (row, run) => {
      const button = row.cells[0].children[1];
      say(button, run.label);
      button.setAttribute("aria-pressed", String(run.run_id === choice.run));
      button.title = "show its curve among the others";
      row.dataset.status = run.status;
    },
  });
}

/** Brings the options of a menu up to date: pairs of value and text. */
export function options(select, chosen, pairs) {
  keep(
    select,
    pairs,
    ([value]) => value,
    ([value]) => element("option", { value }),
    (option, [, text]) => say(option, text),
  );
  if (select.value !== chosen) select.value = chosen;
}

/** A line of a chart's key. */
export function keyEntry(drawing, text) {
  return element("li", {}, drawing, element("span", {}, text));
}

