"""The outcome of a prompt trial as tables: in the marked places of docs/prompts.md.

Belongs here: arranging scores as Markdown. Does not belong here: scores, and the text around the tables, which is
written by hand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.combination.bootstrap import Interval
from pipeline.prompt_trial import Trial
from pipeline.prompts.trial import PartScore, VariantScore
from warehouse.errors import ElicitationError

PAGE = Path(__file__).parent.parent.parent / "docs" / "prompts.md"

HEAD = (
    "variant",
    "score",
    "rank",
    "valid at first",
    "JS to consensus",
    "hedging",
    "information",
    "tokens per cell",
)


def write_page(trial: Trial, path: Path = PAGE) -> None:
    """Put the tables into the page. Raises `ElicitationError` if it or a marked place in it is missing."""
    blocks = {"maps": _maps(trial), "outcome": "\n\n".join(_member(trial, m) for m in trial.requests)}
    try:
        text = path.read_text(encoding="utf-8")
        for name, block in blocks.items():
            pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
            if not pattern.search(text):
                raise ElicitationError(
                    f"{path.name} has no place for '{name}': put <!-- {name} --> and <!-- end --> in"
                )
            text = pattern.sub(lambda m, block=block: f"{m[1]}{block}\n{m[2]}", text)  # type: ignore[misc]
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ElicitationError(f"{path} cannot be written ({error.strerror}): run this in the repository") from error


def figures(score: VariantScore) -> tuple[str, ...]:
    """One variant's figures under `HEAD`; what cannot be said is empty."""
    return (
        score.variant,
        _with_bounds(score.score, 3),
        _with_bounds(score.rank, 0),
        f"{100 * score.valid.value:.0f} %",
        "" if score.distance is None else f"{score.distance:.4f}",
        "" if score.hedging is None else f"{score.hedging:+.3f}",
        "" if score.information is None else f"{score.information:.2f}",
        "" if score.tokens_per_cell is None else f"{score.tokens_per_cell:.0f}{'*' if score.estimated else ''}",
    )


def told_answers(trial: Trial, member: str) -> str:
    """How much of one member's trial there is."""
    asked, missing = trial.requests[member], trial.missing[member]
    incomplete = " The trial is incomplete: this is of the maps that are answered in full." if missing else ""
    return f"{asked - missing} of {asked} requests answered.{incomplete}"


def told_choice(scores: Sequence[VariantScore]) -> str:
    """One sentence on what one member's trial decides."""
    chosen = next((s for s in scores if s.chosen), None)
    if chosen is None:
        return "No variant got more from this model than equal shares would be worth, so none is chosen."
    contenders = sum(s.contender for s in scores)
    return (
        f"Chosen: {chosen.variant}, the cheapest of {contenders} that are not significantly worse than "
        f"{scores[0].variant}."
    )


def told_rejections(scores: Iterable[VariantScore]) -> str:
    """Why first answers of one member were rejected, most frequent first."""
    reasons = sum((Counter(s.reasons) for s in scores), Counter())
    return ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "none"


def _maps(trial: Trial) -> str:
    return "\n".join(f"- P({d} | {', '.join(g)})" if g else f"- P({d})" for d, g in trial.maps)


def _member(trial: Trial, member: str) -> str:
    scores = [s for s in trial.scores if s.member == member]
    parts = [p for p in trial.parts if p.member == member]
    lines = [
        f"### {member}",
        "",
        f"{told_answers(trial, member)} {told_choice(scores)} First answers rejected: {told_rejections(scores)}.",
        "",
    ]
    if any(s.valid.value > 0 for s in scores):
        rows = [(f"**{s.variant}**" if s.chosen else s.variant, *figures(s)[1:]) for s in scores]
        lines += [*_table(HEAD, rows), "", *_table(("part", "score", "valid at first"), map(_part, parts))]
        if any(s.estimated for s in scores):
            lines += ["", "\\* estimated by the tokenizer: the answers carry no token counts."]
    return "\n".join(lines)


def _part(score: PartScore) -> tuple[str, str, str]:
    return f"{score.kind}: {score.part}", _with_bounds(score.score, 3), f"{100 * score.valid:.0f} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _with_bounds(value: Interval, decimals: int) -> str:
    return f"{value.value:.{decimals}f} ({value.low:.{decimals}f} to {value.high:.{decimals}f})"
