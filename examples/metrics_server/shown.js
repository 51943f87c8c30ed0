// SPDX-License-Identifier: MIT
// How keys and messages are shown.

export const find = (id) => document.getElementById(id);
export const count = new Intl.NumberFormat("en");

/** What would not be seen, or would turn the text around it. */
const kInvisible = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g;
const kMessageTime = 10000;

function emphasized(text) {
  const made = document.createElement("em");
  made.textContent = text;
  return made;
}

/** A key as text, never as markup: the empty one and what is invisible in it are shown too. */
export function shownKey(key) {
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

/** In quotes, shortened. */
export function named(key) {
  const shown = shownKey(key).textContent;
  return `“${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}”`;
}

let ending = 0; // the timer of a message
let untilSaved = false; // whether the message is true only while something is not on disk

/** What has happened. Good news end by themselves, bad ones with the next action. */
export function say(text, bad = false, onlyUntilSaved = false) {
  clearTimeout(ending);
  find("message").textContent = text;
  find("message").classList.toggle("bad", bad);
  untilSaved = onlyUntilSaved;
  if (!bad) ending = setTimeout(() => say(""), kMessageTime);
}

/** Everything is on disk. */
export function saved() {
  if (untilSaved) say("");
}

export function complain(id, text) {
  find(id).textContent = text;
  find(id).hidden = text === "";
}
