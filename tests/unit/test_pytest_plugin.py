"""The pytest plugin, in test runs of its own: who is drawn, what a failure tells, and that it costs nothing unused."""

from __future__ import annotations

import json
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from serving.sampler import Sampler
from serving.snapshot import Snapshot
from tests.support.toy_snapshot import build_snapshot

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
NOTE = """
    import json, pathlib, pytest

    def note(name, persona):
        values = {k: str(v) for k, v in persona.to_dict().items()}
        folder = pathlib.Path("noted")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(values))
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for test files with a toy snapshot, in which the plugin is loaded whether it is installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_PLUGINS", "serving.pytest_plugin")
    build_snapshot(pytester.path / "toy")
    pytester.makeini("[pytest]\npersona_snapshot = toy\n")
    return pytester


def write(run: pytest.Pytester, body: str) -> None:
    run.makepyfile(test_it=NOTE + body)


def noted(run: pytest.Pytester) -> dict[str, dict[str, str]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((run.path / "noted").iterdir())}


MANY = """
    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_number(persona, n):
        note(f"number{n}", persona)

    @pytest.mark.xdist_group("group")
    def test_a(persona):
        note("a", persona)

    class TestClass:
        def test_a(self, persona, personas):
            note("class a", persona)
            assert personas()[0] == persona and personas(3)[0] == persona
"""


def test_every_test_has_a_person_of_its_own_who_stays_the_same(run: pytest.Pytester) -> None:
    write(run, MANY)
    run.runpytest_inprocess().assert_outcomes(passed=5)
    people = noted(run)
    assert {one["seed"] for one in people.values()} == {
        *(f"test_it.py::test_number[{n}]" for n in (1, 2, 3)),
        "test_it.py::test_a",
        "test_it.py::TestClass::test_a",
    }
    assert {one["index"] for one in people.values()} == {"0"}
    drawn = Sampler(Snapshot.load(run.path / "toy")).sample(1, "test_it.py::test_number[2]")[0]
    assert people["number2"] == {name: str(value) for name, value in drawn.to_dict().items()}
    run.runpytest_inprocess("-k", "number", "test_it.py::TestClass", "test_it.py").assert_outcomes(
        passed=3, deselected=2
    )
    assert noted(run) == people


def test_processes_of_xdist_draw_the_same_people_in_any_distribution(run: pytest.Pytester) -> None:
    write(run, MANY)
    run.runpytest_inprocess().assert_outcomes(passed=5)
    people = noted(run)
    for distribution in ("load", "loadgroup"):
        for file in (run.path / "noted").iterdir():
            file.unlink()
        run.runpytest_subprocess("-p", "xdist.plugin", "-n", "2", "--dist", distribution).assert_outcomes(passed=5)
        assert noted(run) == people


def test_a_group_that_is_appended_to_the_node_id_changes_nobody(run: pytest.Pytester) -> None:
    write(run, MANY)
    run.runpytest_inprocess().assert_outcomes(passed=5)
    people = noted(run)
    # As pytest-xdist does for `--dist loadgroup`, where pytest lets it.
    run.makeconftest("""
        import pytest
        plain = pytest.Item.nodeid.fget
        pytest.Item.nodeid = property(lambda item: f"{plain(item)}@group")
    """)
    run.runpytest_subprocess().assert_outcomes(passed=5)
    assert noted(run) == people


def test_a_base_seed_gives_other_people(run: pytest.Pytester) -> None:
    write(run, MANY)
    run.runpytest_inprocess().assert_outcomes(passed=5)
    before = noted(run)
    run.runpytest_inprocess("--persona-seed", "7").assert_outcomes(passed=5)
    after = noted(run)
    assert after["a"]["seed"] == "7 test_it.py::test_a" and after["a"] != before["a"]
    run.makeini("[pytest]\npersona_snapshot = toy\npersona_seed = 7\n")
    run.runpytest_inprocess().assert_outcomes(passed=5)
    assert noted(run) == after


def test_markers_say_who_it_may_be_and_the_nearest_one_wins(run: pytest.Pytester) -> None:
    write(
        run,
        """
    pytestmark = pytest.mark.persona(do={"education": "bachelor"})

    @pytest.mark.persona(evidence={"age": "25..34"})
    class TestClass:
        @pytest.mark.persona(evidence={"age": "65.."}, seed=42, start=3)
        def test_old(self, persona):
            assert persona.age_years >= 65 and persona.education == "bachelor"
            assert (persona.seed, persona.index) == (42, 3)

        def test_young(self, persona, personas):
            assert 25 <= persona.age_years <= 34 and persona.education == "bachelor"
            assert all(25 <= one.age_years <= 34 for one in personas(20))
            assert set(personas(20, evidence={}, do={}).values("education")) != {"bachelor"}
            assert personas(4, quota={"sex": {"female": 2}}).values("sex").count("female") == 2
""",
    )
    run.runpytest_inprocess("--strict-markers").assert_outcomes(passed=2)


def test_an_argument_that_there_is_not_is_told_in_one_line(run: pytest.Pytester) -> None:
    write(
        run,
        """
    @pytest.mark.persona(evidense={"age": "25..34"})
    def test_misspelt(persona):
        pass

    @pytest.mark.persona(n=3)
    def test_count(persona):
        pass
""",
    )
    result = run.runpytest_inprocess()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*no argument 'evidense': did you mean evidence?", "*no argument 'n': there is seed*"])
    result.stdout.no_fnmatch_line("*TypeError*")


def test_a_snapshot_can_be_named_by_option_and_marker(run: pytest.Pytester) -> None:
    build_snapshot(run.path / "others" / "second", seed=2)
    write(
        run,
        """
    def test_option(persona):
        note("option", persona)

    @pytest.mark.persona(snapshot="toy")
    def test_marker(persona):
        note("marker", persona)
""",
    )
    run.runpytest_inprocess("--persona-snapshot", "others/second").assert_outcomes(passed=2)
    ids = {name: one["snapshot_id"] for name, one in noted(run).items()}
    assert ids == {
        "option": Snapshot.load(run.path / "others" / "second").id,
        "marker": Snapshot.load(run.path / "toy").id,
    }


def test_a_failure_tells_who_it_was_and_how_to_draw_them_again(run: pytest.Pytester) -> None:
    write(
        run,
        """
    @pytest.mark.persona(evidence={"age": "30..40"})
    def test_fails(persona, personas):
        note("fails", persona)
        personas(5, start=10)
        assert persona.sex == "neither"

    def test_passes(persona):
        pass

    def test_fails_without(request):
        assert False
""",
    )
    result = run.runpytest_inprocess()
    result.assert_outcomes(failed=2, passed=1)
    output = result.stdout.str()
    (recipe, five) = [line.removeprefix("again: ") for line in result.outlines if line.startswith("again: ")]
    assert recipe == (
        "Sampler(Snapshot.load('toy')).sample(1, seed='test_it.py::test_fails', evidence={'age': '30..40'})"
    )
    assert f"index 0, seed 'test_it.py::test_fails', snapshot {Snapshot.load(run.path / 'toy').id}" in output
    again = eval(recipe, {"Sampler": Sampler, "Snapshot": Snapshot})[0]
    assert {name: str(value) for name, value in again.to_dict().items()} == noted(run)["fails"]
    assert again.to_prompt("third") in output
    assert ".sample(5, " in five and "index 12, seed" in output and "and 2 more" in output
    assert output.count("-- persona --") == 2


def test_a_failure_in_another_process_tells_it_too(run: pytest.Pytester) -> None:
    write(run, "    def test_fails(persona):\n        assert persona.sex == 'neither'\n")
    result = run.runpytest_subprocess("-p", "xdist.plugin", "-n", "1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- persona -*", "index 0, seed 'test_it.py::test_fails', *", "again: Sampler(*"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("evidence={'aeg': '30'}", "unknown dimension 'aeg': did you mean age"),
        ("evidence={'age': '18_24', 'employment': 'retired'}", "the evidence has probability zero"),
        ("{'age': '30'}", "pytest.mark.persona takes keywords only, not {'age': '30'}"),
        ("snapshot='nowhere'", "no snapshot 'nowhere'"),
    ],
)
def test_who_cannot_be_drawn_is_one_line(run: pytest.Pytester, marker: str, message: str) -> None:
    write(run, f"    @pytest.mark.persona({marker})\n    def test_it(persona):\n        pass\n")
    result = run.runpytest_inprocess("--show-capture=no")
    result.assert_outcomes(errors=1)
    assert message in result.stdout.str() and "Traceback" not in result.stdout.str()
    assert "sampler.py" not in result.stdout.str()


def test_unused_it_loads_nothing(run: pytest.Pytester) -> None:
    run.makepyfile(
        test_it="""
        import sys

        def test_modules():
            heavy = ("numpy", "pyarrow", "click", "serving.sampler", "serving.snapshot", "warehouse.errors")
            assert not [name for name in heavy if name in sys.modules]
        """
    )
    run.runpytest_subprocess().assert_outcomes(passed=1)


def test_it_is_installed_as_a_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plugin = import_module(project["entry-points"]["pytest11"]["personagen"])
    assert plugin is sys.modules["serving.pytest_plugin"] and plugin.persona and plugin.personas
