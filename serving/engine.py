"""The engine: from indices to codes, by whichever kernel there is.

Here belongs what must be drawn for a request, and the choice of the kernel that draws it. Kernels give the same bits,
those of `serving.reference`. What may be asked for is `serving.sampler`, conditions are `serving.conditions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from serving.counter import Seed, mixed_key, stream_start
from serving.interruption import checkpoint
from serving.numpy_kernel import NumpyKernel
from serving.plans import Order, Plan, compile_plan
from serving.python_kernel import PythonKernel
from serving.reference import no_category_left
from serving.snapshot import Snapshot
from warehouse.errors import SamplingError

if TYPE_CHECKING:
    from serving.numba_kernel import NumbaKernel

WORTH_COMPILED = 50_000  # personas in one call, from which on loading numba pays
WORTH_ARRAYS = 20  # personas in one call, from which on numpy is faster than plain Python

Codes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.uint64]
Drawn = dict[int, npt.NDArray[np.uint8]]
Floats = npt.NDArray[np.float64]
KernelName = Literal["auto", "numpy", "numba"]


class Kernel(Protocol):
    """The innermost loop."""

    def run(
        self,
        indices: Indices,
        starts: Mapping[int, int],
        likelihoods: Mapping[int, Floats],
        codes: Codes,
        weights: Floats,
    ) -> int:
        """Fill rows of `codes`, uint8 (positions, n), and multiply `weights`, f64 (n,), of which only some are 0.

        `starts` has the stream of each dimension to draw by its position, parents before children; all other rows that
        these depend on hold codes already. A dimension with a likelihood is drawn by P(category | parents) times it,
        and the weight is multiplied by what is left of the probability, by 0 where no category is possible. Returns the
        position of a dimension without likelihood or possible category for somebody of positive weight, or -1.
        """
        ...


class OnePerson(Protocol):
    """The innermost loop for single personas."""

    def one(self, order: Order, seed: Seed, index: int) -> tuple[list[int], list[float], int]:
        """Codes of all dimensions, of which only those of `order` mean something, uniforms, and what failed.

        The uniforms are those of the streams that `order.keys` has behind those of its positions. What failed is the
        position of a dimension without a possible category, or -1.
        """
        ...


def fastest() -> KernelName:
    """The kernel for a process that lives long enough to pay for loading it."""
    return "numba" if find_spec("numba") is not None else "numpy"


class Engine:
    """Draws codes from a snapshot; holds no state but lookup tables, so one can be shared by threads."""

    def __init__(self, snapshot: Snapshot, kernel: KernelName = "auto") -> None:
        """Compile the plans; `kernel` is `numpy`, `numba`, or `auto`: numba where it is installed and pays."""
        position = {dimension.id: dimension.position for dimension in snapshot.dimensions}
        self._plans = tuple(compile_plan(dimension, position) for dimension in snapshot.dimensions)
        if kernel not in ("auto", "numpy", "numba"):
            raise SamplingError(f"unknown kernel {kernel!r}: use auto, numpy or numba")
        self._numpy = NumpyKernel(self._plans)
        self._compiled: NumbaKernel | None = None
        self._may_compile = kernel == "auto" and find_spec("numba") is not None
        if kernel == "numba":
            self._compiled = self._compile()

    def draw(self, indices: Indices, seed: Seed, wanted: Iterable[int], fixed: Mapping[int, int | Codes]) -> Drawn:
        """Draw the wanted dimensions, positions, of the personas of these indices.

        Args:
            indices: uint64 (n,), in any order; a persona depends on its own alone.
            seed: checked before.
            wanted: positions of the dimensions to return; what these do not depend on is not drawn.
            fixed: position -> code or codes (n,) that are not drawn but set.

        Returns codes, uint8 (n,), by position, for all that is wanted. Raises SamplingError if no category of
        some dimension is possible together with the fixed ones.
        """
        wanted = set(wanted)
        codes = self._run(indices, seed, wanted, fixed, likelihoods={}, weights=np.ones(len(indices)))
        return {position: codes[position] for position in sorted(wanted)}

    def weigh(
        self, indices: Indices, seed: Seed, likelihoods: Mapping[int, Floats], fixed: Mapping[int, int | Codes]
    ) -> tuple[Drawn, Floats]:
        """Draw dimensions by P(category | parents) * likelihood, and all that they depend on as ever.

        Args:
            indices, seed, fixed: as for `draw`.
            likelihoods: position -> f64 (categories,), from 0 to 1, of the dimensions to weigh.

        Returns codes by position, of everything drawn, and weights (n,): the product over the weighed dimensions of
        sum P(category | parents) * likelihood, 0 for one that has no possible category. Weighted so, the draws follow
        the conditional distribution. Codes of weight 0 mean nothing.
        """
        weights = np.ones(len(indices))
        wanted = set(likelihoods)
        codes = self._run(indices, seed, wanted, fixed, likelihoods=likelihoods, weights=weights)
        plans, parents = self._closure(wanted, fixed)
        return {p: codes[p] for p in sorted(wanted | parents | {plan.position for plan in plans})}, weights

    def order(self, wanted: Iterable[int], fixed: Mapping[int, int], streams: Iterable[str]) -> Order:
        """Make ready to draw the wanted positions of single personas, and uniforms of these other streams."""
        plans, _ = self._closure(set(wanted), fixed)
        codes = np.zeros(len(self._plans), dtype=np.uint8)
        for position, code in fixed.items():
            codes[position] = code
        keys = [mixed_key(name) for name in (*(plan.id for plan in plans), *streams)]
        positions = np.array([plan.position for plan in plans], dtype=np.uint64)
        return Order(positions, np.array(keys, dtype=np.uint64), codes)

    def one(self, order: Order, seed: Seed, index: int) -> tuple[list[int], list[float]] | None:
        """Codes by position of one persona, as `draw` gives them, and the uniforms of the other streams.

        None if some dimension that is drawn has no possible category together with those that are set.
        """
        kernel: OnePerson = self._compiled or self._python
        codes, uniforms, failed = kernel.one(order, seed, index)
        return None if failed >= 0 else (codes, uniforms)

    def _run(
        self,
        indices: Indices,
        seed: Seed,
        wanted: set[int],
        fixed: Mapping[int, int | Codes],
        *,
        likelihoods: Mapping[int, Floats],
        weights: Floats,
    ) -> Codes:
        checkpoint()
        n = len(indices)
        codes = np.empty((len(self._plans), n), dtype=np.uint8)  # a row that is not needed takes no memory
        plans, parents = self._closure(wanted, fixed)
        for position in (wanted | parents) & fixed.keys():
            codes[position] = fixed[position]
        starts = {plan.position: stream_start(seed, plan.id) for plan in plans}
        failed = self._kernel(n, weighing=bool(likelihoods)).run(indices, starts, likelihoods, codes, weights)
        if failed >= 0:
            raise no_category_left(self._plans[failed].id, self._plans[failed].deciders)
        return codes

    def _closure(self, wanted: set[int], fixed: Mapping[int, int | Codes]) -> tuple[list[Plan], set[int]]:
        """Plans to run, in order, and positions used as parents; what is not needed or fixed is not drawn."""
        needed, parents = set(wanted), set[int]()
        for plan in reversed(self._plans):
            if plan.position in needed and plan.position not in fixed:
                for gather in (plan.prefix, *plan.rest):
                    parents.update(gather.parents)
                needed |= parents
        return [plan for plan in self._plans if plan.position in needed and plan.position not in fixed], parents

    @cached_property
    def _python(self) -> PythonKernel:
        return PythonKernel(self._plans)

    def _kernel(self, n: int, *, weighing: bool) -> Kernel:
        if self._compiled is None and self._may_compile and n >= WORTH_COMPILED:
            try:
                self._compiled = self._compile()
            except SamplingError:  # installed, but of no use here: numpy gives the same
                self._may_compile = False
        if self._compiled is None and n < WORTH_ARRAYS and not weighing:
            return self._python
        return self._compiled or self._numpy

    def _compile(self) -> NumbaKernel:
        try:
            from serving.numba_kernel import NumbaKernel  # noqa: PLC0415  # takes half a second to import

            return NumbaKernel(self._plans)
        except ModuleNotFoundError as error:
            raise SamplingError(
                f"the numba kernel needs {error.name!r}, which is not installed: pip install 'personagen[fast]'"
            ) from None
        except (ImportError, RuntimeError) as error:  # another numpy, or nowhere to keep compiled code
            raise SamplingError(
                f"numba cannot be used here ({str(error).splitlines()[0]}): use the kernel 'numpy', or name a folder "
                "that can be written in NUMBA_CACHE_DIR"
            ) from None
