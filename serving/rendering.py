"""Prose about a persona, for use as a system prompt or to be read by people.

Here belongs the small engine that turns values into sentences; every word it says is data, in `wording.toml`.
What it does not know by category it says by the catalogue's label, so a new category reads plainly until it
gets words of its own; a dimension that no sentence mentions is not mentioned.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from serving.snapshot import Snapshot
from warehouse.errors import SamplingError
from warehouse.particulars import PLACES

Person = Literal["second", "third"]

WORDING = Path(__file__).with_name("wording.toml")

# they, their, them, themselves; the verb form that goes with it: 0 as in "you are", 1 as in "she is".
_PRONOUNS: Mapping[str, tuple[Mapping[str, str], int]] = {
    "you": ({"they": "you", "their": "your", "them": "you", "themselves": "yourself"}, 0),
    "she": ({"they": "she", "their": "her", "them": "her", "themselves": "herself"}, 1),
    "he": ({"they": "he", "their": "his", "them": "him", "themselves": "himself"}, 1),
    "they": ({"they": "they", "their": "their", "them": "them", "themselves": "themselves"}, 0),
}

_TOKEN = re.compile(
    r"\[(?P<plural>[^|\]]*)\|(?P<singular>[^\]]*)\]"
    r"|\{(?P<word>[a-z]+)\}"
    r"|<(?P<slot>[a-z0-9_]+(?:[+,][a-z0-9_]+)*)>"
    r"|(?P<open>\(\()"
    r"|(?P<close>\)\))"
)
HEIGHT, FEET, CITY_IS = "height_cm", "height_feet", "city_is"
CM_PER_INCH = 2.54

_ARTICLE = re.compile(r"\ba\(n\) (?=(\S+))")
# Abbreviations are spelt out: an HGV driver, an NHS manager.
_TAKES_AN = re.compile(r"(?-i:[FHLMNRSX](?=[A-Z]))|[aeio]|u(?!ni|se|k\b)|8|11\b|18\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Context:
    """One persona being written about.

    `phrase` finds the text that a dimension stands for; `words` are pronouns and the like; `verb` says which
    of two verb forms agrees with them.
    """

    values: Mapping[str, str]
    labels: Mapping[str, Mapping[str, tuple[str, str]]]
    phrase: Callable[[str], Text | None]
    words: Mapping[str, str]
    verb: int


# A compiled text: its words for a persona, or None if something is missing that it cannot do without.
Text = Callable[[_Context], str | None]


def render(snapshot: Snapshot, values: Mapping[str, object], person: Person = "second") -> str:
    """Write one paragraph about the persona with these values, category ids by dimension.

    Derived fields are used where given: names, `age_years`, `height_cm`, `city`, `job_title`, the income. Only what is
    in `values` is mentioned: leave sensitive dimensions out of it to leave them out of the prose.

    Raises SamplingError for another `person` than "second" or "third".
    """
    return renderer_for(snapshot)(values, person)


_renderers: WeakKeyDictionary[Snapshot, Renderer] = WeakKeyDictionary()  # which keeps no snapshot in memory


def renderer_for(snapshot: Snapshot) -> Renderer:
    """The renderer of one snapshot, its words compiled once."""
    if snapshot not in _renderers:
        labels = {
            dimension.id: dict(zip(dimension.categories, dimension.category_labels, strict=True))
            for dimension in snapshot.dimensions
        }
        wording = load_wording(snapshot.manifest.population.id)
        _renderers[snapshot] = Renderer(wording, labels, _kinds_of_places(snapshot))
    return _renderers[snapshot]


def _kinds_of_places(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    """By region and place, the kind of surroundings that is its own: of those that tell for it the most urban, since a
    city has suburbs and a suburb no city. Empty without places.
    """
    if (places := snapshot.particulars(PLACES)) is None or "urbanicity" not in snapshot:
        return {}
    regions, kinds = snapshot.dimension("region").categories, snapshot.dimension("urbanicity").categories
    own = places.foremost("urbanicity")
    return {(regions[within], str(name)): kinds[kind] for (within, name), kind in own.items()}


@cache
def load_wording(population: str = "") -> Mapping[str, Any]:
    """The words, as data, with what is said otherwise in a population, by its id, laid over those that all share.

    The heads of `wording.toml` and of the population's own file, if it has one, explain their language.
    """
    wording = _read(WORDING)
    if not population.isalnum() or not (own := WORDING.with_name(f"wording.{population}.toml")).is_file():
        return wording
    over = _read(own)
    spelled = _respelled(wording, over.get("spelling", {}))
    phrases = {name: {**table, **over["phrases"].get(name, {})} for name, table in spelled["phrases"].items()}
    return {
        **spelled,
        "phrases": over["phrases"] | phrases,
        "keep_capital": [*wording["keep_capital"], *over.get("keep_capital", ())],
        "override": [*spelled["override"], *over.get("override", ())],
    }


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _respelled(part: Any, spelling: Mapping[str, str]) -> Any:
    """Every text of a wording with these words replaced; keys, which are ids, stay."""
    if isinstance(part, dict):
        return {key: value if key in _IDS else _respelled(value, spelling) for key, value in part.items()}
    if isinstance(part, list):
        return [_respelled(value, spelling) for value in part]
    for word, instead in spelling.items():
        part = part.replace(word, instead)
    return part


_IDS = frozenset({"if", "unless", "same", "has"})  # parts of a rule that name dimensions and categories


@dataclass(frozen=True, slots=True)
class _Condition:
    """When an override or a pronoun applies; the head of the overrides in `wording.toml` says how."""

    among: Mapping[str, frozenset[str]]
    unless: Mapping[str, frozenset[str]]
    same: tuple[tuple[str, str], ...]
    has: tuple[str, ...]

    @classmethod
    def compile(cls, rule: Mapping[str, Any]) -> _Condition:
        return cls(
            among={name: frozenset(wanted) for name, wanted in rule.get("if", {}).items()},
            unless={name: frozenset(unwanted) for name, unwanted in rule.get("unless", {}).items()},
            same=tuple((first, second) for first, second in rule.get("same", ())),
            has=tuple(rule.get("has", ())),
        )

    def holds(self, values: Mapping[str, str]) -> bool:
        return (
            all(values.get(name) in wanted for name, wanted in self.among.items())
            and all(values.get(name) not in unwanted for name, unwanted in self.unless.items())
            and all(first in values and values[first] == values.get(second) for first, second in self.same)
            and all(name in values for name in self.has)
        )


@dataclass(frozen=True, slots=True)
class _Override:
    """Phrases that take the place of others if the condition holds; the later in `order` wins."""

    order: int
    condition: _Condition
    phrases: Mapping[str, Text]


_ANYBODY = ("", ("",))


class Renderer:
    """Writes paragraphs with one wording and one catalogue's labels; `kinds` are of places, by region and name."""

    def __init__(
        self,
        wording: Mapping[str, Any],
        labels: Mapping[str, Mapping[str, str]],
        kinds: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self._kinds = kinds or {}
        keep_capital = tuple(wording["keep_capital"])
        self._labels = {
            dimension: {category: (label, _lowered(label, keep_capital)) for category, label in table.items()}
            for dimension, table in labels.items()
        }
        self._sentences = [compile_text(text) for text in wording["sentences"]]
        self._phrases = {
            dimension: {category: compile_text(text, dimension) for category, text in table.items()}
            for dimension, table in wording["phrases"].items()
        }
        self._absent = {dimension: compile_text(text) for dimension, text in wording["absent"].items()}
        # By a value that the rule asks for, so that a persona meets only the few that can hold.
        self._overrides: dict[tuple[str, str], list[_Override]] = {}
        for order, rule in enumerate(wording["override"]):
            phrases = {name: compile_text(text, name) for name, text in rule["set"].items()}
            dimension, categories = next(iter(rule.get("if", {}).items()), _ANYBODY)
            for category in categories:
                override = _Override(order, _Condition.compile(rule), phrases)
                self._overrides.setdefault((dimension, category), []).append(override)
        self._pronouns = [(_Condition.compile(rule), rule["they"]) for rule in wording["pronouns"]]

    def __call__(self, values: Mapping[str, object], person: Person = "second") -> str:
        """One paragraph; see `render`."""
        if person not in ("second", "third"):
            raise SamplingError(f"person must be 'second' or 'third', not {person!r}")
        known = {name: _written(value) for name, value in values.items() if value is not None}
        known |= self._told_otherwise(values)
        name = " ".join(known[part] for part in ("first_name", "last_name") if part in known)
        if person == "second":
            pronouns, verb = _PRONOUNS["you"]
            words = {**pronouns, "subject": "you", "introduction": f"{name}, " if name else ""}
        else:
            pronouns, verb = _PRONOUNS[self._pronoun(known)]
            words = {**pronouns, "subject": name or "this person", "introduction": ""}
        context = _Context(known, self._labels, self._phrase_finder(known), words, verb)
        # The first sentence is about the name, so its verb is singular in the third person even of a "they".
        opening = replace(context, verb=int(person == "third"))
        written = [text(context if place else opening) for place, text in enumerate(self._sentences)]
        sentences = [text[0].upper() + text[1:] for text in written if text]
        return _ARTICLE.sub(_article, " ".join(sentences))

    def _told_otherwise(self, values: Mapping[str, object]) -> dict[str, str]:
        """What the wording can ask for besides the values: a height in feet, and of what kind the city is."""
        more = {}
        if isinstance(height := values.get(HEIGHT), int):
            feet, inches = divmod(round(height / CM_PER_INCH), 12)
            more[FEET] = f"{feet} feet {inches}" if inches else f"{feet} feet"
        if kind := self._kinds.get((str(values.get("region")), str(values.get("city")))):
            more[CITY_IS] = kind
        return more

    def _pronoun(self, values: Mapping[str, str]) -> str:
        return next((they for condition, they in self._pronouns if condition.holds(values)), "they")

    def _phrase_finder(self, values: Mapping[str, str]) -> Callable[[str], Text | None]:
        candidates = list(self._overrides.get(("", ""), ()))
        for value in values.items():
            candidates += self._overrides.get(value, ())
        special: dict[str, Text] = {}
        for override in sorted(candidates, key=attrgetter("order")):
            if override.condition.holds(values):
                special |= override.phrases

        def phrase(dimension: str) -> Text | None:
            if dimension in special:
                return special[dimension]
            if dimension not in values:
                return self._absent.get(dimension)
            table = self._phrases.get(dimension, {})
            return table.get(values[dimension], table.get("*"))

        return phrase


def compile_text(text: str, dimension: str | None = None) -> Text:
    """Compile a text of the wording; `dimension` is whose label `{label}`, `{lower}` and `{value}` mean.

    Raises ValueError if `((` and `))` do not pair up.
    """
    groups: list[list[Text]] = [[]]
    start = 0
    for match in _TOKEN.finditer(text):
        groups[-1].append(_literal(text[start : match.start()]))
        start = match.end()
        if match["open"]:
            groups.append([])
        elif match["close"]:
            inner = groups.pop()
            if not groups:
                raise ValueError(f"unbalanced brackets in wording: {text!r}")
            groups[-1].append(_optional(_sequence(inner)))
        elif match["slot"]:
            groups[-1].append(_slot(match["slot"]))
        elif match["word"]:
            groups[-1].append(_word(match["word"], dimension))
        else:
            groups[-1].append(_verb(match["plural"], match["singular"]))
    groups[-1].append(_literal(text[start:]))
    if len(groups) > 1:
        raise ValueError(f"unbalanced brackets in wording: {text!r}")
    return _sequence(groups[0])


def _literal(text: str) -> Text:
    return lambda _: text


def _verb(plural: str, singular: str) -> Text:
    return lambda context: singular if context.verb else plural


def _word(word: str, dimension: str | None) -> Text:
    if word not in ("label", "lower", "value"):
        return lambda context: context.words[word]
    name = str(dimension)

    def label(context: _Context) -> str | None:
        value = context.values.get(name)
        if value is None or word == "value":
            return value
        plain = value.replace("_", " ")
        return context.labels.get(name, {}).get(value, (plain, plain))[word == "lower"]

    return label


def _slot(names: str) -> Text:
    separator = "," if "," in names else "+"
    dimensions = names.split(separator)

    def slot(context: _Context) -> str | None:
        phrases = []
        for dimension in dimensions:
            found = context.phrase(dimension)
            written = found(context) if found else None
            if written:
                phrases.append(written)
        if not phrases:
            return None
        return ", ".join(phrases) if separator == "," else join_with_and(phrases)

    return slot


def _optional(text: Text) -> Text:
    return lambda context: text(context) or ""


def _sequence(parts: list[Text]) -> Text:
    def sequence(context: _Context) -> str | None:
        words = []
        for part in parts:
            written = part(context)
            if written is None:
                return None
            words.append(written)
        return "".join(words)

    return sequence


def join_with_and(phrases: Sequence[str]) -> str:
    """ "a", "a and b", "a, b, and c"; a comma also between two of which one has an "and" of its own."""
    if len(phrases) == 1:
        return phrases[0]
    comma = "," if len(phrases) > 2 or any(" and " in phrase or ", " in phrase for phrase in phrases) else ""
    return f"{', '.join(phrases[:-1])}{comma} and {phrases[-1]}"


def _written(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _lowered(label: str, keep_capital: tuple[str, ...]) -> str:
    """A label for use inside a sentence; proper names and abbreviations keep their capital."""
    if label.startswith(keep_capital) or not label[1:2].islower():
        return label
    return label[0].lower() + label[1:]


def _article(match: re.Match[str]) -> str:
    return "an " if _TAKES_AN.match(match[1]) else "a "
