// SPDX-License-Identifier: MIT
// Requests to the server, with its token.

const kTokenName = "kvstore-token";

export class ServerGone extends Error {}

/** Said by the server: `message` is for people. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.applied = problem.applied === true;
  }
}

export function keepToken(token) {
  sessionStorage.setItem(kTokenName, token);
}

function headers(more) {
  const all = new Headers(more);
  const token = sessionStorage.getItem(kTokenName);
  if (token) all.set("Authorization", `Bearer ${token}`);
  return all;
}

async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

/** The response, if it is a success. Throws ServerGone or Refused; a 401 also raises "token-needed". */
export async function request(method, path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      body: options.body,
      headers: headers(options.headers),
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(options.timeout ?? 15000),
    });
  } catch {
    throw new ServerGone("The server does not answer.");
  }
  if (response.ok) return response;
  if (response.status === 401) document.dispatchEvent(new Event("token-needed"));
  throw new Refused(response.status, await problemOf(response));
}

/** By the query: in a path a browser would take "." and ".." for something else. */
export function entryPath(key, more = "") {
  return `/entries?key=${encodeURIComponent(key)}${more}`;
}
