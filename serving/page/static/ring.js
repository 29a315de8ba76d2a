// A person's ring: a spoke for each dimension in the order of a life, the longer the rarer the value is next to the
// commonest one of its dimension. So a state, of which there are 51, counts for no more than a sex.

import { s } from "./dom.js";
import { shareOf } from "./world.js";

const INNER = 16;
const SHORTEST = 3;
const LONGEST = 31;
const MOST_BITS = 6; // 64 times rarer than the commonest is as long as it gets
const UNUSUAL = 1.6; // bits above what a value of that dimension tells on average

export function ring(world, persona) {
  const count = world.dimensions.length;
  const spokes = world.dimensions.map((d, place) => {
    const share = persona[d.id] === undefined ? null : shareOf(world, d.id, persona[d.id]);
    const commonest = share === null ? 1 : Math.max(...Object.values(world.shares[d.id]));
    const bits = share === null ? 0 : Math.max(0, Math.min(MOST_BITS, Math.log2(commonest / share)));
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

/** The dimensions in which a person is out of the ordinary, the most surprising first. */
export function rarest(world, persona, most) {
  return world.dimensions
    .filter((d) => persona[d.id] !== undefined)
    .map((d) => ({ dimension: d, share: shareOf(world, d.id, persona[d.id]) }))
    .filter(({ share }) => share !== null)
    .map((one) => ({ ...one, surprise: -Math.log2(one.share) - entropy(world.shares[one.dimension.id]) }))
    .filter(({ surprise }) => surprise > UNUSUAL)
    .sort((a, b) => b.surprise - a.surprise)
    .slice(0, most);
}

const entropy = (shares) => Object.values(shares).reduce((sum, p) => sum - (p > 0 ? p * Math.log2(p) : 0), 0);
