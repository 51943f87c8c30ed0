// SPDX-License-Identifier: MIT
// The table of entries, and a pane for the one that is looked at. Search and place are in the address, so that they stay
// over a reload.

import { add, confirmRemoval, edit, load, startEditor } from "./editor.js";
import { request } from "./server.js";
import { count, find, named, say, shownKey } from "./shown.js";

const kPageSize = 25;
const kPreviewBytes = 300;
const kSearchPause = 150; // milliseconds until one has typed

let place = {}; // { after } or { before }: the key from which the page is counted; neither is the first page
let next = null;
let previous = null;
let latest = 0; // an answer that was overtaken by another is thrown away
let typing = 0; // the timer of a search
let applied = null; // changes of the store until now
let shownAt = null; // and when the table was asked for
let looked = null; // the entry in the pane

// --- the table -----------------------------------------------------------------------------------------

function button(text, key, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", `${text} ${key || "the empty key"}`);
  made.addEventListener("click", act);
  return made;
}

function row(entry) {
  const made = document.createElement("tr");
  made.entryKey = entry.key;
  const cell = (className, ...content) => {
    const td = document.createElement("td");
    td.className = className;
    td.append(...content);
    made.append(td);
  };
  const name = button("Show", entry.key, () => look(entry.key));
  name.replaceChildren(shownKey(entry.key));
  const actions = document.createElement("div");
  actions.append(button("Edit", entry.key, () => edit(entry.key)),
    button("Delete", entry.key, () => confirmRemoval(entry.key, entry.etag, entry.preview)));
  cell("key", name);
  cell("value", entry.preview);
  cell("number", count.format(entry.bytes));
  cell("actions writes", actions);
  return made;
}

function emptyRow() {
  const made = document.createElement("tr");
  const cell = made.insertCell();
  cell.colSpan = 4;
  cell.className = "empty";
  const words = { prefix: "No key starts so.", key_contains: "No key has that.", value_contains: "No value has that." };
  cell.textContent = find("prefix").value ? words[find("field").value] : "There are no entries yet.";
  return made;
}

function able(id, yes) {
  find(id).setAttribute("aria-disabled", String(!yes)); // `disabled` would take the focus away
}

function search() {
  return find("prefix").value ? { [find("field").value]: find("prefix").value } : {};
}

function keepAddress() {
  const kept = new URLSearchParams({ ...search(), ...place }).toString();
  history.replaceState(null, "", kept ? `#${kept}` : location.pathname);
}

function readAddress() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const { value } of find("field").options) {
    if (!kept.has(value)) continue;
    find("field").value = value;
    find("prefix").value = kept.get(value);
  }
  place = kept.has("after") ? { after: kept.get("after") } : kept.has("before") ? { before: kept.get("before") } : {};
}

export async function refresh() {
  const mine = ++latest;
  const asked = applied;
  const query = new URLSearchParams({ ...search(), ...place, limit: kPageSize, preview: kPreviewBytes });
  let list;
  try {
    list = await (await request("GET", `/entries?${query}`)).json();
  } catch (error) {
    if (mine === latest) say(error.message, true);
    return;
  }
  if (mine !== latest) return;
  if (list.entries.length === 0 && list.matching > 0) return goTo({}); // the page has gone
  shownAt = asked;
  find("stale").hidden = true;
  find("rows").replaceChildren(...(list.entries.length ? list.entries.map(row) : [emptyRow()]));
  ({ next, previous } = list);
  able("first", previous !== null);
  able("previous", previous !== null);
  able("next", next !== null);
  showRange(list);
}

function showRange({ matching, position, entries }) {
  const found = `${count.format(matching)} ${matching === 1 ? "entry" : "entries"}${find("prefix").value ? " found" : ""}`;
  const some = `${count.format(position + 1)} to ${count.format(position + entries.length)} of `;
  find("range").textContent = entries.length < matching ? some + found : found;
}

function goTo(where) {
  clearTimeout(typing); // or it would go back to the first page later
  place = where;
  keepAddress();
  return refresh();
}

/** After a change: the table anew, and what happened; the keyboard's place is not lost. */
async function changed(key, text, bad = false) {
  await refresh();
  say(text, bad, bad);
  if (looked?.key === key) await look(key, false);
  if (document.activeElement !== document.body) return;
  const same = [...find("rows").children].find((one) => one.entryKey === key);
  (same?.querySelector("td.key button") ?? find("add")).focus();
}

/** The changes that the store has had until now: tells whether the table is of an earlier time. */
export function noteApplied(changes) {
  applied = changes;
  shownAt ??= changes;
  find("stale").hidden = shownAt === changes;
}

// --- the pane ------------------------------------------------------------------------------------------

async function look(key, focus = true) {
  try {
    looked = await load(key);
  } catch (error) {
    closePane();
    if (focus) say(error.message, true);
    return;
  }
  find("pane-key").replaceChildren(shownKey(key));
  find("pane-value").textContent = looked.text;
  find("pane").hidden = false;
  if (focus) find("pane-title").focus();
}

function closePane() {
  const key = looked?.key;
  looked = null;
  find("pane").hidden = true;
  const same = [...find("rows").children].find((one) => one.entryKey === key);
  (same?.querySelector("td.key button") ?? find("prefix")).focus();
}

async function copyValue() {
  try {
    await navigator.clipboard.writeText(looked.text);
    say(`Copied the value of ${named(looked.key)}.`);
  } catch {
    getSelection().selectAllChildren(find("pane-value"));
    say("The browser does not let the page copy; the value is selected.", true);
  }
}

// --- the export ----------------------------------------------------------------------------------------

/** Fetched, since a link would not bring the token. */
async function exportAll() {
  say("Exporting …");
  try {
    const response = await request("GET", `/export?${new URLSearchParams(search())}`, { timeout: 3600000 });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = `${find("store").textContent.replace(/\.json$/, "")}-export.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say(find("prefix").value ? "Exported the entries that were found." : "Exported all entries.");
  } catch (error) {
    say(`The export has not come in full: ${error.message}`, true);
  }
}

// --- wiring --------------------------------------------------------------------------------------------

function onClick(id, act) {
  find(id).addEventListener("click", () => {
    if (find(id).getAttribute("aria-disabled") !== "true") act();
  });
}

export function startEntries() {
  readAddress();
  startEditor(changed);
  const searched = () => {
    say("");
    return goTo({});
  };
  find("prefix").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(searched, kSearchPause);
  });
  find("field").addEventListener("change", searched);
  find("search").addEventListener("submit", (event) => {
    event.preventDefault();
    searched();
  });
  onClick("refresh", () => {
    say("");
    refresh();
  });
  onClick("first", () => goTo({}));
  onClick("previous", () => goTo({ before: previous }));
  onClick("next", () => goTo({ after: next }));
  onClick("add", add);
  onClick("export", exportAll);
  onClick("pane-copy", copyValue);
  onClick("pane-edit", () => edit(looked.key));
  onClick("pane-delete", () => confirmRemoval(looked.key, looked.tag, looked.text));
  onClick("pane-close", closePane);
  find("pane").addEventListener("keydown", (event) => {
    if (event.key === "Escape") closePane();
  });
}
