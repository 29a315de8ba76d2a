// The strategy trials: which way of combining the maps won for each dimension, and by what margin.

import { ask } from "./api.js";
import { byId, h, put } from "./dom.js";
import { TIERS } from "./world.js";

const STRATEGIES = {
  base_only: "the base rate alone, for what depends on nothing",
  raw_product: "all maps multiplied; a control that double counts",
  strongest_parent: "the map of the one most telling parent",
  linear_pool: "the average of the maps",
  log_pool: "the geometric average of the maps",
  linear_pool_information: "the average, weighted by how much each map tells",
  log_pool_information: "the geometric average, weighted by how much each map tells",
  naive_bayes: "each map's lift over the base rate, multiplied",
  tempered_product: "lifts multiplied, then tempered against double counting",
  tau_redundancy: "lifts, each discounted by what other parents told already",
  backoff: "the most telling map first, then a share of what each next one says",
  beta_linear_pool: "the weighted average, sharpened afterwards",
  latent_shift: "parents that move people along a hidden scale, cut into the ordered categories",
  max_entropy: "the flattest joint that keeps to every map",
  max_entropy_shrunk: "the same, trusting each map less the noisier it is",
};

const words = (strategy) => strategy.replaceAll("_", " ");

let loaded = false;

export async function showTrials(world) {
  if (loaded) return;
  const { trials, edition } = await ask(`v1/trials?population=${world.population}`);
  loaded = true;
  const rows = trials.map((trial) => ({ ...trial, ...world.byName.get(trial.dimension) }));
  if (!rows.length) return put(byId("trials"), h("p", { class: "hint" }, "This snapshot tells of no trials."));
  const table = h("table", { class: "trials" });
  const fill = (by, down) => fillTable(table, rows, by, down, fill);
  fill("place", false);
  put(
    byId("trials"),
    winners(rows),
    h(
      "section",
      { class: "by-dimension" },
      h("h2", {}, "Dimension by dimension"),
      h("p", { class: "hint" }, `Edition ${edition}. The margin is by how much the runner-up's divergence from the unseen maps is larger, in thousandths of a nat; from their own maps where no map was kept back. Below zero, the two were tied and the simpler one was taken, or none kept to its maps and the nearest was taken.`),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of the trials" }, table),
    ),
  );
}

function winners(rows) {
  const counts = new Map();
  for (const { winner } of rows) counts.set(winner, (counts.get(winner) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return h(
    "section",
    { class: "winners", "aria-label": "How often each strategy won" },
    h(
      "ol",
      { class: "bars t2" },
      sorted.map(([winner, count]) =>
        h(
          "li",
          {},
          h("span", { class: "name" }, h("b", {}, words(winner)), h("span", { class: "hint" }, STRATEGIES[winner] ?? "")),
          h("span", { class: "amount", "aria-hidden": "true", vars: { part: count / sorted[0][1] } }, h("i", {})),
          h("span", { class: "number" }, count, h("span", { class: "vh" }, " dimensions")),
        ),
      ),
    ),
  );
}

const COLUMNS = [
  { key: "place", label: "Dimension", of: (row, place) => place },
  { key: "tier", label: "Tier", of: (row) => row.tier },
  { key: "winner", label: "Winner", of: (row) => row.winner },
  { key: "runner_up", label: "Runner-up", of: (row) => row.runner_up ?? "" },
  { key: "margin", label: "Margin", of: (row) => row.margin ?? -Infinity },
];

function fillTable(table, rows, by, down, sort) {
  const column = COLUMNS.find((one) => one.key === by);
  const keyed = rows.map((row, place) => [column.of(row, place), row]);
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1));
  const largest = Math.max(...rows.map((row) => Math.abs(row.margin ?? 0)));
  const focused = table.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const head = h(
    "tr",
    {},
    COLUMNS.map(({ key, label }) =>
      h("th", { scope: "col", "aria-sort": key === by ? (down ? "descending" : "ascending") : "none" }, h("button", { type: "button", "data-key": key, on: { click: () => sort(key, key === by ? !down : key === "margin") } }, label)),
    ),
  );
  put(table, h("caption", { class: "vh" }, "Winners, runners-up and margins"), h("thead", {}, head), h("tbody", {}, keyed.map(([, row]) => line(row, largest))));
  if (focused) table.querySelector(`button[data-key=${focused}]`).focus();
}

function line(row, largest) {
  const margin = row.margin === null ? "no other kept to the maps" : `${row.margin > 0 ? "+" : ""}${(row.margin * 1000).toFixed(2)}`;
  return h(
    "tr",
    { class: `t${row.tier}` },
    h("th", { scope: "row" }, h("a", { href: `#maps/${row.id}` }, row.label)),
    h("td", {}, TIERS[row.tier]),
    h("td", { title: STRATEGIES[row.winner] ?? "" }, h("b", {}, words(row.winner)), row.override_reason && h("span", { class: "hint" }, `by hand: ${row.override_reason}`)),
    h("td", {}, row.runner_up ? words(row.runner_up) : "none"),
    h(
      "td",
      { class: `margin${row.margin === null ? " hint" : ""}` },
      row.margin !== null && h("span", { class: row.margin < 0 ? "swing tied" : "swing", "aria-hidden": "true", vars: { length: largest ? Math.sqrt(Math.abs(row.margin) / largest) : 0 } }, h("i", {})),
      margin,
    ),
  );
}
