// The cards: one person each, with a paragraph, key facts, what is unusual, and all dimensions on demand.

import { ask } from "./api.js";
import { copy, h, oneIn, plural } from "./dom.js";
import { rarest, ring } from "./ring.js";
import { conditions, digitsOf, manner, query, seedOf, whose, write } from "./state.js";
import { labelOf, shareOf, TIERS } from "./world.js";

// What is said of everybody; the second stands in where the first says nothing.
const FACTS = [
  ["Work", "occupation", "employment"],
  ["Education", "education"],
  ["Lives with", "living_arrangement"],
  ["Home", "dwelling"],
  ["Income", "personal_income"],
  ["Free time", "hobby"],
];
const SILENT = new Set(["none", "not_applicable"]);

/** The people of a state, from the API, each with prose; `pinned: false` draws them as they are without the pins. */
export async function draw(world, state, { pinned = true, signal } = {}) {
  const fields = [...world.derived, ...world.dimensions.map((d) => d.id), ...(pinned ? ["summary"] : [])];
  const pairs = [...whose(state), ["n", state.n], ["seed", state.seed], ["start", state.start], ["fields", fields.join(",")], ...manner(state)];
  const told = await ask(`v1/personas?${query([...pairs, ...(pinned ? conditions(state.pins) : [])])}`, { signal });
  return told.personas;
}

/** One card. `before` is the same person without the pins, null if there are none; `onWhy(persona, dimension)` explains. */
export function card(world, state, persona, before, onWhy) {
  const name = [persona.first_name, persona.last_name].filter(Boolean).join(" ") || `Person ${persona.index}`;
  const title = `person-${persona.index}`;
  const changed = before ? world.dimensions.filter((d) => before[d.id] !== persona[d.id]) : [];
  const rows = { before: before ?? persona, persona, world, onWhy };
  return h(
    "article",
    { class: "card", "aria-labelledby": title },
    h(
      "header",
      {},
      ring(world, persona),
      h(
        "div",
        {},
        h("h2", { id: title }, name),
        h("p", { class: "where" }, headline(world, persona)),
        h(
          "p",
          { class: "id" },
          h("a", { href: `?${write({ ...state, start: persona.index, n: 1 })}`, title: "Only this person" }, `seed ${state.seed} · #${persona.index}`),
          before && h("span", { class: "changed" }, changed.length ? `${plural(changed.length, "value", "values")} changed by the pins` : "untouched by the pins"),
        ),
      ),
    ),
    prose(persona.summary ?? "", title),
    facts(rows),
    unusual(world, persona, onWhy),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", "aria-label": `Copy the prompt of ${name}`, on: { click: () => copyPrompt(state, persona, name) } }, "Copy as prompt"),
      h("button", { type: "button", "aria-label": `Copy ${name} as JSON`, on: { click: () => copyJson(state, persona, name) } }, "Copy as JSON"),
    ),
    everything(rows, name),
  );
}

function headline(world, persona) {
  const said = (id) => (persona[id] === undefined ? null : labelOf(world.byName.get(id), persona[id]));
  const age = persona.age_years ?? said("age");
  const where = [persona.city, said("region")].filter(Boolean).join(", ");
  return [age, said("sex")?.toLowerCase(), persona.job_title, said("urbanicity"), where].filter(Boolean).join(" · ");
}

function prose(text, title) {
  const id = `${title}-prose`;
  const paragraph = h("p", { class: "prose clamped", id }, text);
  const more = h("button", { type: "button", class: "link", "aria-expanded": "false", "aria-controls": id }, "Read on");
  more.addEventListener("click", () => {
    const open = paragraph.classList.toggle("clamped") === false;
    more.setAttribute("aria-expanded", String(open));
    more.textContent = open ? "Less" : "Read on";
  });
  return h("div", {}, paragraph, more);
}

function facts(rows) {
  const { world, persona } = rows;
  const shown = FACTS.flatMap(([label, ...ids]) => {
    const id = ids.find((one) => persona[one] !== undefined && !SILENT.has(persona[one])) ?? ids.find((one) => persona[one] !== undefined);
    return id ? [h("div", {}, h("dt", {}, label), h("dd", {}, value(rows, world.byName.get(id))))] : [];
  });
  return shown.length ? h("dl", { class: "facts" }, shown) : null;
}

function unusual(world, persona, onWhy) {
  const rare = rarest(world, persona, 3);
  if (!rare.length) return null;
  return h(
    "div",
    { class: "unusual" },
    h("h3", {}, "Out of the ordinary"),
    h(
      "ul",
      {},
      rare.map(({ dimension, share }) =>
        h("li", {}, h("span", { class: "odds" }, oneIn(share)), h("button", { type: "button", class: "value", on: { click: () => onWhy(persona, dimension.id) } }, h("span", { class: "quiet" }, `${dimension.label} `), labelOf(dimension, persona[dimension.id]))),
      ),
    ),
  );
}

/** A value as a button that explains it; what the pins changed is marked, with what it was. */
function value({ world, persona, before, onWhy }, dimension) {
  const now = persona[dimension.id];
  const was = before[dimension.id];
  return h(
    "button",
    { type: "button", class: `value${was === now ? "" : " moved"}`, title: `Why? ${dimension.label}`, on: { click: () => onWhy(persona, dimension.id) } },
    labelOf(dimension, now),
    was !== now && was !== undefined && h("span", { class: "was" }, ` was ${labelOf(dimension, was)}`),
    shareOf(world, dimension.id, now) === null ? null : h("span", { class: "vh" }, `, ${oneIn(shareOf(world, dimension.id, now))}`),
  );
}

function everything(rows, name) {
  const { world, persona } = rows;
  const there = world.dimensions.filter((d) => persona[d.id] !== undefined);
  const box = h("details", { class: "all" }, h("summary", {}, `All ${there.length} dimensions`, h("span", { class: "vh" }, ` of ${name}`)));
  // Filled when it is opened for the first time: 77 rows on each of 24 cards would slow down every roll.
  box.addEventListener("toggle", () => {
    if (box.childElementCount > 1) return;
    const line = (d) => h("div", {}, h("dt", {}, d.label), h("dd", {}, value(rows, d)));
    const tiers = Object.entries(TIERS).map(([tier, label]) => {
      const own = there.filter((d) => d.tier === Number(tier));
      return h("section", { class: `tier t${tier}` }, h("h3", {}, label, h("span", { class: "quiet" }, ` ${own.length}`)), h("dl", {}, own.map(line)));
    });
    box.append(h("div", { class: "tiers" }, tiers));
  });
  return box;
}

async function copyPrompt(state, persona, name) {
  const one = [...whose(state), ["n", 1], ["seed", state.seed], ["start", persona.index], ["format", "prompt"], ...manner(state)];
  const text = ask(`v1/personas?${query([...one, ...conditions(state.pins)])}`, { form: "text" });
  await copy((await text).trim(), `The prompt of ${name} is copied`);
}

async function copyJson(state, persona, name) {
  const { summary: _, ...record } = persona;
  await copy(JSON.stringify({ ...record, seed: seedOf(state.seed) }, null, 2), `${name} is copied as JSON`);
}

/** The same people by URL, by command and in Python; the snapshot by its id, as another one would give others. */
export function code(world, state) {
  const given = conditions(state.pins);
  const shell = (text) => (/^[\w=.,:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const literal = (pins, of) => `{${pins.map((pin) => `${JSON.stringify(pin.dimension)}: ${of(pin)}`).join(", ")}}`;
  const evidence = state.pins.filter((pin) => pin.mode === "evidence");
  const set = state.pins.filter((pin) => pin.mode === "do");
  const pairs = [...whose(state), ["n", state.n], ["seed", state.seed], ["start", state.start], ...manner(state), ...given];
  const python = [
    `${state.n}`, `seed=${digitsOf(state.seed) ?? JSON.stringify(state.seed)}`, state.start ? `start=${state.start}` : "",
    evidence.length ? `evidence=${literal(evidence, (pin) => JSON.stringify(pin.values))}` : "",
    set.length ? `do=${literal(set, (pin) => JSON.stringify(pin.values[0]))}` : "",
    state.exclude ? 'exclude=["sensitive"]' : "",
    state.asOf ? `as_of=date.fromisoformat("${state.asOf}")` : "",
    state.accents ? "accents=True" : "",
  ];
  const command = [
    "personagen generate", `--snapshot ${shell(world.snapshot)}`, `-n ${state.n}`, `--seed ${shell(state.seed)}`, state.start ? `--start ${state.start}` : "",
    ...state.pins.map((pin) => `--${pin.mode} ${shell(`${pin.dimension}=${pin.values.join(",")}`)}`),
    state.exclude ? "--exclude sensitive" : "",
    state.asOf ? `--as-of ${state.asOf}` : "",
    state.accents ? "--accents" : "",
  ];
  const forms = [
    ["URL", new URL(`v1/personas?${query(pairs)}`, location.href).href],
    ["Command", command.filter(Boolean).join(" ")],
    ["Python", `${state.asOf ? "from datetime import date\n\n" : ""}from serving import Sampler, Snapshot\n\npeople = Sampler(Snapshot.load(${JSON.stringify(world.snapshot)})).sample(${python.filter(Boolean).join(", ")})`],
  ];
  return forms.map(([label, text]) =>
    h("div", { class: "snippet" }, h("div", {}, h("h3", {}, label), h("button", { type: "button", "aria-label": `Copy the ${label} form`, on: { click: () => copy(text, "Copied") } }, "Copy")), h("pre", { tabindex: "0", role: "region", "aria-label": label }, h("code", {}, text))),
  );
}
