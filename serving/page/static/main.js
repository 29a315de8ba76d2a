// The page: which view is in sight, what is drawn, and the theme. Each part of the page has a module of its own.

import { ask } from "./api.js";
import { announce, byId, copy, h, plural, put, sentence } from "./dom.js";
import { setUpGraph } from "./graph.js";
import { setUpMaps, showMaps } from "./maps.js";
import { card, code, draw } from "./people.js";
import { preset, refreshShares, setUpPins, showEffect, showPins } from "./pins.js";
import { query, read, whose, write } from "./state.js";
import { showTrials } from "./trials.js";
import { why } from "./why.js";
import { BASE_PEOPLE, labelOf, loadWorld } from "./world.js";

const VIEWS = { people: "People", maps: "Maps", graph: "Graph", trials: "Trials" };

let state = read(location.search);
let world = null;
let drawing = new AbortController();
let people = [];
let free = null; // the same people without the pins
let usual = null; // settled once it is known how common each value is, or that this cannot be had

const reduced = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// ---------------------------------------------------------------- people

/** Go to another state: into the URL, onto the page. */
function go(change) {
  const next = { ...state, ...change };
  if (write(next) === write(state)) return undefined;
  state = next;
  history.pushState(null, "", `?${write(state)}${location.hash}`);
  return refresh();
}

async function refresh() {
  drawing.abort();
  drawing = new AbortController();
  const { signal } = drawing;
  fillBar();
  showPins(world, state.pins, removePin);
  byId("cards").setAttribute("aria-busy", "true");
  try {
    const unpinned = state.pins.length ? draw(world, state, { pinned: false, signal }) : Promise.resolve(null);
    [people, free] = await Promise.all([draw(world, state, { signal }), unpinned, usual]);
    showCards();
    put(byId("trouble"));
    announce(`${plural(people.length, "person", "people")} of seed ${state.seed}, from index ${state.start}`);
    await showEffect(world, state, signal);
  } catch (error) {
    if (error.name === "AbortError") return; // something newer is being drawn
    people = [];
    put(byId("cards"));
    put(byId("effect"));
    document.querySelector(".code").hidden = true;
    put(byId("trouble"), trouble(error));
  } finally {
    if (!signal.aborted) byId("cards").removeAttribute("aria-busy");
  }
}

function showCards() {
  byId("cards").classList.toggle("single", people.length === 1);
  put(byId("cards"), ...people.map((persona, place) => card(world, state, persona, free?.[place] ?? null, explainTo)));
  put(byId("code"), ...code(world, state));
  document.querySelector(".code").hidden = false;
}

const explainTo = (persona, dimension) => why(world, state, persona, dimension, (...pin) => pinFrom(...pin));

/** What went wrong, kindly, and the way out. */
function trouble(error) {
  const impossible = state.pins.length > 0 && error.status === 422;
  const last = state.pins.at(-1);
  const nobody = /probability zero/.test(error.message);
  return h(
    "div",
    { class: "trouble" },
    h("h2", {}, nobody ? "Nobody fits all of these pins." : impossible ? "These pins do not work." : "That did not work."),
    h("p", {}, nobody ? "Each may be common, but together they rule each other out, or are rarer than we can look for." : sentence(error.message)),
    nobody && h("p", { class: "hint" }, sentence(error.message)),
    nobody && possible(error),
    h(
      "div",
      { class: "actions" },
      impossible
        ? [
            h("button", { type: "button", class: "primary", on: { click: () => removePin(last.dimension) } }, "Take out the last pin"),
            h("button", { type: "button", on: { click: () => go({ pins: [] }) } }, "Take out all"),
          ]
        : h("button", { type: "button", class: "primary", on: { click: () => refresh() } }, "Try again"),
    ),
  );
}

/** What the other pins leave possible for the dimension that cannot be, where the server tells. */
function possible({ parameter, allowed }) {
  const dimension = world.byName.get(parameter.split(".")[1]);
  if (!dimension || !allowed.length) return null;
  return h("p", {}, h("b", {}, dimension.label), ` could still be ${allowed.map((category) => labelOf(dimension, category)).join(", ")}.`);
}

function fillBar() {
  byId("seed").value = state.seed;
  byId("start").value = state.start;
  const count = byId("count");
  if (![...count.options].some((one) => Number(one.value) === state.n)) count.append(h("option", {}, state.n));
  count.value = state.n;
  byId("exclude").checked = state.exclude;
  byId("earlier").disabled = state.start === 0;
}

function setUpBar() {
  byId("dice").addEventListener("click", () => {
    if (!reduced()) byId("dice").querySelector("svg").animate([{ transform: "none" }, { transform: "rotate(360deg) scale(1.15)" }, { transform: "rotate(720deg)" }], { duration: 550, easing: "cubic-bezier(.3,.7,.3,1)" });
    go({ seed: String(crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000), start: 0 });
  });
  const typed = () => {
    const start = byId("start").value.trim();
    go({ seed: byId("seed").value.trim() || state.seed, start: /^\d{1,15}$/.test(start) ? Number(start) : state.start });
    fillBar(); // what made no sense gives way to what is drawn
  };
  byId("draw").addEventListener("submit", (event) => {
    event.preventDefault();
    typed();
  });
  byId("seed").addEventListener("change", typed);
  byId("start").addEventListener("change", typed);
  byId("count").addEventListener("change", (event) => go({ n: Number(event.target.value) }));
  byId("exclude").addEventListener("change", (event) => go({ exclude: event.target.checked }));
  byId("earlier").addEventListener("click", () => go({ start: Math.max(0, state.start - state.n) }));
  byId("later").addEventListener("click", () => go({ start: state.start + state.n }));
  // Another world: other categories, so that pins mean nothing there, and everything is loaded anew.
  byId("population").addEventListener("change", (event) => location.assign(`?${write({ ...state, population: event.target.value, pins: [] })}${location.hash}`));
  byId("share").addEventListener("click", () => copy(location.href, "The link to these people is copied"));
}

function addPin(pin) {
  return go({ pins: [...state.pins.filter((one) => one.dimension !== pin.dimension), pin] });
}

function removePin(dimension) {
  go({ pins: state.pins.filter((one) => one.dimension !== dimension) });
  (byId("pins-list").querySelector(".remove") ?? byId("pin-dimension")).focus(); // the button that had it is gone
}

function pinFrom(dimension, category, mode) {
  preset(world, dimension, category, mode);
  addPin({ mode, dimension, values: [category] });
}

// ---------------------------------------------------------------- views

async function showView({ moved = true } = {}) {
  const [name, detail] = location.hash.slice(1).split("/");
  const view = name in VIEWS ? name : "people";
  for (const key of Object.keys(VIEWS)) {
    byId(`view-${key}`).hidden = key !== view;
    const link = document.querySelector(`nav a[data-view=${key}]`);
    if (key === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = view === "people" ? "PersonaGen" : `${VIEWS[view]} · PersonaGen`;
  if (moved) {
    scrollTo(0, 0);
    byId(`${view}-title`).focus({ preventScroll: true });
  }
  try {
    if (view === "maps") await showMaps(world, detail || "occupation");
    if (view === "trials") await showTrials(world);
  } catch (error) {
    put(byId(view === "maps" ? "map-body" : "trials"), h("p", { class: "warning", role: "alert" }, sentence(error.message)));
  }
}

function setUpTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => byId("theme").setAttribute("aria-pressed", String(dark()));
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // no storage: it lasts as long as the page
    }
    show();
  });
  system.addEventListener("change", show);
  show();
}

/** What is told of the snapshot; a choice of populations where the server has several. */
async function about() {
  const { snapshots } = await ask("v1/snapshots");
  const { label, edition, snapshot_id: id } = snapshots.find((one) => one.population === world.population);
  const choice = byId("population");
  put(choice, ...snapshots.map((one) => h("option", { value: one.population }, one.label)));
  choice.value = world.population;
  byId("whose").hidden = snapshots.length < 2;
  put(
    byId("about"),
    `Population: ${label}. Edition ${edition}, snapshot ${id}. The probabilities are beliefs of language models, no census; these people do not exist and stand in for nobody. `,
    h("a", { href: "v1/openapi.json" }, "The API"),
  );
}

async function start() {
  setUpTheme();
  setUpBar();
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the hash is the view's
    byId("main").focus();
  });
  try {
    world = await loadWorld(state);
  } catch (error) {
    put(byId("trouble"), h("p", { class: "warning" }, sentence(error.message)));
    return;
  }
  setUpPins(world, { onPin: addPin });
  if (matchMedia("(max-width: 899px)").matches) byId("pins-box").open = false;
  setUpMaps(world, (id) => (location.hash = `#maps/${id}`));
  setUpGraph(world);
  addEventListener("hashchange", () => showView());
  addEventListener("popstate", () => {
    const before = state;
    state = read(location.search);
    if (state.population !== before.population) location.reload();
    else if (write(state) !== write(before)) refresh();
  });
  history.replaceState(null, "", `?${write(state)}${location.hash}`);
  showView({ moved: false });
  about().catch(() => {}); // the footer is no reason to stop
  usual = ask(`v1/shares?${query([...whose(state), ["n", BASE_PEOPLE]])}`)
    .then(({ shares }) => refreshShares(Object.assign(world, { shares })))
    .catch(() => {}); // then cards tell of no rarities
  await refresh();
}

start();
