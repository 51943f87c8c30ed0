// SPDX-License-Identifier: MIT
// Asks for the store's figures each second and shows them; says when the server is gone.

import { Chart, kSpan } from "./charts.js";
import { noteApplied, refresh, startEntries } from "./entries.js";
import { Refused, keepToken, request } from "./server.js";
import { find, saved } from "./shown.js";

const kPause = 1000;
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const short = (value) => (value < 10000 ? whole : compact).format(value);

function duration(seconds) {
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`;
  if (seconds >= 0.001) return `${(seconds * 1e3).toPrecision(3)} ms`;
  return `${(seconds * 1e6).toPrecision(3)} µs`;
}

/** Of the axis, whose unit stands above it. */
const milliseconds = (value) => (value === 0 ? "0" : String(Number(value.toPrecision(3))));

const charts = {
  operations: new Chart(find("chart-operations"), {
    least: 10,
    format: short,
    series: [
      { name: "reads", className: "series-1", of: (sample) => sample.reads },
      { name: "writes", className: "series-2", of: (sample) => sample.writes },
      { name: "refused", className: "series-3", of: (sample) => sample.refused },
    ],
  }),
  saves: new Chart(find("chart-saves"), {
    least: 1,
    powers: true,
    format: milliseconds,
    series: [
      { name: "succeeded", className: "series-1",
        of: (sample) => (sample.saves > 0 && sample.failed_saves === 0 ? sample.save_seconds * 1000 : null) },
      { name: "failed", className: "series-3",
        of: (sample) => (sample.failed_saves > 0 ? sample.save_seconds * 1000 : null) },
    ],
  }),
  unsaved: new Chart(find("chart-unsaved"), {
    least: 10,
    format: short,
    series: [{ name: "unsaved", className: "series-1", of: (sample) => sample.unsaved }],
  }),
};

let samples = [];
let started = null; // which run of the server they are of

function take(metrics) {
  if (metrics.started !== started) {
    const again = started !== null;
    samples = [];
    started = metrics.started;
    if (again) return false; // what was asked for was of the run before
  }
  samples = samples.concat(metrics.history).slice(-kSpan);
  return true;
}

function show(metrics) {
  const last = samples.at(-1);
  document.title = `${metrics.store} · kvstore`;
  find("store").textContent = metrics.store;
  find("now-entries").textContent = whole.format(metrics.entries);
  find("now-operations").textContent = last ? whole.format(last.reads + last.writes) : "–";
  find("now-unsaved").textContent = whole.format(metrics.unsaved);
  const { succeeded, failed, last_seconds, last_error } = metrics.saves;
  find("now-save").textContent = succeeded + failed ? duration(last_seconds) : "–";
  find("now-saves").textContent = whole.format(succeeded);
  find("now-failed").textContent = failed ? `${whole.format(failed)} failed` : "";
  find("save-error").hidden = last_error === null;
  find("save-error").textContent = `The last save failed, so changes are in memory only: ${last_error}`;
  if (last_error === null) saved();
  document.body.classList.toggle("read-only", metrics.read_only);
  noteApplied(metrics.read_only ? metrics.refresh.changes : metrics.applied);
  if (metrics.read_only) showAge(metrics.refresh);
  charts.operations.show(samples);
  charts.saves.show(samples);
  const limit = metrics.batch_size > 1 ? { value: metrics.batch_size, name: "a batch is" } : null;
  charts.unsaved.show(samples, limit);
}

let oldSince = ""; // the time of day when the files were read last, while they cannot be read

/** How old it is what a store shows that is open for reading only. */
function showAge({ age_seconds, old, error }) {
  const age = age_seconds < 90 ? `${whole.format(age_seconds)} s` : `${whole.format(age_seconds / 60)} min`;
  find("now-age").textContent = `${age} ago`;
  oldSince = old ? oldSince || new Date(Date.now() - age_seconds * 1000).toLocaleTimeString() : "";
  const text = `The store's files cannot be read. What is shown is of ${oldSince}: ${error ?? "reading takes long"}`;
  find("refresh-error").hidden = !old;
  if (find("refresh-error").textContent !== text) find("refresh-error").textContent = text;
}

function setState(state, text) {
  if (document.body.dataset.state === state && state !== "connecting") return;
  document.body.dataset.state = state;
  find("state").textContent = text;
}

async function look() {
  const after = samples.at(-1)?.number ?? 0;
  try {
    const response = await request("GET", `/metrics.json?after=${after}`, { timeout: 5000 });
    const metrics = await response.json();
    const wasLive = ["live", "old"].includes(document.body.dataset.state);
    if (!take(metrics)) return look();
    if (metrics.refresh?.old) setState("old", "Out of date");
    else setState("live", metrics.read_only ? "Live, for reading only" : "Live");
    show(metrics);
    if (!wasLive) refresh();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return setState("locked", "Locked: it needs a token");
    if (error instanceof Refused) return setState("gone", `The server is in trouble: ${error.message}`);
    setState("gone", `The server is gone since ${new Date().toLocaleTimeString()}. Trying again …`);
  }
}

async function watch() {
  await look();
  setTimeout(watch, kPause);
}

let refused = false; // whether a token was tried already

function askForToken() {
  if (find("login").open) return;
  find("login-error").hidden = !refused;
  find("login-error").textContent = "That is not the token of this server.";
  find("login").showModal();
}

/** Charts leave the entries their place: folded on a small screen, and as one has left them. */
function foldCharts() {
  const kept = localStorage.getItem("kvstore-charts");
  find("charts").open = kept ? kept === "open" : innerWidth > 640;
  find("charts").addEventListener("toggle", () => {
    localStorage.setItem("kvstore-charts", find("charts").open ? "open" : "closed");
    Object.values(charts).forEach((chart) => chart.draw());
  });
}

document.addEventListener("token-needed", askForToken);
find("login").addEventListener("cancel", (event) => event.preventDefault());
find("login").querySelector("form").addEventListener("submit", () => {
  refused = true;
  keepToken(find("token").value.trim());
  find("token").value = "";
  look();
});

foldCharts();
startEntries();
watch();
