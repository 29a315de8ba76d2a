// Why this value: what each cause did to the odds, the row of the map behind it, and what else could have been.

import { ask } from "./api.js";
import { byId, h, percent, plural, put, sentence, times } from "./dom.js";
import { bodyOf, seedOf, whose } from "./state.js";
import { labelOf } from "./world.js";

const WIDEST = 4; // doublings of the odds that fill a bar

/** Open the dialog for one value of a person. `onPin(dimension, category, mode)` is told what to pin. */
export async function why(world, state, persona, id, onPin) {
  const dialog = byId("why");
  const dimension = world.byName.get(id);
  const title = h("h2", { id: "why-title", tabindex: "-1" }, h("span", { class: `kicker t${dimension.tier}` }, `${dimension.label} `), `Why “${labelOf(dimension, persona[id])}”?`);
  const head = h("div", { class: "dialog-head" }, title, h("button", { type: "button", class: "icon", "aria-label": "Close", on: { click: () => dialog.close() } }, "×"));
  put(dialog, head, h("p", { class: "hint" }, "Looking it up…"));
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.showModal();
  title.focus();
  let told;
  try {
    told = await ask("v1/explain", { body: { ...Object.fromEntries(whose(state)), dimension: id, seed: seedOf(state.seed), index: persona.index, ...bodyOf(state.pins) } });
  } catch (error) {
    return put(dialog, head, h("p", { class: "warning", role: "alert" }, sentence(error.message)));
  }
  const set = state.pins.some((pin) => pin.mode === "do" && pin.dimension === id);
  return put(
    dialog,
    head,
    h("p", { class: "definition" }, dimension.definition),
    set && h("p", { class: "warning" }, "A pin set this value by hand. Below is how likely it would have been."),
    h(
      "div",
      { class: "figures" },
      figure(percent(told.probability), `given all ${plural(dimension.parents.length, "cause", "causes")} of this person`),
      told.base && figure(percent(told.base.probability), `in the population; the models differ by ${spread(told.base)}`),
    ),
    contributions(world, told, state.exclude),
    alternatives(world, dimension, told),
    h(
      "div",
      { class: "actions" },
      h("a", { class: "button", href: `#maps/${id}`, on: { click: () => dialog.close() } }, "Open its maps"),
      h("button", { type: "button", on: { click: () => (dialog.close(), onPin(id, persona[id], "evidence")) } }, "Pin as given"),
      h("button", { type: "button", on: { click: () => (dialog.close(), onPin(id, persona[id], "do")) } }, "Pin as set"),
    ),
  );
}

const figure = (number, told) => h("p", { class: "figure" }, h("b", {}, number), h("span", {}, told));
const spread = (row) => (row.models > 1 ? `about ${Math.round((Math.exp(row.spread) - 1) * 100)}% of that` : "nothing, as one answered");

/** What each cause did; with `exclude` no cause is told that is sensitive, only how many there are. */
function contributions(world, told, exclude) {
  if (!told.contributions.length) {
    return h("p", { class: "hint" }, "It has no causes: it was drawn from the base rates alone.");
  }
  const sensitive = (one) => Object.keys(one.given).some((name) => world.byName.get(name).sensitive);
  const shown = told.contributions.filter((one) => !(exclude && sensitive(one)));
  const hidden = told.contributions.length - shown.length;
  return h(
    "section",
    {},
    h("h3", {}, "What each cause did to the odds"),
    shown.length > 1 && h("p", { class: "hint" }, "Each with all others in place, so they do not multiply to the whole."),
    h("ul", { class: "contributions" }, shown.map((one) => contribution(world, one))),
    hidden > 0 && h("p", { class: "hint left-out" }, `${plural(hidden, "effect of a sensitive dimension is", "effects of sensitive dimensions are")} left out here, though not from the probabilities.`),
  );
}

function contribution(world, one) {
  const causes = Object.entries(one.given).map(([name, value]) => {
    const given = world.byName.get(name);
    return h("span", {}, h("span", { class: "quiet" }, `${given.label} `), labelOf(given, value));
  });
  const ratio = one.odds_ratio;
  const doublings = ratio ? Math.log2(ratio) : 0;
  const length = Math.min(1, Math.abs(doublings) / WIDEST);
  const effect = ratio === null ? "nothing left to choose" : ratio === 0 ? "rules it out" : times(ratio);
  return h(
    "li",
    { class: doublings < 0 ? "less" : "more" },
    h("span", { class: "causes" }, causes.flatMap((cause, place) => (place ? [" and ", cause] : [cause]))),
    h("span", { class: "effect" }, effect),
    h("span", { class: "swing", "aria-hidden": "true", vars: { length } }, h("i", {})),
    h("span", { class: "hint" }, one.map ? `The map says ${percent(one.map.probability)} for this alone; ${plural(one.map.models, "model", "models")}, spread ${one.map.spread.toFixed(2)}.` : "No map of its own."),
  );
}

function alternatives(world, dimension, told) {
  const rows = Object.entries(told.alternatives).filter(([, p]) => p > 0);
  if (!dimension.ordinal) rows.sort((a, b) => b[1] - a[1]);
  const largest = Math.max(...rows.map(([, p]) => p));
  return h(
    "section",
    {},
    h("h3", {}, rows.length > 1 ? "What else could have been" : "Nothing else was possible"),
    h(
      "ul",
      { class: `bars t${dimension.tier}` },
      rows.map(([category, p]) =>
        h(
          "li",
          category === told.category ? { class: "own", "aria-current": "true" } : {},
          h("span", { class: "name" }, dimension.labels.get(category)),
          h("span", { class: "amount", "aria-hidden": "true", vars: { part: p / largest } }, h("i", {})),
          h("span", { class: "number" }, percent(p)),
        ),
      ),
    ),
  );
}
