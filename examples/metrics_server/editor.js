// SPDX-License-Identifier: MIT
// The dialogs that add, change and remove an entry. What was typed is thrown away only by who says so.

import { Refused, entryPath, request } from "./server.js";
import { complain, find, named, say, shownKey } from "./shown.js";

const kJson = { "Content-Type": "application/json" };
let edited = null; // { key, tag }, or nothing where an entry is added; without a tag it was removed meanwhile
let before = ""; // what stood in the editor before anything was typed
let doomed = null; // { key, tag } as it was shown
let changed = null; // called after a change

export async function load(key) {
  const response = await request("GET", entryPath(key, "&pretty"));
  return { key, tag: response.headers.get("ETag"), text: await response.text() }; // text: numbers may not fit JavaScript's
}

const typed = () => JSON.stringify([find("editor-key").value, find("editor-value").value]);
const isDirty = () => find("editor").open && typed() !== before;

/** Runs an action of a dialog. A change that is in memory, and not yet on disk, has happened. */
async function attempt(dialog, action, key, done, refused) {
  const buttons = [...dialog.querySelectorAll("button")];
  const place = document.activeElement;
  buttons.forEach((button) => (button.disabled = true));
  try {
    await action();
    dialog.close();
    await changed(key, done);
  } catch (error) {
    if (error instanceof Refused && error.applied) {
      dialog.close();
      await changed(key, `${done} But it is not yet on disk: ${error.message}`, true);
    } else {
      await refused(error);
    }
  } finally {
    buttons.forEach((button) => (button.disabled = false));
    if (dialog.open && document.activeElement === document.body) place?.focus();
  }
}

// --- adding and editing --------------------------------------------------------------------------------

function show(title, value) {
  find("editor-title").textContent = title;
  find("editor-key").hidden = edited !== null;
  document.querySelector("label[for=editor-key]").hidden = edited !== null;
  find("editor-shown-key").hidden = edited === null;
  find("editor-shown-key").replaceChildren(edited === null ? "" : shownKey(edited.key));
  find("editor-value").value = value;
  before = typed();
  hideTheirs();
  complain("editor-error", "");
  hint();
  if (!find("editor").open) find("editor").showModal();
  (edited === null ? find("editor-key") : find("editor-value")).focus();
  find("editor-value").setSelectionRange(0, 0); // a long value begins at its beginning
  find("editor-value").scrollTop = 0;
}

function hideTheirs() {
  for (const id of ["editor-theirs", "editor-reload", "editor-take"]) find(id).hidden = true;
}

export function add() {
  edited = null;
  find("editor-key").value = "";
  show("Add entry", "");
}

export async function edit(key) {
  try {
    const { tag, text } = await load(key);
    edited = { key, tag };
    find("editor-key").value = "";
    show("Edit entry", text);
  } catch (error) {
    await changed(key, error.message, true);
  }
}

function problemOf(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return error.message;
  }
}

/** Says while one types whether it is JSON. */
function hint() {
  const text = find("editor-value").value;
  const place = find("editor-hint");
  const [words, makeText] = place.children;
  const problem = problemOf(text);
  const empty = text.trim() === "";
  words.textContent = empty ? 'Such as {"city": "Oslo"}, 42, true or "a text"' : problem ? `Not JSON yet: ${problem}` : "";
  place.classList.toggle("bad", !empty && problem !== "");
  find("editor-value").setAttribute("aria-invalid", String(!empty && problem !== ""));
  makeText.hidden = problem === "" || empty || /^\s*[[{"]/.test(text);
}

function save() {
  const body = find("editor-value").value;
  complain("editor-error", "");
  if (problemOf(body) !== "") { // the hint says so: the server need not say it again
    find("editor-hint").classList.add("bad");
    return find("editor-value").focus();
  }
  const key = edited === null ? find("editor-key").value : edited.key;
  const condition = edited?.tag ? { "If-Match": edited.tag } : { "If-None-Match": "*" };
  const action = () => request("PUT", entryPath(key), { headers: { ...kJson, ...condition }, body });
  return attempt(find("editor"), action, key, `${edited === null ? "Added" : "Saved"} ${named(key)}.`, refuseSave);
}

function refuseSave(error) {
  if (error.status !== 412) return complain("editor-error", error.message);
  if (edited === null) return complain("editor-error", "There is an entry with this key already.");
  complain("editor-error", "Somebody has changed this entry meanwhile. Nothing is saved, and your text is still here.");
  find("editor-reload").hidden = false;
}

/** Beside what was typed, not in its place. */
async function showTheirs() {
  try {
    const { tag, text } = await load(edited.key);
    edited.tag = tag;
    find("editor-theirs").hidden = false;
    find("editor-theirs").querySelector("pre").textContent = text;
    find("editor-take").hidden = false;
    complain("editor-error", "Save puts your text in place of the value that is stored now.");
  } catch (error) {
    if (error.status !== 404) return complain("editor-error", error.message);
    edited.tag = null;
    complain("editor-error", "Somebody has deleted this entry. Save adds it again.");
  }
  find("editor-reload").hidden = true;
  find("editor-save").focus();
}

function takeTheirs() {
  show("Edit entry", find("editor-theirs").querySelector("pre").textContent);
}

/** Closes the editor, or asks first. */
function leave() {
  if (!isDirty()) return find("editor").close();
  find("discard").showModal();
}

// --- deleting ------------------------------------------------------------------------------------------

export function confirmRemoval(key, tag, text) {
  doomed = { key, tag };
  find("removal-key").replaceChildren(shownKey(key));
  find("removal-value").textContent = text;
  complain("removal-error", "");
  if (!find("removal").open) find("removal").showModal();
  find("removal-cancel").focus();
}

function remove() {
  const { key, tag } = doomed;
  const action = () => request("DELETE", entryPath(key), { headers: { "If-Match": tag } });
  return attempt(find("removal"), action, key, `Deleted ${named(key)}.`, refuseRemoval);
}

/** Shows what would be deleted now: nobody deletes a value that he has not seen. */
async function refuseRemoval(error) {
  if (error.status !== 412) return complain("removal-error", error.message);
  try {
    const { key, tag, text } = await load(doomed.key);
    confirmRemoval(key, tag, text);
    complain("removal-error", "Somebody has changed this entry meanwhile. Nothing is deleted. Above is its value now.");
  } catch (again) {
    if (again.status !== 404) return complain("removal-error", again.message);
    find("removal").close();
    await changed(doomed.key, `Somebody else has deleted ${named(doomed.key)} already.`);
  }
}

// --- wiring --------------------------------------------------------------------------------------------

function onSubmit(dialogId, act) {
  find(dialogId).querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

/** `onChange(key, text, bad)` is called after an entry was changed. */
export function startEditor(onChange) {
  changed = onChange;
  onSubmit("editor", save);
  onSubmit("removal", remove);
  find("editor-cancel").addEventListener("click", leave);
  find("editor").addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  find("editor").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isDirty()) { // a browser would let a second Escape pass unasked
      event.preventDefault();
      leave();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
  });
  find("discard-confirm").addEventListener("click", () => {
    find("discard").close();
    find("editor").close();
    say("");
  });
  window.addEventListener("beforeunload", (event) => {
    if (isDirty()) event.preventDefault();
  });
  find("removal-cancel").addEventListener("click", () => find("removal").close());
  find("editor-reload").addEventListener("click", showTheirs);
  find("editor-take").addEventListener("click", takeTheirs);
  find("editor-value").addEventListener("input", hint);
  find("editor-hint").querySelector("button").addEventListener("click", () => {
    find("editor-value").value = JSON.stringify(find("editor-value").value);
    hint();
    find("editor-value").focus();
  });
}
