// SPDX-License-Identifier: MIT
// The table of entries, and the dialogs that change them.

import { Refused, entryPath, request } from "./server.js";

const kPageSize = 25;
const kPreviewBytes = 300;
const find = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");

/** What would not be seen, or would turn the text around it. */
const kInvisible = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g;

/** A key as text, never as markup: the empty one and what is invisible in it are shown too. */
function shownKey(key) {
  const shown = document.createElement("bdi");
  if (key === "") {
    shown.append(emphasized("(empty key)"));
    return shown;
  }
  let end = 0;
  for (const match of key.matchAll(kInvisible)) {
    const code = match[0].charCodeAt(0).toString(16).padStart(4, "0");
    shown.append(key.slice(end, match.index), emphasized(`\\u${code}`));
    end = match.index + 1;
  }
  shown.append(key.slice(end));
  return shown;
}

function emphasized(text) {
  const made = document.createElement("em");
  made.textContent = text;
  return made;
}

function say(text, bad = false) {
  find("message").textContent = text;
  find("message").classList.toggle("bad", bad);
}

function complain(id, text) {
  find(id).textContent = text;
  find(id).hidden = text === "";
}

// --- the table -----------------------------------------------------------------------------------------

let after = null; // the key that the page shown comes behind
let next = null;
let latest = 0; // an answer that was overtaken by another is thrown away
let typing = 0; // the timer of a search that waits until one has typed

function row(entry) {
  const made = document.createElement("tr");
  const cell = (className, ...content) => {
    const td = document.createElement("td");
    td.className = className;
    td.append(...content);
    made.append(td);
  };
  const action = (text, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-label", `${text} ${entry.key || "the empty key"}`);
    button.addEventListener("click", act);
    return button;
  };
  cell("key", shownKey(entry.key));
  cell("value", entry.preview);
  cell("number", count.format(entry.bytes));
  cell("actions", action("Edit", () => edit(entry.key)), action("Delete", () => confirmRemoval(entry)));
  return made;
}

function emptyRow() {
  const made = document.createElement("tr");
  const cell = made.insertCell();
  cell.colSpan = 4;
  cell.className = "empty";
  cell.textContent = find("prefix").value ? "No key starts so." : "There are no entries yet.";
  return made;
}

export async function refresh() {
  const mine = ++latest;
  const query = new URLSearchParams({ prefix: find("prefix").value, limit: kPageSize, preview: kPreviewBytes });
  if (after !== null) query.set("after", after);
  let list;
  try {
    list = await (await request("GET", `/entries?${query}`)).json();
  } catch (error) {
    if (mine === latest) say(error.message, true);
    return;
  }
  if (mine !== latest) return;
  if (list.entries.length === 0 && after !== null) return goTo(null); // the last page is gone
  find("rows").replaceChildren(...(list.entries.length ? list.entries.map(row) : [emptyRow()]));
  next = list.next;
  find("first").disabled = after === null;
  find("next").disabled = next === null;
  const matching = `${count.format(list.matching)} ${list.matching === 1 ? "entry" : "entries"}`;
  find("range").textContent = find("prefix").value ? `${matching} found` : matching;
}

function goTo(key) {
  clearTimeout(typing); // or it would go back to the first page later
  after = key;
  return refresh();
}

/** After a change: the table anew, and what happened; the keyboard's place is not lost. */
async function changed(text, bad = false) {
  await refresh();
  say(text, bad);
  if (document.activeElement === document.body) find("add").focus();
}

/** Runs an action of a dialog. A change that is in memory, and not yet on disk, has happened. */
async function attempt(dialog, errorId, action, done) {
  const buttons = [...dialog.querySelectorAll("button")];
  buttons.forEach((button) => (button.disabled = true));
  try {
    await action();
    dialog.close();
    await changed(done);
  } catch (error) {
    if (error instanceof Refused && error.applied) {
      dialog.close();
      await changed(`${done} But it is not yet on disk: ${error.message}`, true);
    } else {
      const exists = error.status === 412 && edited === null;
      complain(errorId, exists ? "There is an entry with this key already." : error.message);
      find("editor-reload").hidden = error.status !== 412 || exists;
    }
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

// --- adding and editing --------------------------------------------------------------------------------

let edited = null; // { key, tag }, or nothing where an entry is added

function named(key) {
  const shown = shownKey(key).textContent;
  return `“${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}”`;
}

function openEditor(title, value) {
  find("editor-title").textContent = title;
  find("editor-key").hidden = edited !== null;
  document.querySelector("label[for=editor-key]").textContent = "Key";
  find("editor-shown-key").hidden = edited === null;
  find("editor-shown-key").replaceChildren(edited === null ? "" : shownKey(edited.key));
  find("editor-value").value = value;
  find("editor-reload").hidden = true;
  complain("editor-error", "");
  hint();
  if (!find("editor").open) find("editor").showModal();
  (edited === null ? find("editor-key") : find("editor-value")).focus();
}

function add() {
  edited = null;
  find("editor-key").value = find("prefix").value;
  openEditor("Add entry", "");
}

async function edit(key) {
  try {
    const response = await request("GET", entryPath(key, "&pretty"));
    edited = { key, tag: response.headers.get("ETag") };
    openEditor("Edit entry", await response.text()); // the text, since numbers may not fit JavaScript's
  } catch (error) {
    await changed(error.message, true);
  }
}

/** Says while one types whether it is JSON; the server has the last word. */
function hint() {
  const text = find("editor-value").value;
  const place = find("editor-hint");
  const [words, makeText] = place.children;
  let problem = "";
  try {
    JSON.parse(text);
  } catch (error) {
    problem = error.message;
  }
  words.textContent = text.trim() === "" ? 'Such as {"city": "Oslo"}, 42, true or "a text"' :
    problem ? `Not JSON yet: ${problem}` : "";
  place.classList.toggle("bad", text.trim() !== "" && problem !== "");
  makeText.hidden = problem === "" || text.trim() === "" || /^\s*[[{"]/.test(text);
}

function save() {
  const body = find("editor-value").value;
  const type = { "Content-Type": "application/json" };
  if (edited === null) {
    const key = find("editor-key").value;
    const action = () => request("PUT", entryPath(key), { headers: { ...type, "If-None-Match": "*" }, body });
    return attempt(find("editor"), "editor-error", action, `Added ${named(key)}.`);
  }
  const { key, tag } = edited;
  const action = () => request("PUT", entryPath(key), { headers: { ...type, "If-Match": tag }, body });
  return attempt(find("editor"), "editor-error", action, `Saved ${named(key)}.`);
}

// --- deleting ------------------------------------------------------------------------------------------

let doomed = null; // { key, tag } as the table shows it

function confirmRemoval(entry) {
  doomed = { key: entry.key, tag: entry.etag };
  find("removal-key").replaceChildren(shownKey(entry.key));
  complain("removal-error", "");
  find("removal").showModal();
}

function remove() {
  const { key, tag } = doomed;
  const action = () => request("DELETE", entryPath(key), { headers: { "If-Match": tag } });
  return attempt(find("removal"), "removal-error", action, `Deleted ${named(key)}.`);
}

// --- wiring --------------------------------------------------------------------------------------------

function onSubmit(dialogId, act) {
  find(dialogId).querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

export function startEntries() {
  find("prefix").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => goTo(null), 150);
  });
  find("search").addEventListener("submit", (event) => {
    event.preventDefault();
    goTo(null);
  });
  find("refresh").addEventListener("click", () => {
    say("");
    refresh();
  });
  find("first").addEventListener("click", () => goTo(null));
  find("next").addEventListener("click", () => goTo(next));
  find("add").addEventListener("click", add);
  onSubmit("editor", save);
  onSubmit("removal", remove);
  find("editor-cancel").addEventListener("click", () => find("editor").close());
  find("removal-cancel").addEventListener("click", () => find("removal").close());
  find("editor-reload").addEventListener("click", () => edit(edited.key));
  find("editor-value").addEventListener("input", hint);
  find("editor-value").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
  });
  find("editor-hint").querySelector("button").addEventListener("click", () => {
    find("editor-value").value = JSON.stringify(find("editor-value").value);
    hint();
  });
}
