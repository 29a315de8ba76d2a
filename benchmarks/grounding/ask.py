"""`python -m benchmarks.grounding.ask FOLDER`: write the requests about the years of surveys as Batch input.

Answers, as Batch output, go to the folder of the population within `warehouse/corpus/years`. Does not belong here: what
is asked (`pipeline.grounding.years`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.grounding.run import panel
from pipeline.catalogue.loader import load_catalogue
from pipeline.elicitation.batch import export_requests
from pipeline.grounding.crosswalk import load_crosswalks
from pipeline.grounding.years import year_requests


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(prog="ask", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--population", default="us")
    options = parser.parse_args()
    catalogue = load_catalogue(options.population)
    walks = load_crosswalks(catalogue)
    asked = [request for member in panel() for request in year_requests(catalogue, walks, member).values()]
    for path in export_requests(asked, options.folder):
        print(path)


if __name__ == "__main__":
    main()
