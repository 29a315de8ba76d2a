// A person's ring: a spoke for each dimension in the order of a life, the longer the rarer the value.

import { s } from "./dom.js";
import { shareOf } from "./world.js";

const INNER = 17;
const SHORTEST = 2.5;
const LONGEST = 28;
const MOST_BITS = 8; // 1 in 256 and rarer is as long as it gets

export function ring(world, persona) {
  const count = world.dimensions.length;
  const spokes = world.dimensions.map((d, place) => {
    const share = persona[d.id] === undefined ? 1 : shareOf(world, d.id, persona[d.id]) ?? 1;
    const bits = Math.min(MOST_BITS, -Math.log2(share));
    const outer = INNER + SHORTEST + (LONGEST * bits) / MOST_BITS;
    const angle = (2 * Math.PI * place) / count - Math.PI / 2;
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    return s("line", {
      class: `t${d.tier}`,
      x1: (x * INNER).toFixed(2), y1: (y * INNER).toFixed(2), x2: (x * outer).toFixed(2), y2: (y * outer).toFixed(2),
    });
  });
  return s("svg", { class: "ring", viewBox: "-50 -50 100 100", "aria-hidden": "true" }, spokes);
}

/** The dimensions of a person by how rare their values are, the rarest first. */
export function rarest(world, persona, most) {
  return world.dimensions
    .filter((d) => persona[d.id] !== undefined)
    .map((d) => ({ dimension: d, share: shareOf(world, d.id, persona[d.id]) }))
    .filter((one) => one.share !== null && one.share < 0.12)
    .sort((a, b) => a.share - b.share)
    .slice(0, most);
}
