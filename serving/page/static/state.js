// What is drawn, as the URL has it: the names are those of GET /v1/personas, so that the page's URL reads as the API's.

export const DEFAULTS = { seed: "42", start: 0, n: 6 };
const MOST = 24;
const LAST = 999_999_999_999_999;

/** Read a query string; what makes no sense falls back to the default. `pins` is in the order of the URL. */
export function read(query) {
  const given = new URLSearchParams(query);
  const number = (name, most) => {
    const text = given.get(name);
    return text !== null && /^\d{1,15}$/.test(text) ? Math.min(Number(text), most) : DEFAULTS[name];
  };
  const pins = [];
  for (const [name, value] of given) {
    const [, mode, dimension] = name.match(/^(evidence|do)\.([a-z0-9_]+)$/) ?? [];
    if (!mode || !value || pins.some((pin) => pin.dimension === dimension)) continue;
    pins.push({ mode, dimension, values: mode === "evidence" ? value.split(",") : [value] });
  }
  return {
    population: /^[a-z0-9_]{1,40}$/.test(given.get("population")) ? given.get("population") : "",
    seed: given.get("seed") || DEFAULTS.seed,
    start: number("start", LAST),
    n: Math.max(1, number("n", MOST)),
    exclude: given.get("exclude") === "sensitive",
    asOf: /^\d{4}-\d\d-\d\d$/.test(given.get("as_of")) ? given.get("as_of") : "",
    accents: given.get("accents") === "true",
    pins,
  };
}

/** The query string of a state, pins and all. */
export function write(state) {
  return query([...whose(state), ["seed", state.seed], ["start", state.start], ["n", state.n], ...manner(state), ...conditions(state.pins)]);
}

/** Pairs for the API that say of which population, where it is not the server's first. */
export function whose({ population }) {
  return population ? [["population", population]] : [];
}

/** Pairs for the API that say what is told of people, and how. */
export function manner(state) {
  const pairs = [["exclude", state.exclude && "sensitive"], ["as_of", state.asOf], ["accents", state.accents && "true"]];
  return pairs.filter(([, value]) => value);
}

/** Pairs for the API that stand for the pins. */
export function conditions(pins) {
  return pins.map((pin) => [`${pin.mode}.${pin.dimension}`, pin.values.join(",")]);
}

/** Pairs as a query string in which commas and dots stay readable. */
export function query(pairs) {
  return pairs.map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`).join("&");
}

/** The pins as a body of the API has them. */
export function bodyOf(pins) {
  const of = (mode) => pins.filter((pin) => pin.mode === mode);
  return {
    evidence: Object.fromEntries(of("evidence").map((pin) => [pin.dimension, pin.values])),
    do: Object.fromEntries(of("do").map((pin) => [pin.dimension, pin.values[0]])),
  };
}

/** The digits of a seed that is an integer, null if it is a text: the rule of `serving.counter.read_seed`. */
export const digitsOf = (text) => (/^(0|-?[1-9]\d{0,29})$/.test(text) ? text : null);

/** A seed for a JSON body. A number may have more digits than JavaScript's have, and goes out digit by digit where it can. */
export function seedOf(text) {
  const digits = digitsOf(text);
  if (digits === null) return text;
  return JSON.rawJSON ? JSON.rawJSON(digits) : Number(digits);
}
