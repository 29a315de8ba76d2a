// The map explorer: base rates of a dimension, and a heat map for each given that the models were asked about.

import { ask } from "./api.js";
import { byId, h, percent, plural, put, times } from "./dom.js";
import { dimensionOptions, TIERS } from "./world.js";

const NARROW = 12; // columns from which numbers are shown on hover and focus only
const MOST_DOUBLINGS = 3; // against the base rate, that are as deep as colour gets
const MOST_SPREAD = 0.6;

let shown = { id: null, cells: [] };

/** Wire the choices. `go(dimension)` changes the view's address. */
export function setUpMaps(world, go) {
  byId("map-dimension").append(...dimensionOptions(world));
  byId("map-dimension").addEventListener("change", (event) => go(event.target.value));
  for (const radio of document.querySelectorAll("input[name=paint]")) radio.addEventListener("change", paintAll);
}

/** Show the maps of one dimension. */
export async function showMaps(world, id) {
  const dimension = world.byName.get(id) ?? world.dimensions[0];
  byId("map-dimension").value = dimension.id;
  if (shown.id === dimension.id) return;
  shown = { id: dimension.id, cells: [] };
  const body = byId("map-body");
  body.setAttribute("aria-busy", "true");
  const { cells } = await ask(`v1/maps/${dimension.id}?population=${world.population}`);
  if (shown.id !== dimension.id) return; // another one was picked meanwhile
  const maps = byGiven(cells);
  const base = maps.get("")?.rows.values().next().value ?? new Map();
  maps.delete("");
  body.className = `t${dimension.tier}`;
  put(
    body,
    intro(world, dimension),
    baseRates(dimension, base),
    h("div", { class: "heats" }, [...maps.values()].map((map) => heatMap(world, dimension, map, base))),
  );
  body.removeAttribute("aria-busy");
  paintAll();
}

/** Maps by what they are given: { given, rows: condition -> category -> cell }. */
function byGiven(cells) {
  const maps = new Map();
  for (const cell of cells) {
    const key = cell.given.join("|");
    if (!maps.has(key)) maps.set(key, { given: cell.given, rows: new Map() });
    const { rows } = maps.get(key);
    const condition = cell.condition.join("|");
    if (!rows.has(condition)) rows.set(condition, new Map());
    rows.get(condition).set(cell.category, cell);
  }
  return maps;
}

function intro(world, dimension) {
  const links = (ids) => ids.flatMap((id, place) => [place ? ", " : "", h("a", { href: `#maps/${id}` }, world.byName.get(id).label)]);
  return h(
    "div",
    { class: "map-intro" },
    h("h2", {}, dimension.label),
    h("p", { class: "tags" }, h("span", { class: "tag tier-tag" }, TIERS[dimension.tier]), dimension.ordinal && h("span", { class: "tag" }, "ordered"), dimension.sensitive && h("span", { class: "tag" }, "sensitive")),
    h("p", { class: "definition" }, dimension.definition),
    h("p", { class: "relations" }, h("b", {}, "Depends on "), dimension.parents.length ? links(dimension.parents) : "nothing"),
    h("p", { class: "relations" }, h("b", {}, "Shapes "), dimension.children.length ? links(dimension.children) : "nothing else"),
  );
}

function baseRates(dimension, base) {
  const largest = Math.max(...[...base.values()].map((cell) => cell.probability * Math.exp(cell.spread)));
  const models = Math.max(0, ...[...base.values()].map((cell) => cell.models));
  return h(
    "section",
    { class: "map base-rates" },
    h("h3", {}, "Base rates"),
    h("p", { class: "hint" }, models > 1 ? `What ${models} models believe of the whole population, pooled. A whisker spans one standard deviation between them.` : "What one model believes of the whole population."),
    h(
      "ul",
      { class: "bars base" },
      dimension.categories.map(({ id, label }) => {
        const cell = base.get(id);
        if (!cell) return null;
        const end = (sign) => (cell.probability * Math.exp(sign * cell.spread)) / largest;
        return h(
          "li",
          {},
          h("span", { class: "name" }, label),
          h("span", { class: "amount", "aria-hidden": "true", vars: { part: cell.probability / largest, low: end(-1), high: end(1) } }, h("i", {}), models > 1 && h("em", {})),
          h("span", { class: "number" }, percent(cell.probability), models > 1 && h("span", { class: "vh" }, `, spread ${cell.spread.toFixed(2)}`)),
        );
      }),
    ),
  );
}

function heatMap(world, dimension, { given, rows }, base) {
  const labels = given.map((id) => world.byName.get(id).label);
  const title = labels.join(" and ");
  const narrow = dimension.categories.length > NARROW;
  const table = h("table", { class: `heat${narrow ? " narrow" : ""}` });
  table.append(
    h("caption", { class: "vh" }, `${dimension.label} given ${title}: probabilities in percent. Arrow keys move between cells.`),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, title), dimension.categories.map((c) => h("th", { scope: "col" }, h("span", {}, c.label))))),
    h(
      "tbody",
      {},
      [...rows].map(([condition, row]) => {
        const told = condition.split("|").map((value, place) => world.byName.get(given[place]).labels.get(value) ?? value).join(" · ");
        return h(
          "tr",
          {},
          h("th", { scope: "row" }, told),
          dimension.categories.map((category) => heatCell(dimension, told, category, row.get(category.id), base.get(category.id), narrow)),
        );
      }),
    ),
  );
  const first = table.querySelector("td");
  if (first) first.tabIndex = 0;
  table.addEventListener("keydown", walk);
  table.addEventListener("focusin", (event) => read(event.target));
  table.addEventListener("pointerover", (event) => read(event.target.closest("td")));
  table.addEventListener("pointerleave", () => read(null));
  table.addEventListener("focusout", () => read(null));
  return h(
    "section",
    { class: "map" },
    h("h3", {}, h("span", { class: "quiet" }, "given "), title),
    h("p", { class: "hint" }, `${plural(rows.size, "row", "rows")}; each adds up to 100%`),
    h("div", { class: "scroll" }, table),
  );
}

function heatCell(dimension, told, category, cell, base, narrow) {
  if (!cell) return h("td", {}, h("span", { class: "vh" }, "not asked"));
  const lift = base && base.probability > 0 ? cell.probability / base.probability : 1;
  const number = percent(cell.probability);
  const td = h("td", { tabindex: "-1" }, narrow ? h("span", { class: "vh" }, number) : number, cell.models > 1 && h("span", { class: "vh" }, `, spread ${cell.spread.toFixed(2)}`));
  td.map = { ...cell, lift };
  td.said = [`${dimension.label} ${category.label}`, told, number, lift ? `${times(lift)} the base rate` : "never", cell.models > 1 ? `spread ${cell.spread.toFixed(2)} between ${cell.models} models` : "one model"];
  return td;
}

/** Colour every cell by what is chosen: a depth from 0 to 1, and a side for what has two. */
function paintAll() {
  const by = document.querySelector("input[name=paint]:checked").value;
  for (const table of document.querySelectorAll("#map-body table.heat")) {
    const cells = [...table.querySelectorAll("td")].filter((td) => td.map);
    const largest = Math.max(...cells.map((td) => td.map.probability));
    table.dataset.paint = by;
    for (const td of cells) {
      const { probability, lift, spread } = td.map;
      const doublings = lift > 0 ? Math.log2(lift) : -MOST_DOUBLINGS;
      const depth = { probability: Math.sqrt(probability / largest), lift: Math.abs(doublings) / MOST_DOUBLINGS, spread: spread / MOST_SPREAD }[by];
      td.style.setProperty("--depth", Math.min(1, depth).toFixed(3));
      td.classList.toggle("below", by === "lift" && doublings < 0);
    }
  }
}

function read(td) {
  const out = byId("readout");
  out.hidden = !td?.said;
  if (!td?.said) return;
  const [what, given, number, ...rest] = td.said;
  put(out, h("b", {}, number), h("span", {}, what), h("span", { class: "quiet" }, `given ${given} · ${rest.join(" · ")}`));
}

/** Arrow keys, Home and End between the cells of a table; one of them is in the order of tabs. */
function walk(event) {
  const td = event.target.closest("td");
  if (!td) return;
  const row = td.parentElement;
  const tds = [...row.querySelectorAll("td")];
  const at = tds.indexOf(td);
  const target = {
    ArrowLeft: () => tds[at - 1],
    ArrowRight: () => tds[at + 1],
    ArrowUp: () => row.previousElementSibling?.querySelectorAll("td")[at],
    ArrowDown: () => row.nextElementSibling?.querySelectorAll("td")[at],
    Home: () => tds[0],
    End: () => tds.at(-1),
  }[event.key]?.();
  if (!target) return;
  event.preventDefault();
  td.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}
