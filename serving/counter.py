"""Counter-based uniforms: the only source of chance on the serving path.

Here belong stream keys, seed keys and the uniform of one (seed, stream, index), once in plain Python (the
definition) and once for whole index arrays in numpy. What is drawn with the uniforms belongs elsewhere. There
is no state and no clock: a uniform depends on its three arguments alone, so any split of the index range,
over processes or machines, gives the same numbers.

The mixer is the finaliser of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
generators", with Stafford's variant 13 constants); the index enters as a Weyl sequence.
"""

from __future__ import annotations

import hashlib
import operator
import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from warehouse.errors import SamplingError

MASK = (1 << 64) - 1
LARGEST_INDEX = 2**63 - 1  # of a persona
GOLDEN = 0x9E3779B97F4A7C15
MULTIPLIER_1 = 0xBF58476D1CE4E5B9
MULTIPLIER_2 = 0x94D049BB133111EB

# 52 bits, not 53: then `uniform * total < total` strictly for every normal f64 total, and the last category
# is never overrun by rounding.
SCALE = 2.0**-52

Seed = int | str
DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,29}")


def mix64(value: int) -> int:
    """SplitMix64 finaliser: a bijection on 64-bit integers."""
    value = ((value ^ (value >> 30)) * MULTIPLIER_1) & MASK
    value = ((value ^ (value >> 27)) * MULTIPLIER_2) & MASK
    return value ^ (value >> 31)


@lru_cache(maxsize=4096)
def stream_key(name: str) -> int:
    """64-bit key of a stream: a dimension id such as `education`, or `derived:birth_date` and the like."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def seed_key(seed: Seed) -> int:
    """64-bit key of a seed: integers modulo 2**64, strings by hash. The string "42" is not the integer 42."""
    if isinstance(seed, str):
        return int.from_bytes(hashlib.sha256(f"str:{seed}".encode()).digest()[:8], "little")
    return operator.index(seed) & MASK


def read_seed(text: str) -> Seed:
    """The seed that a text stands for on a command line or in a query: an integer as Python writes it, else the text.

    So `42` is an integer; `042`, `+42`, `4_2` and what has more than 30 digits are texts. The page has this rule too.
    """
    return int(text) if DECIMAL.fullmatch(text) else text


def check_seed(seed: object) -> Seed:
    """Return the seed as a plain int or str; raise SamplingError for anything else."""
    if isinstance(seed, str):
        if not seed.isascii() and seed.encode(errors="replace").decode() != seed:
            raise SamplingError(
                f"seed {seed!r} is no text that can be encoded: give an integer or another string", argument="seed"
            )
        return seed
    try:
        return operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        raise SamplingError(f"seed {seed!r} is no seed: give an integer or a string", argument="seed") from None


def stream_start(seed: Seed, stream: str) -> int:
    """Where the stream of one seed starts; computed once per (seed, stream), then `uniform` per index."""
    return mix64(seed_key(seed) ^ mixed_key(stream))


def uniform(start: int, index: int) -> float:
    """Uniform in [0, 1 - 2**-52] of one index; `start` comes from `stream_start`."""
    return (mix64((start + (index + 1) * GOLDEN) & MASK) >> 12) * SCALE


def uniforms_at(starts: npt.NDArray[np.uint64], index: int) -> npt.NDArray[np.float64]:
    """Uniforms of one index in many streams; shape of `starts`, bit-identical to `uniform` on each."""
    mixed = _mix64(starts + np.uint64((index + 1) * GOLDEN & MASK))
    return np.multiply((mixed >> np.uint64(12)).view(np.int64), SCALE)


def stream_starts(seed: Seed, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """`stream_start` of one seed in many streams; `keys` are their `mixed_key`, uint64 (streams,)."""
    return _mix64(keys ^ np.uint64(seed_key(seed)))


def mixed_key(stream: str) -> int:
    """The part of `stream_start` that does not depend on the seed."""
    return mix64(stream_key(stream))


def weyl(indices: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The part of a uniform that all streams share, `(index + 1) * GOLDEN`; shape as given."""
    return (indices + np.uint64(1)) * np.uint64(GOLDEN)


def offspring(indices: npt.NDArray[np.uint64], first: int, count: int) -> npt.NDArray[np.uint64]:
    """Indices for `count` tries, from `first`, of each index: uint64 (n * count,), those of one index together.

    They are spread over all 64 bits, where no two are likely ever to meet.
    """
    tries = np.arange(first, first + count, dtype=np.uint64)
    mixed = _mix64((indices[:, None] + np.uint64(1)) * np.uint64(MULTIPLIER_2) + tries * np.uint64(GOLDEN))
    return mixed.reshape(-1)


def _mix64(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(MULTIPLIER_1)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(MULTIPLIER_2)
    return values ^ (values >> np.uint64(31))


def uniforms_into(
    start: int,
    sequence: npt.NDArray[np.uint64],
    out: npt.NDArray[np.float64],
    scratch_1: npt.NDArray[np.uint64],
    scratch_2: npt.NDArray[np.uint64],
) -> None:
    """Fill `out` with the uniforms of one stream, allocating nothing.

    `sequence` is `weyl(indices)`; the scratch arrays have its shape and are overwritten.
    """
    z, shifted = scratch_1, scratch_2
    np.add(sequence, np.uint64(start), out=z)
    np.right_shift(z, np.uint64(30), out=shifted)
    np.bitwise_xor(z, shifted, out=z)
    np.multiply(z, np.uint64(MULTIPLIER_1), out=z)
    np.right_shift(z, np.uint64(27), out=shifted)
    np.bitwise_xor(z, shifted, out=z)
    np.multiply(z, np.uint64(MULTIPLIER_2), out=z)
    np.right_shift(z, np.uint64(31), out=shifted)
    np.bitwise_xor(z, shifted, out=z)
    np.right_shift(z, np.uint64(12), out=z)
    # Signed view: the conversion of int64 to f64 is one instruction, that of uint64 is several.
    np.multiply(z.view(np.int64), SCALE, out=out)


def uniforms(seed: Seed, stream: str, indices: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Uniforms of one stream at any indices; bit-identical to `uniform` on each."""
    sequence = weyl(indices)
    out = np.empty(sequence.shape)
    uniforms_into(stream_start(seed, stream), sequence, out, np.empty_like(sequence), np.empty_like(sequence))
    return out
