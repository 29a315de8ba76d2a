"""The page in a real Chromium, against the real server: what it shows, what it does with keys, and whom it lets in.

Skips where no browser is installed (Debian: `apt-get install chromium`); `.ci/run` installs it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from serving import Sampler, Snapshot, explain

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no browser: install chromium to test the page", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="install the extra 'dev' to test the page")
expect = sync_api.expect

ROOT = Path(__file__).parents[2]
PINNED = "seed=7&start=0&n=2&evidence.education=doctorate"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of `personagen serve` over the packaged snapshot."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "serving.cli", "serve", "--port", str(port)], cwd=ROOT, stdout=out, stderr=out
        )
        address = f"http://127.0.0.1:{port}/"
        try:
            _wait_for(f"{address}healthz", server)
            yield address
        finally:
            server.terminate()
            server.wait(30)
    assert "Traceback" not in log.read_text()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url):
                return
        except urllib.error.URLError:
            time.sleep(0.05)
    pytest.fail("the server does not answer")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


@dataclass
class Seen:
    """What a page asked for and complained about."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Open = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, base: str) -> Iterator[Open]:
    """Opens the page; afterwards nothing may have been complained about, and no other host asked."""
    contexts, seen = [], Seen()

    def visit(path: str = "", *, width: int = 1280, complaints: bool = False, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        if not complaints:
            page.on("console", lambda said: seen.complaints.append(said.text) if said.type != "log" else None)
        page.goto(base + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not seen.complaints
    assert seen.requests and all(url.startswith(base) for url in seen.requests)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler(Snapshot.load("us"))


def names_on(page: Any) -> list[str]:
    page.wait_for_selector("#cards:not([aria-busy]) .card")
    return [str(text) for text in page.locator(".card h2").all_text_contents()]


def names_of(sampler: Sampler, *arguments: Any) -> list[str]:
    return [f"{person.first_name} {person.last_name}" for person in sampler.sample(*arguments)]


def test_the_url_decides_who_is_shown(visit: Open, sampler: Sampler) -> None:
    page = visit("?seed=42&start=3&n=4")
    assert names_on(page) == names_of(sampler, 4, 42, 3)
    first = page.locator(".card").first
    person = sampler.sample(1, 42, 3)[0]
    expect(first.locator(".prose")).to_have_text(person.to_prompt("third"))
    expect(first.locator(".id a")).to_have_text("seed 42 · #3")
    expect(first.locator(".ring line")).to_have_count(77)
    first.locator(".all summary").click()
    expect(first.locator(".tier dd button")).to_have_count(77)
    expect(first.locator(".tier h3")).to_have_text(["Born with 28", "Circumstances 29", "Choices 20"])


def test_a_choice_of_populations_changes_all_of_the_page(visit: Open, sampler: Sampler) -> None:
    page = visit("?seed=7&n=2&evidence.education=doctorate")
    names_on(page)
    choice = page.get_by_label("Population")
    expect(choice).to_have_value("us")
    choice.select_option("gb")
    page.wait_for_url("**population=gb*")
    britons = Sampler(Snapshot.load("gb"))
    # The pins speak of categories that the other population may not have; they go.
    assert names_on(page) == names_of(britons, 2, 7) != names_of(sampler, 2, 7)
    expect(page.locator(".pin")).to_have_count(0)
    expect(page.locator(".card .prose").first).to_have_text(britons.sample(1, 7)[0].to_prompt("third"))
    expect(page.get_by_role("contentinfo")).to_contain_text("living in the United Kingdom")
    page.select_option("#pin-dimension", "education")
    expect(page.get_by_label("GCSEs, O levels or the like")).to_be_visible()
    page.go_back()
    page.wait_for_url(lambda url: "population=gb" not in url)
    expect(choice).to_have_value("us")
    expect(page.locator(".pin")).to_have_count(1)


def test_dice_give_others_and_the_way_back_the_same(visit: Open) -> None:
    page = visit("?seed=42&n=2")
    before = names_on(page)
    page.click("#dice")
    page.wait_for_url(lambda url: "seed=42&" not in url)
    page.wait_for_function("name => document.querySelector('.card h2')?.textContent !== name", arg=before[0])
    rolled, url = names_on(page), page.url
    assert rolled != before and page.evaluate("document.activeElement.id") == "dice"
    assert names_on(visit(url.partition("/?")[2] and "?" + url.partition("/?")[2])) == rolled
    page.go_back()
    page.wait_for_function("name => document.querySelector('.card h2')?.textContent === name", arg=before[0])
    assert names_on(page) == before


def test_a_seed_may_be_a_text(visit: Open, sampler: Sampler) -> None:
    page = visit("?seed=42&n=1")
    names_on(page)
    page.fill("#seed", "a <b>seed</b> & more")
    page.press("#seed", "Enter")
    expect(page.locator(".id a")).to_have_text("seed a <b>seed</b> & more · #0")
    assert names_on(page) == names_of(sampler, 1, "a <b>seed</b> & more")


def test_a_seed_is_read_by_one_rule(visit: Open, sampler: Sampler) -> None:
    page = visit("?seed=007&n=1")
    assert names_on(page) == names_of(sampler, 1, "007") != names_of(sampler, 1, 7)
    page.get_by_text("The same people in code").click()
    expect(page.locator(".snippet code").last).to_contain_text('seed="007"')


def test_a_seed_box_that_is_emptied_tells_the_seed_again(visit: Open) -> None:
    page = visit("?seed=42&n=1")
    names_on(page)
    page.fill("#seed", "")
    page.press("#seed", "Enter")
    expect(page.locator("#seed")).to_have_value("42")


def test_a_long_seed_keeps_its_digits(visit: Open, sampler: Sampler) -> None:
    page = visit("?seed=9007199254740993&n=1", permissions=["clipboard-read", "clipboard-write"])
    person = sampler.sample(1, 9007199254740993)[0]
    assert names_on(page) == [f"{person.first_name} {person.last_name}"]
    page.get_by_role("button", name="as JSON").click()
    expect(page.locator("#said")).to_contain_text("as JSON")
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["seed"] == 9007199254740993
    page.locator(".facts button").nth(1).click()
    expect(page.locator(".figure b").first).to_be_visible()
    with page.expect_request("**/v1/explain") as asked:
        page.keyboard.press("Escape")
        page.locator(".facts button").nth(1).click()
    assert json.loads(asked.value.post_data)["seed"] == 9007199254740993


def test_evidence_and_do_differ_as_they_should(visit: Open, sampler: Sampler) -> None:
    page = visit("?seed=7&n=3")
    plain = names_on(page)
    page.select_option("#pin-dimension", "education")
    page.get_by_label("Set do").check()
    page.get_by_label("Doctorate").check()
    page.click("#pin-add")
    page.wait_for_url("**do.education=doctorate*")
    expect(page.locator(".pin .badge")).to_have_text("set")
    page.wait_for_selector(".shift")
    assert names_on(page) == plain  # causes stay, and names with them
    page.get_by_label("Given evidence").check()
    page.get_by_label("Doctorate").check()
    page.get_by_label("Master's degree").check()
    page.click("#pin-add")
    page.wait_for_url("**evidence.education=master,doctorate*")
    expect(page.locator(".pin .badge")).to_have_text("given")
    expect(page.locator(".support")).to_contain_text("of the population")
    evidence = {"education": ["master", "doctorate"]}
    assert names_on(page) == names_of(sampler, 3, 7, 0, evidence) != plain
    expect(page.locator(".changed").first).to_contain_text("changed by the pins")
    shown = sampler.sample(1, 7, 0, evidence)[0].to_dict()
    free = sampler.sample(1, 7, 0).to_dicts()[0]
    moved = sum(shown[d.id] != free[d.id] for d in sampler.snapshot.dimensions)
    expect(page.locator(".changed").first).to_have_text(f"{moved} values changed by the pins")
    page.get_by_label("Remove the pin on Education").click()
    expect(page.locator(".pin")).to_have_count(0)
    page.wait_for_url(lambda url: "education" not in url)
    assert page.evaluate("document.activeElement.id") == "pin-dimension"


def test_with_do_the_share_is_not_said_to_be_of_the_population(visit: Open) -> None:
    page = visit("?seed=7&n=1&do.education=doctorate&evidence.sex=female")
    expect(page.locator(".support")).to_contain_text("of people on whom the other pins are set")


def test_what_nobody_fits_is_told_kindly(visit: Open) -> None:
    page = visit("?n=2&evidence.age=18_24&evidence.employment=retired&evidence.education=doctorate", complaints=True)
    expect(page.get_by_role("alert")).to_contain_text("Nobody fits all of these pins.")
    expect(page.locator(".card")).to_have_count(0)
    page.get_by_role("button", name="Take out the last pin").click()
    page.wait_for_url(lambda url: "doctorate" not in url)


def test_what_is_left_possible_is_told(visit: Open) -> None:
    page = visit("?n=1&do.employment=retired&evidence.work_arrangement=remote", complaints=True)
    expect(page.get_by_role("alert")).to_contain_text("Work arrangement could still be Not applicable")


def test_thin_support_is_warned_of(visit: Open) -> None:
    page = visit("?n=1")
    names_on(page)
    told = {
        "n": 4000,
        "support": {"probability": 1e-6, "effective": 12.4, "warning": "thin support: a few draws"},
        "shares": page.evaluate("fetch('v1/shares?n=10').then(a => a.json())")["shares"],
    }
    page.route("**/v1/shares?*", lambda route: route.fulfill(json=told))
    page.get_by_label("Doctorate").check()
    page.click("#pin-add")
    expect(page.locator("#effect .warning")).to_have_text("Take care. Thin support: a few draws.")
    expect(page.locator("#effect")).to_contain_text("Effective sample size: 12")


def test_a_value_is_explained_as_the_library_does(visit: Open, sampler: Sampler) -> None:
    page = visit(f"?{PINNED}")
    names_on(page)
    value = page.locator(".card").first.locator(".facts button").nth(1)
    value.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    why = explain(sampler.sample(1, 7, 0, {"education": "doctorate"})[0], "education")
    expect(dialog.locator(".contributions li")).to_have_count(len(why.contributions))
    expect(dialog.locator(".bars li")).to_have_count(sum(p > 0 for p in why.alternatives.values()))
    expect(dialog.locator("h2")).to_contain_text("Doctorate")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert value.evaluate("button => button === document.activeElement")
    value.click()
    dialog.get_by_role("button", name="Pin as set").click()
    page.wait_for_url("**do.education=doctorate*")


def test_prompt_and_json_are_copied(visit: Open, sampler: Sampler, base: str) -> None:
    page = visit("?seed=5&n=1", permissions=["clipboard-read", "clipboard-write"])
    names_on(page)
    page.get_by_role("button", name="Copy the prompt of").click()
    expect(page.locator("#said")).to_contain_text("is copied")
    assert page.evaluate("navigator.clipboard.readText()") == sampler.sample(1, 5)[0].to_prompt()
    page.get_by_role("button", name="as JSON").click()
    expect(page.locator("#said")).to_contain_text("as JSON")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied == json.loads(next(sampler.sample(1, 5).to_jsonl()))
    page.click("#share")
    expect(page.locator("#said")).to_contain_text("link")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_sensitive_dimensions_can_be_left_out(visit: Open, sampler: Sampler) -> None:
    page = visit("?seed=42&n=1")
    names_on(page)
    page.get_by_label("Leave out sensitive dimensions").check()
    page.wait_for_url("**exclude=sensitive*")
    left = 77 - len(sampler.snapshot.sensitive)
    expect(page.locator(".all summary")).to_contain_text(f"All {left} dimensions")
    expect(page.locator(".prose")).to_have_text(sampler.sample(1, 42, exclude=["sensitive"])[0].to_prompt("third"))


def test_date_and_accents_in_the_address_hold(visit: Open, sampler: Sampler) -> None:
    page = visit("?seed=42&n=12&as_of=2000-02-29&accents=true")
    people = sampler.sample(12, 42, as_of=date(2000, 2, 29), accents=True)
    shown = names_on(page)
    assert shown == [f"{one.first_name} {one.last_name}" for one in people] != names_of(sampler, 12, 42)
    assert "as_of=2000-02-29&accents=true" in page.url
    page.get_by_text("The same people in code").click()
    url, command, python = page.locator(".snippet code").all_text_contents()
    assert "as_of=2000-02-29&accents=true" in url and command.endswith("--as-of 2000-02-29 --accents")
    scope: dict[str, Any] = {}
    exec(python, scope)
    assert scope["people"].to_dicts() == people.to_dicts()


def test_no_sensitive_cause_is_told_when_these_are_left_out(visit: Open, sampler: Sampler) -> None:
    why = explain(sampler.sample(1, 42)[0], "region")
    sensitive = [one for one in why.contributions if set(one.given) & set(sampler.snapshot.sensitive)]
    assert sensitive
    page = visit("?seed=42&n=1&exclude=sensitive")
    names_on(page)
    page.locator(".all summary").click()
    page.get_by_title(f"Why? {sampler.snapshot.dimension('region').label}", exact=True).last.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".left-out")).to_contain_text(str(len(sensitive)))
    expect(dialog.locator(".contributions li")).to_have_count(len(why.contributions) - len(sensitive))


def test_the_code_shown_gives_the_people_shown(visit: Open, sampler: Sampler) -> None:
    page = visit(f"?{PINNED}")
    shown = names_on(page)
    page.get_by_text("The same people in code").click()
    url, command, python = page.locator(".snippet code").all_text_contents()
    with urllib.request.urlopen(url) as answer:
        people = json.load(answer)["personas"]
    assert [f"{one['first_name']} {one['last_name']}" for one in people] == shown
    identifier = sampler.snapshot.id
    assert command == f"personagen generate --snapshot {identifier} -n 2 --seed 7 --evidence education=doctorate"
    scope: dict[str, Any] = {}
    exec(python, scope)
    assert [f"{one.first_name} {one.last_name}" for one in scope["people"]] == shown


def test_maps_have_base_rates_and_heat_with_numbers(visit: Open, sampler: Sampler) -> None:
    page = visit("#maps/marital")
    cells = sampler.snapshot.cells("marital")
    page.wait_for_selector("table.heat")
    expect(page.locator(".base-rates li")).to_have_count(6)
    expect(page.locator("table.heat")).to_have_count(len({tuple(c["given"]) for c in cells if c["given"]}))
    expect(page.locator("table.heat td")).to_have_count(sum(bool(c["given"]) for c in cells))
    td = page.get_by_role("table", name="Marital status given Age").get_by_role("cell").first
    td.focus()
    young = next(c for c in cells if c["condition"] == ["18_24"] and c["category"] == "married")
    readout = page.locator("#readout")
    expect(readout).to_contain_text(f"{young['probability']:.1%}")
    expect(readout).to_contain_text(f"spread {young['spread']:.2f} between 3 models")
    page.keyboard.press("ArrowDown")
    expect(readout).to_contain_text("given 25 to 34")
    page.get_by_text("Against base").click()
    expect(page.locator("table.heat").first).to_have_attribute("data-paint", "lift")
    page.select_option("#map-dimension", "pets")
    page.wait_for_url("**#maps/pets")
    expect(page.locator(".map-intro h2")).to_have_text("Pets")


def test_the_graph_shows_causes_and_consequences(visit: Open, sampler: Sampler) -> None:
    page = visit("#graph")
    dimensions = sampler.snapshot.dimensions
    expect(page.locator(".node")).to_have_count(77)
    expect(page.locator(".edge")).to_have_count(sum(len(d.parents) for d in dimensions))
    page.hover(".node[data-id=occupation] text")
    parents = sampler.snapshot.dimension("occupation").parents
    children = [d.id for d in dimensions if "occupation" in d.parents]
    assert {n.get_attribute("data-id") for n in page.locator(".node.parent").all()} == set(parents)
    assert {n.get_attribute("data-id") for n in page.locator(".node.child").all()} == set(children)
    expect(page.locator(".edge.in")).to_have_count(len(parents))
    page.click(".node[data-id=occupation] text")
    page.wait_for_url("**#maps/occupation")
    expect(page.locator(".map-intro h2")).to_have_text("Occupation")


def test_trials_are_listed_and_sorted(visit: Open, sampler: Sampler) -> None:
    page = visit("#trials")
    chosen = sampler.snapshot.manifest.strategies
    expect(page.locator("table.trials tbody tr")).to_have_count(len(chosen))
    page.get_by_role("button", name="Margin").click()
    best = max(chosen, key=lambda name: chosen[name]["margin"] or 0)
    expect(page.locator("tbody th").first).to_have_text(sampler.snapshot.dimension(best).label)
    expect(page.get_by_role("columnheader", name="Margin")).to_have_attribute("aria-sort", "descending")
    winners = {trial["winner"] for trial in chosen.values()}
    expect(page.locator(".winners li")).to_have_count(len(winners))


def test_the_keyboard_is_enough(visit: Open) -> None:
    page = visit("?seed=42&n=1")
    names_on(page)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"tab never comes to {selector}")

    tab_to(".skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to("#dice")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "seed=42&" not in url)
    names_on(page)
    tab_to("#pin-categories input")
    page.keyboard.press("Space")
    tab_to("#pin-add")
    page.keyboard.press("Enter")
    expect(page.locator(".pin")).to_have_count(1)
    names_on(page)
    tab_to(".facts button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_selector(".figures")
    page.keyboard.press("Escape")
    page.goto(page.url.partition("#")[0] + "#graph")
    expect(page.locator("#graph-title")).to_be_focused()
    tab_to(".node")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#graph-info h2")).to_have_text("Sex")
    page.keyboard.press("Enter")
    page.wait_for_url("**#maps/sex")
    expect(page.locator("#maps-title")).to_be_focused()


def test_dark_follows_the_system_and_the_button(visit: Open) -> None:
    def paper(page: Any) -> int:
        return int(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))

    page = visit("?n=1", color_scheme="dark")
    assert paper(page) < 60
    expect(page.locator("#theme")).to_have_attribute("aria-pressed", "true")
    page.click("#theme")
    assert paper(page) > 200
    page.reload()
    assert paper(page) > 200
    assert paper(visit("?n=1")) > 200


@pytest.mark.parametrize("path", [f"?{PINNED}", "#maps/region", "#graph", "#trials"])
def test_a_phone_never_scrolls_sideways(visit: Open, path: str) -> None:
    page = visit(path, width=360, has_touch=True)
    page.wait_for_selector(".shift, table.heat, .edge, table.trials")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    if path == "#graph":
        page.tap(".node[data-id=pets] text")  # points
        expect(page.locator("#graph-info h2")).to_have_text("Pets")
        page.tap(".node[data-id=pets] text")  # opens
        page.wait_for_url("**#maps/pets")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", [f"?{PINNED}", "#maps/education", "#graph", "#trials"])
def test_axe_finds_nothing(visit: Open, path: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="install the extra 'dev'")
    page = visit(path, color_scheme=scheme)
    page.wait_for_selector(".shift, table.heat, .edge, table.trials")
    if path.startswith("?"):
        names_on(page)
        page.locator(".all summary").first.click()
        found = axe.Axe().run(page).response["violations"]
        page.locator(".facts button").first.click()
        page.wait_for_selector(".figures")
    else:
        found = []
    found += axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


def test_a_key_is_asked_for_once_and_sent(visit: Open, base: str) -> None:
    page = visit("?n=1", complaints=True)
    names_on(page)
    keys: list[str | None] = []

    def guarded(route: Any) -> None:
        keys.append(route.request.headers.get("authorization"))
        if keys[-1] == "Bearer right":
            route.continue_()
        else:
            route.fulfill(status=401, json={"status": 401, "detail": "a key, please"})

    page.route("**/v1/**", guarded)
    page.reload()
    field = page.get_by_label("API key")
    field.fill("wrong")
    field.press("Enter")
    expect(page.locator("#key-error")).to_have_text("The server did not take that key.")
    field.fill("right")
    field.press("Enter")
    names_on(page)
    page.reload()
    names_on(page)
    expect(page.locator("#key")).to_be_hidden()
    assert keys[-1] == "Bearer right"
