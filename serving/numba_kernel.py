"""The numba kernel: the draws of `serving.numpy_kernel`, bit for bit, compiled; used where numba is installed.

Here belong the compiled loops and the arrays that they read. What a draw is, `serving.reference` says.

How it is fast: rows are padded to 4, 8, 12, 16 or more places, and those of up to 20 are worked on by straight-line
code, which LLVM turns into vector instructions (its SLP vectoriser, which numba leaves off unless told). Unsigned
indices need no check for wrapping around. Blocks of personas go through dimension by dimension, so that a dimension's
tables stay in the cache; uniforms, and where each table is read at, are worked out for the whole block first, in loops
that become vector code. Products and sums are taken in the order of the definition, without fused or reordered
arithmetic, which is what keeps the bits: a place that only pads adds nothing to a sum, and is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import config

from serving.counter import GOLDEN, MULTIPLIER_1, MULTIPLIER_2, SCALE, Seed, seed_key
from serving.plans import Order, Plan
from serving.reference import SMALLEST_TOTAL

config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]  # before anything is compiled
if TYPE_CHECKING:
    F = TypeVar("F", bound=Callable[..., Any])

    def njit(**options: object) -> Callable[[F], F]:
        """As numba has it, but typed."""


else:
    from numba import njit

BLOCK = np.uint64(1024)
LANES = (4, 8, 12, 16, 20)  # places of a row that is drawn by straight-line code; with more it is not always faster
MOST = 256  # places of any row
LINE = 8  # places in a line of the cache
GROUP = 16  # persons whose wider rows are summed side by side
_ZERO, _ONE = np.uint64(0), np.uint64(1)
P = tuple(np.uint64(place) for place in range(LANES[-1]))
_GOLDEN, _M1, _M2 = np.uint64(GOLDEN), np.uint64(MULTIPLIER_1), np.uint64(MULTIPLIER_2)


class NumbaKernel:
    """The plans of a snapshot as flat arrays, and the compiled loop over them."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        tables: list[npt.NDArray[np.float64]] = []
        gathers, offsets, links = [0], [0], [0]
        parents: list[int] = []
        strides: list[int] = []
        lanes = [next((lanes for lanes in LANES if plan.width <= lanes), -(-plan.width // 8) * 8) for plan in plans]
        for plan, places in zip(plans, lanes, strict=True):
            for gather in (plan.prefix, *plan.rest):
                table = np.zeros((len(gather.table), places))
                table[:, : plan.width] = gather.table
                tables.append(table.ravel())
                offsets.append(offsets[-1] + -(-table.size // LINE) * LINE)
                stride = 1
                for parent, size in zip(reversed(gather.parents), reversed(gather.sizes), strict=True):
                    parents.append(parent)
                    strides.append(stride * places)
                    stride *= size
                links.append(len(parents))
            gathers.append(len(tables))
        self._table = _aligned(offsets[-1])
        for table, offset in zip(tables, offsets, strict=False):
            self._table[offset : offset + table.size] = table
        self._flat = tuple(np.array(a, dtype=np.uint64) for a in (gathers, offsets, links, parents, strides))
        self._lanes = np.array(lanes, dtype=np.uint64)
        self._last = np.array([plan.width - 1 for plan in plans], dtype=np.uint8)
        self._nowhere = np.full(len(plans), -1, dtype=np.int64)

    def run(
        self,
        indices: npt.NDArray[np.uint64],
        starts: Mapping[int, int],
        likelihoods: Mapping[int, npt.NDArray[np.float64]],
        codes: npt.NDArray[np.uint8],
        weights: npt.NDArray[np.float64],
    ) -> int:
        """See `serving.engine.Kernel`."""
        order = np.fromiter(starts.keys(), dtype=np.uint64, count=len(starts))
        streams = np.fromiter(starts.values(), dtype=np.uint64, count=len(starts))
        places, likely = self._nowhere, _NO_LIKELIHOOD
        if likelihoods:
            places = places.copy()
            likely = np.zeros((len(likelihoods), MOST))
            for place, (position, values) in enumerate(likelihoods.items()):
                places[position] = place
                likely[place, : len(values)] = values
        maps = (self._flat, self._lanes, self._last, self._table)
        return int(_run(indices, order, streams, maps, (places, likely), codes, weights))

    def one(self, order: Order, seed: Seed, index: int) -> tuple[list[int], list[float], int]:
        """See `serving.engine.OnePerson`."""
        codes = order.codes.copy()
        uniforms = np.empty(len(order.keys) - len(order.positions))
        failed = _one(
            np.uint64(seed_key(seed)), np.uint64(index), order.positions, order.keys, self._flat, self._lanes,
            self._last, self._table, self._nowhere, _NO_LIKELIHOOD, codes, uniforms,
        )  # fmt: skip
        return codes.tolist(), uniforms.tolist(), int(failed)


_NO_LIKELIHOOD = np.zeros((1, MOST))


def _aligned(size: int) -> npt.NDArray[np.float64]:
    """Zeros that begin where a line of the cache does, so that a row of eight places is in one line and not in two."""
    room = np.zeros(size + LINE)
    first = -(room.ctypes.data // room.itemsize) % LINE
    return room[first : first + size]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _mix64(z: Any) -> Any:
    """The mixer of `serving.counter`."""
    z = (z ^ (z >> np.uint64(30))) * _M1
    z = (z ^ (z >> np.uint64(27))) * _M2
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True, error_model="numpy")
def _threshold(index: Any, start: Any) -> Any:
    """The uniform of `serving.counter`."""
    z = _mix64((index + _ONE) * _GOLDEN + start)
    return np.float64(np.int64(z >> np.uint64(12))) * SCALE


@njit(cache=True, nogil=True, error_model="numpy")
def _look_up(at: Any, low: Any, high: Any, flat: Any, codes: Any, rows: Any) -> Any:  # noqa: PLR0917
    """Where each table of a dimension is read at, for each persona of the block: (tables, block)."""
    gathers, offsets, links, parents, strides = flat
    first, count = gathers[at], high - low
    for gather in range(first, gathers[at + _ONE]):
        row, offset = rows[gather - first], np.uint32(offsets[gather])
        for i in range(count):
            row[i] = offset
        for link in range(links[gather], links[gather + _ONE]):
            code, stride = codes[parents[link], low:high], np.uint32(strides[link])
            for i in range(count):
                row[i] += np.uint32(code[i]) * stride


def _written_out(lanes: int) -> Callable[..., Any]:
    """The draw of a dimension whose rows have so many places, as straight-line code."""
    places = range(lanes)
    lines = [
        f"def draw_{lanes}(low, high, count, last, t, rows, chances, row, weights):",
        " for i in range(low, high):",
        "  r = np.uint64(rows[_ZERO, i - low])",
        *(f"  v{p} = t[r + P[{p}]]" for p in places),
        "  for table in range(_ONE, count):",
        "   r = np.uint64(rows[table, i - low])",
        *(f"   v{p} *= t[r + P[{p}]]" for p in places),
        *(f"  v{p} += v{p - 1}" for p in places[1:]),
        f"  if v{lanes - 1} < SMALLEST_TOTAL and weights[i] > 0.0:",
        "   return False",
        f"  u = chances[i - low] * v{lanes - 1}",
        "  code = " + " + ".join(f"np.uint8(v{p} <= u)" for p in places[:-1]),
        "  row[i] = min(code, last)",
        " return True",
    ]
    scope = dict(globals())
    exec(compile("\n".join(lines), __file__, "exec"), scope)  # under this file's name it can be cached
    drawn: Callable[..., Any] = njit(cache=True, nogil=True, error_model="numpy")(scope[f"draw_{lanes}"])
    return drawn


_draw_4 = _written_out(4)
_draw_8 = _written_out(8)
_draw_12 = _written_out(12)
_draw_16 = _written_out(16)
_draw_20 = _written_out(20)


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply(count: Any, lanes: Any, t: Any, rows: Any, person: Any, work: Any) -> Any:  # noqa: PLR0917
    """The products of one person of the block, by category, into `work`."""
    for low in range(_ZERO, lanes, np.uint64(4)):
        r = np.uint64(rows[_ZERO, person]) + low
        a, b, c, d = t[r + P[0]], t[r + P[1]], t[r + P[2]], t[r + P[3]]
        for table in range(_ONE, count):
            r = np.uint64(rows[table, person]) + low
            a, b, c, d = a * t[r + P[0]], b * t[r + P[1]], c * t[r + P[2]], d * t[r + P[3]]
        work[low + P[0]], work[low + P[1]], work[low + P[2]], work[low + P[3]] = a, b, c, d


def _written_out_for_a_group() -> Callable[..., Any]:
    """The draw of a dimension with wider rows, for whole groups of persons; says where it ended and whether it could.

    The products of a person go into a column of `work`, (places, GROUP), so that running sums and comparisons are taken
    for the persons of a group side by side: each sum is still taken in its order, and none waits for another's.
    """
    persons, places = range(GROUP), range(LINE)
    lines = [
        "def draw_group(low, high, count, lanes, last, t, rows, work, chances, row, weights):",
        " products, limits, found = work",
        f" ends = low + (high - low) // np.uint64({GROUP}) * np.uint64({GROUP})",
        f" for first in range(low, ends, np.uint64({GROUP})):",
        f"  for person in range(np.uint64({GROUP})):",
        f"   for place in range(_ZERO, lanes, np.uint64({LINE})):",
        "    r = np.uint64(rows[_ZERO, first - low + person]) + place",
        *(f"    v{p} = t[r + P[{p}]]" for p in places),
        "    for table in range(_ONE, count):",
        "     r = np.uint64(rows[table, first - low + person]) + place",
        *(f"     v{p} *= t[r + P[{p}]]" for p in places),
        *(f"    products[place + P[{p}], person] = v{p}" for p in places),
        *(f"  s{p} = 0.0" for p in persons),
        "  for place in range(lanes):",
        *(f"   s{p} += products[place, P[{p}]]" for p in persons),
        *(f"   products[place, P[{p}]] = s{p}" for p in persons),
        f"  for person in range(np.uint64({GROUP})):",
        "   total = products[lanes - _ONE, person]",
        "   if total < SMALLEST_TOTAL and weights[first + person] > 0.0:",
        "    return first, False",
        "   limits[person] = chances[first - low + person] * total",
        *(f"  u{p}, c{p} = limits[P[{p}]], 0" for p in persons),
        "  for place in range(lanes - _ONE):",
        *(f"   c{p} += products[place, P[{p}]] <= u{p}" for p in persons),
        *(f"  found[P[{p}]] = c{p}" for p in persons),
        f"  for person in range(np.uint64({GROUP})):",
        "   row[first + person] = np.uint8(min(found[person], last))",
        " return ends, True",
    ]
    scope = dict(globals())
    exec(compile("\n".join(lines), __file__, "exec"), scope)
    drawn: Callable[..., Any] = njit(cache=True, nogil=True, error_model="numpy")(scope["draw_group"])
    return drawn


_draw_group = _written_out_for_a_group()


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_wide(  # noqa: PLR0917
    low: Any, high: Any, count: Any, lanes: Any, last: Any, t: Any, rows: Any, single: Any, group: Any, chances: Any,
    row: Any, weights: Any,
) -> Any:  # fmt: skip
    """Rows of more than 20 places: groups of persons, and those who are left one by one."""
    ends, well = _draw_group(low, high, count, lanes, last, t, rows, group, chances, row, weights)
    if not well:
        return False
    for i in range(ends, high):
        _multiply(count, lanes, t, rows, i - low, single)
        total = 0.0
        for c in range(lanes):
            total += single[c]
            single[c] = total
        if total < SMALLEST_TOTAL and weights[i] > 0.0:
            return False
        u = chances[i - low] * total
        code = 0
        for c in range(lanes - _ONE):
            code += single[c] <= u
        row[i] = np.uint8(min(code, last))
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_likely(  # noqa: PLR0917
    low: Any, high: Any, count: Any, lanes: Any, last: Any, t: Any, rows: Any, likely: Any, work: Any, chances: Any,
    row: Any, weights: Any,
) -> Any:  # fmt: skip
    """Rows of any width with a likelihood; weights become 0 where nothing is possible."""
    for i in range(low, high):
        _multiply(count, lanes, t, rows, i - low, work)
        total = 0.0
        for c in range(lanes):
            total += work[c]
        weights[i] /= max(total, SMALLEST_TOTAL)
        left = 0.0
        for c in range(lanes):
            left += work[c] * likely[c]
            work[c] = left
        weights[i] *= left
        u = chances[i - low] * left
        code = 0
        for c in range(lanes - _ONE):
            code += work[c] <= u
        row[i] = np.uint8(min(code, last))


@njit(cache=True, nogil=True, error_model="numpy")
def _run(  # noqa: PLR0917
    indices: Any, order: Any, starts: Any, maps: Any, evidence: Any, codes: Any, weights: Any
) -> Any:
    flat, lanes_of, last_of, table = maps
    places, likely = evidence
    gathers = flat[0]
    n = np.uint64(len(indices))
    together = GROUP if n >= GROUP else 1  # a group's room takes longer to get than one person to draw
    single = np.empty(MOST)
    group = (np.empty((MOST, together)), np.empty(together), np.empty(together, dtype=np.int64))
    most = _ONE
    for at in order:
        most = max(most, gathers[at + _ONE] - gathers[at])
    rows = np.empty((most, min(n, BLOCK)), dtype=np.uint32)
    chances = np.empty(min(n, BLOCK))
    for low in range(_ZERO, n, BLOCK):
        high = min(low + BLOCK, n)
        for turn in range(len(order)):
            at, start = order[turn], starts[turn]
            lanes, last, place = lanes_of[at], last_of[at], places[at]
            count = gathers[at + _ONE] - gathers[at]
            _look_up(at, low, high, flat, codes, rows)
            for i in range(high - low):
                chances[i] = _threshold(indices[low + i], start)
            well = True
            if place >= 0:
                _draw_likely(
                    low, high, count, lanes, last, table, rows, likely[place], single, chances, codes[at], weights
                )
            elif lanes == P[4]:
                well = _draw_4(low, high, count, last, table, rows, chances, codes[at], weights)
            elif lanes == P[8]:
                well = _draw_8(low, high, count, last, table, rows, chances, codes[at], weights)
            elif lanes == P[12]:
                well = _draw_12(low, high, count, last, table, rows, chances, codes[at], weights)
            elif lanes == np.uint64(16):
                well = _draw_16(low, high, count, last, table, rows, chances, codes[at], weights)
            elif lanes == np.uint64(20):
                well = _draw_20(low, high, count, last, table, rows, chances, codes[at], weights)
            else:
                well = _draw_wide(
                    low, high, count, lanes, last, table, rows, single, group, chances, codes[at], weights
                )
            if not well:
                return np.int64(at)
    return np.int64(-1)


@njit(cache=True, nogil=True, error_model="numpy")
def _one(  # noqa: PLR0917
    seed: Any, index: Any, order: Any, keys: Any, flat: Any, lanes: Any, last: Any, table: Any, places: Any,
    likely: Any, codes: Any, uniforms: Any,
) -> Any:  # fmt: skip
    """One persona: codes, (dimensions,), and the uniforms of the streams behind those of its dimensions."""
    starts = np.empty(len(keys), dtype=np.uint64)
    for turn in range(len(keys)):
        starts[turn] = _mix64(keys[turn] ^ seed)
    for turn in range(len(uniforms)):
        uniforms[turn] = _threshold(index, starts[len(order) + turn])
    column = codes.reshape(len(codes), 1)
    evidence = (places, likely)
    return _run(np.full(1, index), order, starts, (flat, lanes, last, table), evidence, column, np.ones(1))
