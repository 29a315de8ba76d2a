"""P(name | heritage) within one cell, as a mixture of names told of the heritage and names of everybody.

Here belongs the model as pure functions on arrays; reading its data and drawing are `serving.names`. A cell is all
people who share what a name depends on besides heritage: ethnicity, sex, cohort and origin, or ethnicity alone for
surnames.

What is known: b(n), the share of name n among the cell's people; T(h), that of heritage h; and for the names that were
asked about, the heritages of their bearers. All of it is satisfied at once: the joint J(n, h) has the sums b over
names and T over heritages, and is as near as can be to what was told (iterative proportional fitting; Deming &
Stephan 1940). Where the two sides disagree, and more people bear Chinese names than name Chinese as their heritage,
the names that are shared with others give way first, because each name's heritages are weighed against one another.

Every sum runs from left to right, so that the tables are the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROUNDS = 12
UNLISTED = 0.02
"""A heritage that an answer does not list may have up to this share of a name: it was asked to list all above."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Told:
    """Heritage tags, sorted by heritage and then name: `share[i]` of the bearers of `row[i]` have `heritage[i]`."""

    row: Ints
    heritage: Ints
    share: Floats

    def of(self, rows: Ints, names: int) -> Told:
        """The tags of some of all `names` rows, ascending; renumbered by their place among them."""
        place = np.full(names, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        kept = place[self.row] >= 0
        return Told(place[self.row[kept]], self.heritage[kept], self.share[kept])


@dataclass(frozen=True, slots=True)
class Routing:
    """Within one ethnicity: P(heritage | name) of each tag in `share`, and in `free` what is not told of each name.

    The shares of a name's tags and its `free`, which is above 0, sum to 1.
    """

    row: Ints
    heritage: Ints
    share: Floats
    free: Floats


@dataclass(frozen=True, slots=True)
class Mixture:
    """The names of a cell: `pool` weighs each name asked about, `special` each tag, for those of the tag's heritage.

    `told[h]` is the share of the cell's people who have heritage h and a name from `special`; the others with this
    heritage have one from the pool.
    """

    pool: Floats
    special: Floats
    told: Floats


def route(told: Told, names: int, ethnicity_of: Floats, ethnicity: float) -> Routing:
    """Bayes: P(h | name, e) ~ P(h | name) P(e | h), ethnicity and name being independent given the heritage.

    `ethnicity_of[h]` is P(e | h) and `ethnicity` P(e), which stands for P(e | h) of the heritages that an answer does
    not list. So the less an answer speaks of this ethnicity, the more of the name stays free: of the white bearers of
    Nguyen all, of the Asian ones hardly any.
    """
    mass = told.share * ethnicity_of[told.heritage]
    listed = np.bincount(told.row, told.share, names)
    whole = np.bincount(told.row, mass, names) + (np.maximum(1 - listed, 0) + UNLISTED) * ethnicity
    share = mass / whole[told.row]
    kept = share >= UNLISTED
    row, heritage, share = told.row[kept], told.heritage[kept], share[kept]
    free = 1.0 - np.bincount(row, share, names).astype(np.float64)
    return Routing(row, heritage, share, free)


def mix(names: Floats, routing: Routing, people: Floats, *, exact: bool) -> Mixture:
    """The mixture of a cell, of which only the names that were asked about are needed.

    Args:
        names: their b(n) > 0; what they lack to 1 is that of all other names, which are in the pool whole.
        routing: of these names, in this order.
        people: T(h), summing to 1; 0 for a heritage that nobody has.
        exact: what becomes of a name where more people bear names of a heritage than have it: it keeps b(n) and is
            given to others too; or, if False, it becomes rarer and is given to nobody else.

    If exact, sum_h T(h) P(n | h) = b(n) to rounding.
    """
    row, heritage, share, free = routing.row, routing.heritage, routing.share, routing.free
    untold = max(1 - total(names), 0.0)
    tilt = np.ones(len(people))
    for left in range(ROUNDS, -1, -1):
        tilted = share * tilt[heritage]
        unrouted = total(people * tilt)
        whole = np.bincount(row, tilted, len(names)) + free * unrouted
        scale = names / (whole if exact else np.maximum(whole, 1))
        joint = scale[row] * tilted
        found = np.bincount(heritage, joint, len(people))
        if left:
            borne = found + people * tilt * (total(scale * free) + untold / unrouted)
            tilt *= np.divide(people, borne, out=np.zeros_like(people), where=people > 0)
    over = found > people
    joint *= np.divide(people, found, out=np.ones_like(people), where=over)[heritage]
    pool = np.maximum(names - np.bincount(row, joint, len(names)), 0)
    return Mixture(pool if exact else np.minimum(pool, names * free), joint, np.where(over, people, found))


def spread(told: Floats, people: Floats, strength: Floats) -> Floats:
    """Share of each group of people whose name is from the special ones, of shape (heritages, groups).

    Args:
        told: (heritages,), the mass of special names of each; not above the sum of its people.
        people: (heritages, groups), the mass of people.
        strength: (groups,), how much more often one group has a special name than another.

    The shares are in proportion to `strength`, except that none exceeds 1, and people * share sums to `told`.
    """
    shares = np.zeros(people.shape)
    left = told.copy()
    order = sorted(range(len(strength)), key=lambda group: -strength[group])
    for place, group in enumerate(order):
        weight = sum((people[:, other] * strength[other] for other in order[place:]), np.zeros(len(told)))
        unit = np.divide(left, weight, out=np.zeros_like(left), where=weight > 0)
        shares[:, group] = np.minimum(unit * strength[group], 1)
        left = np.maximum(left - shares[:, group] * people[:, group], 0)
    return shares


def total(values: Floats) -> float:
    """Sum from left to right; `np.sum` groups the values as suits the machine."""
    return float(np.cumsum(values)[-1]) if len(values) else 0.0
