"""Arrow arrays from numpy arrays and texts, by their buffers.

Here belongs what replaces `pyarrow.array`, which imports pandas wherever that is installed: half a second, and memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa


def numbers(values: npt.NDArray[Any], kind: pa.DataType | None = None) -> pa.Array:
    """An array of numbers, (n,), without copying them; of another type of the same width if one is given."""
    import pyarrow as pa  # noqa: PLC0415  # keeps `import serving` light

    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(
        kind or pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values.data)]
    )


def texts(values: Sequence[str]) -> pa.StringArray:
    """An array of strings, less than 2 GB in all."""
    encoded = [value.encode() for value in values]
    return _strings(b"".join(encoded), np.array([len(value) for value in encoded]))


def repeated(value: str, n: int) -> pa.StringArray:
    """The same string n times."""
    encoded = value.encode()
    return _strings(encoded * n, np.full(n, len(encoded)))


def coded(codes: npt.NDArray[np.uint8], categories: Sequence[str]) -> pa.DictionaryArray:
    """A dictionary-encoded array, without copying the codes."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.DictionaryArray.from_arrays(numbers(codes), texts(categories))


def _strings(content: bytes, lengths: npt.NDArray[np.int64]) -> pa.StringArray:
    import pyarrow as pa  # noqa: PLC0415

    ends = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=ends[1:])
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(ends.data), pa.py_buffer(content))
