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

KEPT = 0.85
"""Share of those born abroad who have a first name of their heritage, where its names are its own. An assumption: the
sources count names, not who came with one; the others have one that is common here."""

OWN = 3.0
"""Names are taken to be a heritage's own where its bearers are one in OWN of theirs; below, it needs them less."""

RAISED = 4.0
"""At most so many times as frequent as was inferred does a name become for that."""

TINY = 1e-300
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

    The shares of a name's tags and its `free`, which is above 0, sum to 1. `expected` is P(ethnicity | name) by what
    was told alone.
    """

    row: Ints
    heritage: Ints
    share: Floats
    free: Floats
    expected: Floats


@dataclass(frozen=True, slots=True)
class Mixture:
    """The names of a cell: `pool` weighs what is free of each name asked about, `special` each tag of a name.

    `told[h]` is the share of the cell's people who have heritage h and a name from its `special`. Of the others, the
    share `lent[h]` of the cell's people have one from the special names of h, more of which are borne than people have
    h; the rest have one from the pool.
    """

    pool: Floats
    special: Floats
    told: Floats
    lent: Floats


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
    return Routing(row, heritage, share, free, whole)


def mix(names: Floats, routing: Routing, people: Floats, *, exact: bool) -> Mixture:
    """The mixture of a cell, of which only the names that were asked about are needed.

    Args:
        names: their b(n) > 0; what they lack to 1 is that of all other names, which are in the pool whole.
        routing: of these names, in this order.
        people: T(h), summing to 1; 0 for a heritage that nobody has.
        exact: whether b(n) was counted. Where more people bear names of a heritage than have it, such a name keeps
            b(n) and is lent to others; or, if False, it becomes rarer and is given to nobody else. If False, names
            become more frequent, too, up to RAISED times, until KEPT of a heritage have one: fewer where it shares
            its names with others.

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
    told = np.minimum(found, people)
    if exact:
        pool = np.maximum(names - np.bincount(row, joint, len(names)), 0)
        return Mixture(pool, joint, told, np.maximum(found - people, 0.0))
    own = np.bincount(heritage, joint * share, len(people)) / np.maximum(found, TINY)
    wanted = people * np.minimum(OWN * own, 1) * KEPT
    told = np.maximum(told, np.minimum(wanted, RAISED * told))
    return Mixture(names * free, joint, told, np.zeros_like(told))


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
