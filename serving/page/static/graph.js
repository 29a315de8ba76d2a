// The tier graph: all dimensions and who depends on whom, on a circle where there is room, as arcs beside a list where not.

import { byId, h, plural, put, s } from "./dom.js";
import { TIERS } from "./world.js";

const ROOM = 700; // px from which the circle is drawn
const SIZE = 920;
const RADIUS = 290;
const GAP = 0.13; // radians between tiers
const ROW = 27;

let drawn = { wide: null, current: null };
let tapped = null; // a finger cannot hover: its first tap points, its second opens

/** Draw the graph for the room there is, and again when that changes its form. */
export function setUpGraph(world) {
  const box = byId("graph");
  new ResizeObserver(([{ contentRect }]) => {
    if (!contentRect.width) return; // not in sight
    const wide = contentRect.width >= ROOM;
    if (drawn.wide === wide) return;
    drawn = { wide, current: drawn.current };
    put(box, wide ? circle(world) : list(world, contentRect.width));
    point(world, drawn.current);
  }).observe(box);
  point(world, null);
}

function circle(world) {
  const places = new Map();
  const count = world.dimensions.length;
  const tiers = [...new Set(world.dimensions.map((d) => d.tier))];
  const step = (2 * Math.PI - GAP * tiers.length) / count;
  const arcs = [];
  let angle = -Math.PI / 2 + GAP / 2;
  for (const tier of tiers) {
    const own = world.dimensions.filter((d) => d.tier === tier);
    const from = angle;
    for (const d of own) {
      places.set(d.id, angle + step / 2);
      angle += step;
    }
    arcs.push(s("path", { class: `band t${tier}`, d: `M${at(from, RADIUS + 6)} A${RADIUS + 6} ${RADIUS + 6} 0 ${angle - from > Math.PI ? 1 : 0} 1 ${at(angle, RADIUS + 6)}` }));
    angle += GAP;
  }
  const edge = (parent, child) => {
    const [a, b] = [places.get(parent), places.get(child)];
    const apart = Math.abs(((b - a + 3 * Math.PI) % (2 * Math.PI)) - Math.PI) / Math.PI;
    const [x1, y1, x2, y2] = [...xy(a, RADIUS), ...xy(b, RADIUS)];
    const pull = (1 - apart) * 0.75;
    const control = [((x1 + x2) / 2) * pull, ((y1 + y2) / 2) * pull].map((one) => one.toFixed(1));
    return `M${at(a, RADIUS)} Q${control} ${at(b, RADIUS)}`;
  };
  const node = (d) => {
    const turn = (places.get(d.id) * 180) / Math.PI;
    const left = Math.cos(places.get(d.id)) < 0;
    return s(
      "g",
      { transform: `rotate(${turn.toFixed(2)}) translate(${RADIUS + 16})${left ? " rotate(180)" : ""}` },
      s("rect", { class: "hit", x: left ? -150 : -12, y: -11.5, width: 162, height: 23, rx: 5 }),
      s("text", { dy: "0.34em", "text-anchor": left ? "end" : "start" }, d.label),
    );
  };
  return graph(world, { viewBox: `${-SIZE / 2} ${-SIZE / 2} ${SIZE} ${SIZE}`, class: "circle" }, arcs, edge, node);
}

const xy = (angle, radius) => [Math.cos(angle) * radius, Math.sin(angle) * radius];
const at = (angle, radius) => xy(angle, radius).map((one) => one.toFixed(1)).join(" ");

function list(world, width) {
  const axis = Math.min(150, width * 0.4);
  const y = new Map(world.dimensions.map((d) => [d.id, ROW * (world.dimensions.indexOf(d) + d.tier) - ROW / 2]));
  const longest = world.dimensions.length;
  const edge = (parent, child) => {
    const out = axis - 6 - (axis - 10) * Math.sqrt(Math.abs(y.get(child) - y.get(parent)) / (ROW * longest)) * 1.3;
    return `M${axis} ${y.get(parent)} C${out.toFixed(1)} ${y.get(parent)} ${out.toFixed(1)} ${y.get(child)} ${axis} ${y.get(child)}`;
  };
  const heads = Object.entries(TIERS).map(([tier, label]) => {
    const first = world.dimensions.find((d) => d.tier === Number(tier));
    return first && s("text", { class: `head t${tier}`, x: axis + 10, y: y.get(first.id) - ROW, dy: "0.34em" }, label);
  });
  const node = (d) =>
    s(
      "g",
      { transform: `translate(${axis} ${y.get(d.id)})` },
      s("rect", { class: "hit", x: 2, y: -ROW / 2 + 1, width: width - axis - 4, height: ROW - 2, rx: 5 }),
      s("circle", { r: 4 }),
      s("text", { x: 12, dy: "0.34em" }, d.label),
    );
  const height = ROW * (longest + 3);
  return graph(world, { viewBox: `0 0 ${width} ${height}`, width, height, class: "list" }, heads, edge, node);
}

/** The SVG: edges below, nodes as links above; one link is in the order of tabs, arrow keys walk on. */
function graph(world, attributes, ornament, edge, node) {
  const edges = world.dimensions.flatMap((d) => d.parents.map((parent) => s("path", { class: `edge t${world.byName.get(parent).tier}`, d: edge(parent, d.id), "data-from": parent, "data-to": d.id })));
  const links = world.dimensions.map((d, place) =>
    s(
      "a",
      { class: `node t${d.tier}`, href: `#maps/${d.id}`, "data-id": d.id, tabindex: place ? "-1" : "0", "aria-label": `${d.label}, ${TIERS[d.tier]}: depends on ${d.parents.length}, shapes ${d.children.length}` },
      node(d),
    ),
  );
  const svg = s("svg", { ...attributes, role: "group", "aria-label": "Graph of the dimensions. Arrow keys walk through them, Enter opens the maps." }, s("g", { "aria-hidden": "true" }, ornament, edges), links);
  svg.addEventListener("pointerover", (event) => point(world, event.target.closest("a")?.dataset.id ?? null));
  svg.addEventListener("pointerleave", () => point(world, null));
  svg.addEventListener("focusin", (event) => point(world, event.target.closest("a")?.dataset.id ?? null));
  svg.addEventListener("click", (event) => {
    const id = event.target.closest("a")?.dataset.id ?? null;
    if (event.pointerType === "touch" && id !== tapped) {
      event.preventDefault();
      point(world, id);
    }
    tapped = id;
  });
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const from = links.indexOf(event.target.closest("a"));
    const to = event.key === "Home" ? 0 : event.key === "End" ? links.length - 1 : move && (from + move + links.length) % links.length;
    if (to === undefined || from < 0) return;
    event.preventDefault();
    links[from].setAttribute("tabindex", "-1");
    links[to].setAttribute("tabindex", "0");
    links[to].focus();
  });
  return svg;
}

/** Light up a dimension with its parents and children, and tell of it beside the graph; null lights up all. */
function point(world, id) {
  drawn.current = id;
  const box = byId("graph");
  const dimension = world.byName.get(id);
  box.classList.toggle("pointing", Boolean(dimension));
  for (const path of box.querySelectorAll(".edge")) {
    path.classList.toggle("in", Boolean(dimension) && path.dataset.to === id);
    path.classList.toggle("out", Boolean(dimension) && path.dataset.from === id);
  }
  for (const link of box.querySelectorAll(".node")) {
    link.classList.toggle("self", link.dataset.id === id);
    link.classList.toggle("parent", Boolean(dimension?.parents.includes(link.dataset.id)));
    link.classList.toggle("child", Boolean(dimension?.children.includes(link.dataset.id)));
  }
  put(byId("graph-info"), ...(dimension ? told(world, dimension) : legend(world)));
}

function told(world, dimension) {
  const names = (ids) => ids.map((one) => world.byName.get(one).label).join(", ");
  return [
    h("h2", {}, dimension.label),
    h("p", { class: `tags t${dimension.tier}` }, h("span", { class: "tag tier-tag" }, TIERS[dimension.tier])),
    h("p", {}, dimension.definition),
    h("p", {}, h("b", { class: "parent-word" }, `Depends on ${dimension.parents.length} `), names(dimension.parents)),
    h("p", {}, h("b", { class: "child-word" }, `Shapes ${dimension.children.length} `), names(dimension.children)),
    h("p", {}, h("a", { href: `#maps/${dimension.id}` }, "Open its maps")),
  ];
}

function legend(world) {
  const edges = world.dimensions.reduce((sum, d) => sum + d.parents.length, 0);
  return [
    h("p", { class: "count" }, h("b", {}, world.dimensions.length), " dimensions", h("br"), h("b", {}, edges), " dependencies"),
    h("ul", { class: "legend" }, Object.entries(TIERS).map(([tier, label]) => h("li", { class: `t${tier}` }, h("i", { "aria-hidden": "true" }), `${label}, ${plural(world.dimensions.filter((d) => d.tier === Number(tier)).length, "dimension", "dimensions")}`))),
    h("p", { class: "hint" }, "A dimension depends on earlier ones only, so no cause comes after its consequence."),
  ];
}
