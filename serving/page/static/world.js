// What holds for everybody: the catalogue, who depends on whom, and how common each value is.

import { ask } from "./api.js";
import { h } from "./dom.js";
import { query, whose } from "./state.js";

export const TIERS = { 1: "Born with", 2: "Circumstances", 3: "Choices" };
export const BASE_PEOPLE = 20_000; // that the shares in the whole population are counted among

/** Load the catalogue: dimensions in order, with their children and the labels of their categories. */
export async function loadWorld(state) {
  const told = await ask(`v1/catalogue?${query(whose(state))}`);
  const dimensions = told.dimensions.map((d) => ({
    ...d,
    children: [],
    labels: new Map(d.categories.map((c) => [c.id, c.label])),
  }));
  const byName = new Map(dimensions.map((d) => [d.id, d]));
  for (const d of dimensions) for (const parent of d.parents) byName.get(parent).children.push(d.id);
  return { population: told.population, snapshot: told.snapshot_id, derived: told.derived, dimensions, byName, shares: null };
}

/** The label of a value, or of several as the URL has them, ranges among them. */
export function labelOf(dimension, value) {
  if (dimension.labels.has(value)) return dimension.labels.get(value);
  const [low, high] = value.split("..");
  if (high === undefined) return value;
  const end = (one) => dimension.labels.get(one) ?? one;
  return low && high ? `${end(low)} to ${end(high)}` : low ? `${end(low)} and up` : `up to ${end(high)}`;
}

/** How common a value is in the population, 0 to 1; null while that is not known. */
export function shareOf(world, dimension, value) {
  const share = world.shares?.[dimension]?.[value];
  return share === undefined ? null : Math.max(share, 0.5 / BASE_PEOPLE);
}

/** Options of a select with all dimensions, grouped by tier. */
export function dimensionOptions(world) {
  return Object.entries(TIERS).map(([tier, label]) =>
    h("optgroup", { label }, world.dimensions.filter((d) => d.tier === Number(tier)).map((d) => h("option", { value: d.id }, d.label))),
  );
}
