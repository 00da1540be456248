// Follows the server's events, keeps what they tell, and shows one suite of it.

import { element, keep, say } from "/dom.js";
import { drawCurves, drawTradeoff } from "/charts.js";
import { showFailures, showProgress, showRunning, showRuns, showTradeoff, suiteBar } from "/tables.js";
import { time } from "/text.js";

const sections = ["suites", "runs", "curves", "tradeoffs"];
const $ = (id) => document.getElementById(id);

/** All that is known, a map by key for each section; null before the first event. */
let state = null;
/** What has been chosen on the page. */
const choice = { run: null, curves: null, status: "all", allRuns: false };

// What came in

function take(data) {
  if (data.status) state.status = data.status;
  for (const section of sections) {
    for (const [key, value] of Object.entries(data[section] ?? {})) {
      if (value === null) state[section].delete(key);
      else state[section].set(key, value);
    }
  }
}

const handlers = {
  state(data) {
    state = Object.fromEntries(sections.map((section) => [section, new Map()]));
    take(data);
    trouble(null);
  },
  update(data) {
    take(data);
  },
  trouble(data) {
    trouble(data.message);
  },
};

function trouble(message) {
  $("trouble").hidden = message === null;
  say($("trouble"), message ?? "");
}

// The connection

let source = null;
let lastSign = 0;
let lastChange = null;
/** Milliseconds without a sign of life: the server gives one every fifteen seconds. */
const patience = 40000;

function connect() {
  source?.close();
  lastSign = Date.now();
  source = new EventSource("/api/events");
  for (const [name, handler] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => {
      handler(JSON.parse(event.data));
      lastChange = new Date();
      alive();
      schedule();
    });
  }
  source.addEventListener("beat", alive);
  source.addEventListener("error", () => lost());
}

function alive() {
  lastSign = Date.now();
  connection("live", `live, last change at ${time(lastChange ?? new Date())}`);
}

function lost() {
  if ($("connection").dataset.state !== "lost") {
    connection("lost", `connection lost at ${time(new Date())}, trying again …`);
  }
  // The browser tries again by itself unless it has given up.
  if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || connect(), 2000);
}

function connection(name, text) {
  $("connection").dataset.state = name;
  document.body.dataset.connection = name;
  say($("connection"), text);
}

setInterval(() => {
  if (document.hidden || Date.now() - lastSign < patience) return;
  lost();
  connect();
}, 5000);

// Browsers keep six connections to one server: pages that nobody sees must not hold them.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return connect();
  source?.close();
  connection("paused", "paused while out of sight");
});

// What is shown

let isScheduled = false;

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    if (state) show();
  });
}

/** The suite that the address names; else one that has something left, else the first. */
function chosenSuite() {
  const wanted = new URLSearchParams(location.hash.slice(1)).get("suite");
  const suites = state.status.suites;
  return (
    suites.find((suite) => suite.suite === wanted) ??
    suites.find((suite) => suite.running > 0) ??
    suites.find((suite) => suite.pending + suite.interrupted > 0) ??
    suites[0]
  );
}

function show() {
  const { status } = state;
  say($("database"), status.database);
  const counted = chosenSuite();
  $("empty").hidden = counted !== undefined;
  $("suite").hidden = counted === undefined;
  showSuites(counted);
  if (counted === undefined) return;
  document.title = `${counted.suite} – recall-bench`;
  const suite = state.suites.get(counted.suite);
  const runs = suite.runs.map((key) => ({ key, ...state.runs.get(key) }));
  const tradeoff = state.tradeoffs.get(counted.suite);
  const looks = new Map(suite.looks.map((look) => [look.model, look]));
  if (choice.run && !runs.some((run) => run.run_id === choice.run)) choice.run = null;
  const view = { counted, suite, runs, tradeoff, looks, curves: state.curves, choice, choose };
  showProgress(view);
  showFailures(view);
  showRunning(view);
  drawCurves(view);
  drawTradeoff(view);
  showTradeoff(view);
  showRuns(view);
}

function showSuites(counted) {
  const { suites } = state.status;
  $("suites").hidden = suites.length < 2;
  keep(
    $("suites"),
    suites.length < 2 ? [] : suites,
    (suite) => suite.suite,
    (suite) => {
      const link = element("a", { href: "#" + new URLSearchParams({ suite: suite.suite }) });
      link.append(element("span", { class: "name" }), element("span", { class: "share" }));
      return link;
    },
    (link, suite) => {
      const bar = suiteBar(suite);
      say(link.children[0], suite.suite);
      say(link.children[1], bar.percent + (suite.failed > 0 ? `, ${suite.failed} failed` : ""));
      if (suite === counted) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    },
  );
}

/** A run to be seen among the others; the one that was, again, for none. */
function choose(runID) {
  choice.run = choice.run === runID ? null : runID;
  schedule();
}

$("curves-of").addEventListener("change", (event) => {
  choice.curves = event.target.value;
  schedule();
});
$("runs-of").addEventListener("change", (event) => {
  choice.status = event.target.value;
  schedule();
});
$("more-runs").addEventListener("click", () => {
  choice.allRuns = !choice.allRuns;
  schedule();
});
$("no-run").addEventListener("click", () => choose(choice.run));
addEventListener("hashchange", () => {
  Object.assign(choice, { run: null, curves: null, status: "all", allRuns: false });
  schedule();
});
let width = 0;
new ResizeObserver(([entry]) => {
  if (width !== entry.contentRect.width) schedule();
  width = entry.contentRect.width;
}).observe($("suite"));

connect();
