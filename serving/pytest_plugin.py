"""The pytest plugin: the fixtures `persona` and `personas`, another person for each test, the same on every run.

Here belong fixtures, options and what a failing test tells of its persona. Drawing is `serving.sampler`. pytest loads
this module in every project that has the package installed, so it imports nothing but pytest until a persona is asked
for.

The seed of a test is its node id, with the base seed before it if there is one: it depends on neither machine, process
nor order, parametrised tests meet different people, and a test that is run again meets the same.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from serving.batch import Batch, Persona
    from serving.sampler import Sampler

MARKER_HELP = (
    "persona(evidence=, do=, seed=, start=, snapshot=, ...): how the fixtures `persona` and `personas` draw; "
    "arguments are those of serving.Sampler.sample, and the snapshot's population or folder"
)
SHOWN = 3  # of a batch's personas, in the report of a failing test

_samplers = pytest.StashKey[dict[str, "Sampler"]]()
_drawn = pytest.StashKey[dict[str, "Batch"]]()


class Personas:
    """What the fixture `personas` is: a function that draws a batch for the running test."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __call__(self, n: int = 1, **arguments: Any) -> Batch:
        """Draw n personas; with the same arguments these are the same people each time.

        `arguments` are those of `serving.Sampler.sample`, and `snapshot`, a population or a folder; they win over those
        of the test's markers. Raises SamplingError as `sample` does, and for an argument that there is not.
        """
        asked = {"seed": _seed_of(self._item), **_marked(self._item), **arguments}
        _check_names(asked)
        snapshot = str(asked.pop("snapshot", None) or _setting(self._item.config, "persona_snapshot"))
        batch = _sampler(self._item.config, snapshot).sample(n, **asked)
        call = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        recipe = f"Sampler(Snapshot.load({snapshot!r})).sample({n}, {call})"
        self._item.stash.setdefault(_drawn, {})[recipe] = batch
        return batch


@pytest.fixture
def personas(request: pytest.FixtureRequest) -> Personas:
    """A function that draws personas for this test: `personas(10, evidence={"age": "25..34"})`."""
    return Personas(request.node)


@pytest.fixture
def persona(personas: Personas) -> Persona:
    """One persona, the same whenever and wherever this test is run; `@pytest.mark.persona(...)` says who it may be."""
    from warehouse.errors import PersonaGenError  # noqa: PLC0415  # only where personas are drawn

    try:
        return personas()[0]
    except PersonaGenError as error:
        pytest.fail(f"no persona for this test: {error}", pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and settings."""
    parser.addini("persona_snapshot", "Population or folder of the snapshot to draw personas from.", default="us")
    parser.addini("persona_seed", "Base seed of all personas; another gives every test another persona.", default="")
    group = parser.getgroup("personagen", "personas")
    group.addoption("--persona-snapshot", metavar="SNAPSHOT", help="As persona_snapshot in the configuration.")
    group.addoption("--persona-seed", metavar="SEED", help="As persona_seed in the configuration.")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER_HELP)
    config.stash[_samplers] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failure who was drawn, and how to draw them again."""
    report = yield
    if report.failed:
        report.sections += [("persona", _told(recipe, batch)) for recipe, batch in item.stash.get(_drawn, {}).items()]
    if report.when == "teardown":
        item.stash[_drawn] = {}  # items live as long as the session
    return report


def _told(recipe: str, batch: Batch) -> str:
    manifest = batch.snapshot.manifest
    lines = []
    for place in range(min(len(batch), SHOWN)):
        one = batch[place]
        lines += [f"index {one.index}, seed {one.seed!r}, snapshot {one.snapshot_id}", f"  {one.to_prompt('third')}"]
    if len(batch) > SHOWN:
        lines.append(f"and {len(batch) - SHOWN} more")
    lines += [f"again: {recipe}", f"       (population {manifest.population.id}, edition {manifest.edition})"]
    return "\n".join(lines)


def _marked(item: pytest.Item) -> dict[str, Any]:
    """Arguments of the markers of a test, its class and its module; the nearest one wins."""
    found: dict[str, Any] = {}
    for marker in item.iter_markers("persona"):
        if marker.args:
            pytest.fail(
                f"pytest.mark.persona takes keywords only, not {marker.args[0]!r}: write do=... or evidence=...",
                pytrace=False,
            )
        found = {**marker.kwargs, **found}
    return found


def _check_names(asked: Mapping[str, object]) -> None:
    """Raise SamplingError for what `sample` does not take by name, as a marker may have."""
    from serving.sampler import Sampler  # noqa: PLC0415
    from serving.snapshot import suggest  # noqa: PLC0415
    from warehouse.errors import SamplingError  # noqa: PLC0415

    known = [*(name for name in signature(Sampler.sample).parameters if name not in ("self", "n")), "snapshot"]
    for name in asked:
        if name not in known:
            raise SamplingError(f"personas have no argument {name!r}{suggest(name, known)}", argument=name)


def _seed_of(item: pytest.Item) -> str:
    # Not `item.nodeid`: pytest-xdist may append the test's group to that.
    parent = item.parent.nodeid if item.parent else ""
    return f"{_setting(item.config, 'persona_seed')} {parent}::{item.name}".strip()


def _setting(config: pytest.Config, name: str) -> str:
    option = config.getoption(name)
    return str(config.getini(name) if option is None else option)


def _sampler(config: pytest.Config, snapshot: str) -> Sampler:
    """The sampler of a snapshot, loaded once in a process; a relative folder begins at pytest's root folder."""
    from serving.sampler import Sampler  # noqa: PLC0415  # numpy and the snapshot's tables, only where they are used
    from serving.snapshot import Snapshot  # noqa: PLC0415
    from warehouse.snapshot_format import MANIFEST  # noqa: PLC0415

    samplers = config.stash[_samplers]
    if snapshot not in samplers:
        folder = config.rootpath / snapshot
        samplers[snapshot] = Sampler(Snapshot.load(folder if (folder / MANIFEST).is_file() else snapshot))
    return samplers[snapshot]
