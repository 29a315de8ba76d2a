"""The numba kernel: the draws of `serving.numpy_kernel`, bit for bit, compiled; used where numba is installed.

Here belong the compiled loops and the arrays that they read. What a draw is, `serving.reference` says.

How it is fast: rows are padded to 8, 16 or more places, and rows of 8 and 16 are worked on by straight-line code, which
LLVM turns into vector instructions (its SLP vectoriser, which numba leaves off unless told). Unsigned indices need no
check for wrapping around. Blocks of personas go through dimension by dimension, so that a dimension's tables stay in
the cache; uniforms, and where each table is read at, are worked out for the whole block first, in loops that become
vector code. Products and sums are taken in the order of the definition, without fused or reordered arithmetic, which is
what keeps the bits: a place that only pads adds nothing to a sum, and is never below a threshold.
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
LANES = (8, 16, 256)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
P = tuple(np.uint64(place) for place in range(16))
_GOLDEN, _M1, _M2 = np.uint64(GOLDEN), np.uint64(MULTIPLIER_1), np.uint64(MULTIPLIER_2)


class NumbaKernel:
    """The plans of a snapshot as flat arrays, and the compiled loop over them."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        tables: tuple[list[npt.NDArray[np.float64]], ...] = tuple([np.zeros(lanes)] for lanes in LANES)
        ends = list(LANES)  # of the tables so far, the first being empty
        gathers, links = [0], [0]
        offsets: list[int] = []
        parents: list[int] = []
        strides: list[int] = []
        for plan in plans:
            kind, lanes = _lanes(plan.width)
            for gather in (plan.prefix, *plan.rest):
                table = np.zeros((len(gather.table), lanes))
                table[:, : plan.width] = gather.table
                tables[kind].append(table.ravel())
                offsets.append(ends[kind])
                ends[kind] += table.size
                stride = 1
                for parent, size in zip(reversed(gather.parents), reversed(gather.sizes), strict=True):
                    parents.append(parent)
                    strides.append(stride * lanes)
                    stride *= size
                links.append(len(parents))
            gathers.append(len(offsets))
        self._tables = tuple(np.concatenate(one) for one in tables)
        self._flat = tuple(np.array(a, dtype=np.uint64) for a in (gathers, offsets, links, parents, strides))
        self._widths = np.array([plan.width for plan in plans], dtype=np.uint64)
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
            likely = np.zeros((len(likelihoods), LANES[-1]))
            for place, (position, values) in enumerate(likelihoods.items()):
                places[position] = place
                likely[place, : len(values)] = values
        maps = (self._flat, self._tables)
        return int(_run(indices, order, streams, self._widths, maps, (places, likely), codes, weights))

    def one(self, order: Order, seed: Seed, index: int) -> tuple[list[int], list[float], int]:
        """See `serving.engine.OnePerson`."""
        codes = order.codes.copy()
        uniforms = np.empty(len(order.keys) - len(order.positions))
        failed = _one(
            np.uint64(seed_key(seed)), np.uint64(index), order.positions, order.keys, self._widths, self._flat,
            self._tables, self._nowhere, _NO_LIKELIHOOD, codes, uniforms,
        )  # fmt: skip
        return codes.tolist(), uniforms.tolist(), int(failed)


_NO_LIKELIHOOD = np.zeros((1, LANES[-1]))


def _lanes(width: int) -> tuple[int, int]:
    """Which of the three groups of tables a width belongs to, and how many places a row takes there."""
    kind = next(kind for kind, lanes in enumerate(LANES) if width <= lanes)
    return kind, LANES[kind] if kind < 2 else -(-width // 8) * 8


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


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_8(  # noqa: PLR0917
    low: Any, high: Any, count: Any, t: Any, rows: Any, chances: Any, row: Any, weights: Any
) -> Any:
    for i in range(low, high):
        r = np.uint64(rows[_ZERO, i - low])
        a, b, c, d = t[r + P[0]], t[r + P[1]], t[r + P[2]], t[r + P[3]]
        e, f, g, h = t[r + P[4]], t[r + P[5]], t[r + P[6]], t[r + P[7]]
        for table in range(_ONE, count):
            r = np.uint64(rows[table, i - low])
            a, b, c, d = a * t[r + P[0]], b * t[r + P[1]], c * t[r + P[2]], d * t[r + P[3]]
            e, f, g, h = e * t[r + P[4]], f * t[r + P[5]], g * t[r + P[6]], h * t[r + P[7]]
        b += a
        c += b
        d += c
        e += d
        f += e
        g += f
        h += g
        if h < SMALLEST_TOTAL and weights[i] > 0.0:
            return False
        u = chances[i - low] * h
        low_half = np.uint8(a <= u) + np.uint8(b <= u) + np.uint8(c <= u) + np.uint8(d <= u)
        row[i] = low_half + np.uint8(e <= u) + np.uint8(f <= u) + np.uint8(g <= u)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_16(  # noqa: PLR0917
    low: Any, high: Any, count: Any, t: Any, rows: Any, chances: Any, row: Any, weights: Any
) -> Any:
    for i in range(low, high):
        r = np.uint64(rows[_ZERO, i - low])
        a, b, c, d = t[r + P[0]], t[r + P[1]], t[r + P[2]], t[r + P[3]]
        e, f, g, h = t[r + P[4]], t[r + P[5]], t[r + P[6]], t[r + P[7]]
        j, k, s, m = t[r + P[8]], t[r + P[9]], t[r + P[10]], t[r + P[11]]
        n, o, p, q = t[r + P[12]], t[r + P[13]], t[r + P[14]], t[r + P[15]]
        for table in range(_ONE, count):
            r = np.uint64(rows[table, i - low])
            a, b, c, d = a * t[r + P[0]], b * t[r + P[1]], c * t[r + P[2]], d * t[r + P[3]]
            e, f, g, h = e * t[r + P[4]], f * t[r + P[5]], g * t[r + P[6]], h * t[r + P[7]]
            j, k, s, m = j * t[r + P[8]], k * t[r + P[9]], s * t[r + P[10]], m * t[r + P[11]]
            n, o, p, q = n * t[r + P[12]], o * t[r + P[13]], p * t[r + P[14]], q * t[r + P[15]]
        b += a
        c += b
        d += c
        e += d
        f += e
        g += f
        h += g
        j += h
        k += j
        s += k
        m += s
        n += m
        o += n
        p += o
        q += p
        if q < SMALLEST_TOTAL and weights[i] > 0.0:
            return False
        u = chances[i - low] * q
        code = np.uint8(a <= u) + np.uint8(b <= u) + np.uint8(c <= u) + np.uint8(d <= u)
        code += np.uint8(e <= u) + np.uint8(f <= u) + np.uint8(g <= u) + np.uint8(h <= u)
        code += np.uint8(j <= u) + np.uint8(k <= u) + np.uint8(s <= u) + np.uint8(m <= u)
        row[i] = code + np.uint8(n <= u) + np.uint8(o <= u) + np.uint8(p <= u)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_any(  # noqa: PLR0917
    low: Any, high: Any, count: Any, width: Any, t: Any, rows: Any, likely: Any, place: Any, work: Any,
    chances: Any, row: Any, weights: Any,
) -> Any:  # fmt: skip
    """Rows of any width, and any likelihood; `place` is -1 without one."""
    for i in range(low, high):
        r = np.uint64(rows[_ZERO, i - low])
        for c in range(width):
            work[c] = t[r + c]
        for table in range(_ONE, count):
            r = np.uint64(rows[table, i - low])
            for c in range(width):
                work[c] *= t[r + c]
        if place >= 0:
            total = 0.0
            for c in range(width):
                total += work[c]
            if total < SMALLEST_TOTAL and weights[i] > 0.0:
                return False
            weights[i] /= max(total, SMALLEST_TOTAL)
            for c in range(width):
                work[c] *= likely[place, c]
        for c in range(_ONE, width):
            work[c] += work[c - _ONE]
        total = work[width - _ONE]
        if place >= 0:
            weights[i] *= total
        elif total < SMALLEST_TOTAL and weights[i] > 0.0:
            return False
        u = chances[i - low] * total
        code = np.uint8(0)
        for c in range(width - _ONE):
            code += np.uint8(work[c] <= u)
        row[i] = code
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _run(  # noqa: PLR0917
    indices: Any, order: Any, starts: Any, widths: Any, maps: Any, evidence: Any, codes: Any, weights: Any
) -> Any:
    flat, (t8, t16, t256) = maps
    places, likely = evidence
    gathers = flat[0]
    n = np.uint64(len(indices))
    work = np.empty(256)
    most = _ONE
    for at in order:
        most = max(most, gathers[at + _ONE] - gathers[at])
    rows = np.empty((most, min(n, BLOCK)), dtype=np.uint32)
    chances = np.empty(min(n, BLOCK))
    for low in range(_ZERO, n, BLOCK):
        high = min(low + BLOCK, n)
        for turn in range(len(order)):
            at, start = order[turn], starts[turn]
            width, place, count = widths[at], places[at], gathers[at + _ONE] - gathers[at]
            _look_up(at, low, high, flat, codes, rows)
            for i in range(high - low):
                chances[i] = _threshold(indices[low + i], start)
            if place < 0 and width <= np.uint64(8):
                well = _draw_8(low, high, count, t8, rows, chances, codes[at], weights)
            elif place < 0 and width <= np.uint64(16):
                well = _draw_16(low, high, count, t16, rows, chances, codes[at], weights)
            else:
                table = t8 if width <= np.uint64(8) else t16 if width <= np.uint64(16) else t256
                well = _draw_any(low, high, count, width, table, rows, likely, place, work, chances, codes[at], weights)
            if not well:
                return np.int64(at)
    return np.int64(-1)


@njit(cache=True, nogil=True, error_model="numpy")
def _one(  # noqa: PLR0917
    seed: Any, index: Any, order: Any, keys: Any, widths: Any, flat: Any, tables: Any, places: Any, likely: Any,
    codes: Any, uniforms: Any,
) -> Any:  # fmt: skip
    """One persona: codes, (dimensions,), and the uniforms of the streams behind those of its dimensions."""
    starts = np.empty(len(keys), dtype=np.uint64)
    for turn in range(len(keys)):
        starts[turn] = _mix64(keys[turn] ^ seed)
    for turn in range(len(uniforms)):
        uniforms[turn] = _threshold(index, starts[len(order) + turn])
    column = codes.reshape(len(codes), 1)
    evidence = (places, likely)
    return _run(np.full(1, index), order, starts, widths, (flat, tables), evidence, column, np.ones(1))
