"""What users import from `serving`: all of it is there, and nothing is loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import serving


def test_every_public_name_is_there() -> None:
    assert set(serving._MODULES) == set(serving.__all__) <= set(dir(serving))
    assert all(getattr(serving, name).__name__ == name for name in serving.__all__)
    with pytest.raises(AttributeError, match="module 'serving' has no attribute 'Sample'"):
        _ = serving.Sample


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, serving; print([m for m in ('numpy', 'pyarrow', 'polars', 'serving.batch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
