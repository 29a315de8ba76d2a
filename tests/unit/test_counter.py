"""Uniforms: published vectors, equality of the two engines, and their range."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.counter import (
    GOLDEN,
    MASK,
    check_seed,
    mix64,
    read_seed,
    seed_key,
    stream_key,
    stream_start,
    uniform,
    uniforms,
)
from warehouse.errors import SamplingError

SEEDS = st.one_of(st.integers(-(2**70), 2**70), st.text(max_size=20))


def test_mix64_gives_the_published_splitmix64_sequence() -> None:
    # First outputs of splitmix64 with state 1234567, as in the reference implementation (Vigna, splitmix64.c).
    outputs = [mix64((1234567 + (step + 1) * GOLDEN) & MASK) for step in range(3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_stream_key_is_the_head_of_the_hash_of_the_name() -> None:
    assert stream_key("education") == int.from_bytes(hashlib.sha256(b"education").digest()[:8], "little")


def test_draws_never_change_between_releases() -> None:
    # Golden: whoever has to change these numbers changes every persona ever drawn.
    assert uniform(stream_start(0, "age"), 0).hex() == "0x1.b6d916a35aa88p-2"
    assert uniform(stream_start(42, "education"), 7).hex() == "0x1.0cd57681779c6p-1"
    assert uniform(stream_start("pilot", "age"), 10**12).hex() == "0x1.9644bd6edd160p-4"


@given(SEEDS, st.text(min_size=1, max_size=20), st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20))
def test_numpy_uniforms_are_bit_identical_to_plain_python(seed: int | str, stream: str, indices: list[int]) -> None:
    start = stream_start(seed, stream)
    assert uniforms(seed, stream, np.array(indices, dtype=np.uint64)).tolist() == [
        uniform(start, index) for index in indices
    ]


@given(st.floats(1e-300, 1e300), st.integers(0, 2**52 - 1))
def test_a_uniform_never_reaches_the_total_by_rounding(total: float, bits: int) -> None:
    assert (bits * 2.0**-52) * total < total
    assert ((2**52 - 1) * 2.0**-52) * total < total


def test_uniforms_are_uniform_and_streams_independent() -> None:
    indices = np.arange(100_000, dtype=np.uint64)
    first, second = uniforms(0, "a", indices), uniforms(0, "b", indices)
    counts = np.histogram(first, bins=20, range=(0, 1))[0]
    assert ((counts - 5000) ** 2 / 5000).sum() < 45  # chi-square, 19 degrees of freedom, p = 0.0007
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.015
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.015


def test_text_and_integer_seeds_differ_and_integers_wrap() -> None:
    assert seed_key("42") != seed_key(42)
    assert seed_key(-1) == seed_key(2**64 - 1)
    assert seed_key(0) == 0


@pytest.mark.parametrize("text", ["1_000", "+5", " 5", "\u0663", "007", "-0", "--1", "", "1" * 31])
def test_what_is_no_canonical_integer_is_a_text(text: str) -> None:
    assert read_seed(text) == text


@given(st.integers(1 - 10**30, 10**30 - 1))
def test_an_integer_is_read_as_it_is_written(seed: int) -> None:
    assert read_seed(str(seed)) == seed


@pytest.mark.parametrize("seed", [1.5, None, [1], b"x"])
def test_a_seed_that_is_none_is_refused_in_one_line(seed: object) -> None:
    with pytest.raises(SamplingError, match="give an integer or a string"):
        check_seed(seed)


def test_numpy_integers_are_seeds() -> None:
    assert check_seed(np.int64(7)) == 7
