// Asking the server: JSON or text, problems as exceptions, a key when the server wants one.

import { byId } from "./dom.js";

const KEY = "personagen-key";

/** What the server refused: `status`, one line of `message`, and where told the parameter and what is allowed. */
export class Problem extends Error {
  constructor(status, { detail = "the server does not answer as it should", parameter = "", allowed = [] } = {}) {
    super(detail);
    Object.assign(this, { status, parameter, allowed });
  }
}

/** GET a path of the API, or POST a body to it; `form` is "json" or "text". Throws Problem. */
export async function ask(path, { body, form = "json", signal } = {}) {
  for (let refused = false; ; refused = true) {
    const key = stored();
    const headers = {};
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body) headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, { method: body ? "POST" : "GET", body: body && JSON.stringify(body), headers, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, { detail: "the server cannot be reached: is it still running?" });
    }
    if (answer.status === 401) {
      if (await askForKey(refused || Boolean(key))) continue;
      throw new Problem(401, { detail: "this server answers nobody without a key" });
    }
    if (!answer.ok) throw await problemOf(answer);
    return form === "text" ? answer.text() : answer.json();
  }
}

async function problemOf(answer) {
  const told = await answer.json().catch(() => ({}));
  const wait = answer.headers.get("Retry-After");
  if (answer.status === 429 && wait) told.detail = `too many requests: try again in ${wait} seconds`;
  return new Problem(answer.status, told);
}

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

let waiting = null;

/** One dialog for all requests that were refused at once; whether a key was given. */
function askForKey(again) {
  waiting ??= new Promise((resolve) => {
    byId("key-error").textContent = again ? "The server did not take that key." : "";
    byId("key-value").value = "";
    let given = false;
    byId("key-form").onsubmit = (event) => {
      event.preventDefault();
      given = true;
      sessionStorage.setItem(KEY, byId("key-value").value.trim());
      byId("key").close();
    };
    byId("key").onclose = () => {
      waiting = null;
      resolve(given);
    };
    byId("key").showModal();
  });
  return waiting;
}
