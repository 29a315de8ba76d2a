// The pins: choosing a dimension, what the pin means and which categories; the list of them; and what they change.

import { ask } from "./api.js";
import { byId, h, oneIn, percent, plural, put, sentence } from "./dom.js";
import { conditions, query, whose } from "./state.js";
import { dimensionOptions, labelOf } from "./world.js";

const PEOPLE = 4_000; // that the effect is counted among
const SHOWN = 6;
const MODES = { evidence: "given", do: "set" };

/** Wire the form. `onPin(pin)` and `onRemove(dimension)` are called with what the user wants. */
export function setUpPins(world, { onPin }) {
  const select = byId("pin-dimension");
  select.append(...dimensionOptions(world));
  select.value = world.byName.has("education") ? "education" : world.dimensions[0].id;
  const refresh = () => offer(world, select.value);
  select.addEventListener("change", refresh);
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", refresh);
  byId("pin-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = [...byId("pin-categories").querySelectorAll("input:checked")].map((input) => input.value);
    byId("pin-hint").textContent = values.length ? "" : "Choose at least one category first.";
    if (!values.length) return byId("pin-categories").querySelector("input").focus();
    return onPin({ mode: mode(), dimension: select.value, values });
  });
  refresh();
}

const mode = () => document.querySelector("input[name=mode]:checked").value;

/** Offer the categories of a dimension: any of them as evidence, one of them to set. */
function offer(world, id) {
  const dimension = world.byName.get(id);
  const several = mode() === "evidence";
  byId("pin-legend").textContent = several ? `${dimension.label}: one or several` : `${dimension.label}: one`;
  put(
    byId("pin-categories"),
    ...dimension.categories.map((category) =>
      h(
        "label",
        { class: "choice" },
        h("input", { type: several ? "checkbox" : "radio", name: "category", value: category.id }),
        h("span", {}, category.label),
        h("span", { class: "share" }, world.shares ? percent(world.shares[id]?.[category.id] ?? 0) : ""),
      ),
    ),
  );
}

/** Take up the base rates once they are known, without losing what is chosen. */
export function refreshShares(world) {
  const shares = world.shares[byId("pin-dimension").value] ?? {};
  for (const label of byId("pin-categories").children) {
    label.querySelector(".share").textContent = percent(shares[label.querySelector("input").value] ?? 0);
  }
}

/** Put a dimension into the form, with one category chosen. */
export function preset(world, dimension, category, wanted) {
  byId("pins-box").open = true;
  document.querySelector(`input[name=mode][value=${wanted}]`).checked = true;
  byId("pin-dimension").value = dimension;
  offer(world, dimension);
  byId("pin-categories").querySelector(`input[value="${CSS.escape(category)}"]`).checked = true;
}

/** List the pins, each with a button that takes it out. */
export function showPins(world, pins, onRemove) {
  byId("pins-count").textContent = pins.length ? plural(pins.length, "pin", "pins") : "none yet";
  put(
    byId("pins-list"),
    ...pins.map((pin) => {
      const dimension = world.byName.get(pin.dimension);
      const label = dimension?.label ?? pin.dimension;
      const values = pin.values.map((value) => (dimension ? labelOf(dimension, value) : value)).join(" or ");
      return h(
        "li",
        { class: `pin ${pin.mode}` },
        h("span", { class: "badge" }, MODES[pin.mode]),
        h("span", {}, h("b", {}, label), ` ${values}`),
        h("button", { type: "button", class: "remove", "aria-label": `Remove the pin on ${label}`, on: { click: () => onRemove(pin.dimension) } }, "×"),
      );
    }),
  );
}

/** Draw many people under the pins, and tell how well the pins are supported and which dimensions shift most. */
export async function showEffect(world, state, signal) {
  const box = byId("effect");
  if (!state.pins.length) return put(box);
  box.setAttribute("aria-busy", "true");
  const among = (pins) => ask(`v1/shares?${query([...whose(state), ["n", PEOPLE], ...conditions(pins)])}`, { signal });
  const [under, free] = await Promise.all([among(state.pins), among([])]);
  box.removeAttribute("aria-busy");
  const pinned = new Set(state.pins.map((pin) => pin.dimension));
  const shifts = world.dimensions
    .filter((d) => !pinned.has(d.id) && !(state.exclude && d.sensitive))
    .map((d) => shiftOf(d, under.shares[d.id], free.shares[d.id]))
    .filter((shift) => shift.distance > 0.04) // what is less may be chance among so many people
    .sort((a, b) => b.distance - a.distance);
  return put(
    box,
    h("div", { class: "effect-head" }, h("h2", {}, "What that changes"), ...support(state.pins, under.support)),
    shifts.length
      ? h("ul", { class: "shifts" }, shifts.slice(0, SHOWN).map(shiftRow))
      : h("p", { class: "hint" }, "Hardly anything: no other dimension moves by more than chance would."),
    shifts.length > SHOWN && h("p", { class: "hint" }, `and ${plural(shifts.length - SHOWN, "other dimension", "other dimensions")}, among ${PEOPLE.toLocaleString("en")} people drawn`),
  );
}

/** How far a dimension moves (total variation), and the category that moves most. */
function shiftOf(dimension, now, before) {
  let [distance, most] = [0, null];
  for (const { id } of dimension.categories) {
    const by = now[id] - before[id];
    distance += Math.abs(by) / 2;
    if (most === null || Math.abs(by) > Math.abs(now[most] - before[most])) most = id;
  }
  return { dimension, distance, category: most, now: now[most], before: before[most] };
}

function shiftRow({ dimension, category, now, before }) {
  return h(
    "li",
    { class: `shift t${dimension.tier}` },
    h("a", { href: `#maps/${dimension.id}` }, dimension.label),
    h("span", { class: "to" }, dimension.labels.get(category)),
    h("span", { class: "from" }, percent(before), h("span", { "aria-hidden": "true" }, " → "), h("span", { class: "vh" }, " to "), h("b", {}, percent(now))),
    h("span", { class: "track", "aria-hidden": "true", vars: { before, now } }, h("i", {}), h("b", {})),
  );
}

function support(pins, told) {
  if (!pins.some((pin) => pin.mode === "evidence")) {
    return [h("p", { class: "hint" }, "Everybody is set to this by hand; nobody was filtered out, so support is full.")];
  }
  // Under `do` the probability is that of the evidence among people who were set so: P(e | do), no share of the population.
  const among = pins.some((pin) => pin.mode === "do") ? "people on whom the other pins are set" : "the population";
  const fit = h("p", { class: "support" }, "What is given holds for about ", h("b", {}, oneIn(told.probability)), ` of ${among}.`);
  if (told.probability >= 0.95) put(fit, `What is given holds for nearly all of ${among}.`);
  const worth = told.effective === null ? "Support is full: each is drawn for themselves, nobody twice." : `Effective sample size: ${Math.round(told.effective).toLocaleString("en")} at the least.`;
  return [fit, h("p", { class: "hint" }, worth), told.warning && h("p", { class: "warning" }, h("b", {}, "Take care. "), sentence(told.warning))];
}
