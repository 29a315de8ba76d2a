"""From recorded answers to a snapshot: what runs offline, orchestrated by Dagster.

Here belongs, besides, what must be set before numpy is first imported. OpenBLAS sums in the order that suits the CPU
and its cache, and fits that end at their limit of iterations enlarge the last digits of sums: kernels and cache are
named, so that different CPUs build the same snapshot. These kernels want AVX2, as polars does.
"""

import os
import platform

if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
    os.environ.setdefault("OPENBLAS_L2_SIZE", "512")
