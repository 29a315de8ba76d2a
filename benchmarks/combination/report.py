"""The pages of the benchmark: tables and picture out of its rows, by means, intervals and rank correlations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from benchmarks.pages import fill, table
from pipeline.combination.strategies import CONTROLS, STRATEGIES

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = DOCS / "combination.md"
PICTURE = DOCS / "combination.svg"
POOLS = ("linear_pool", "linear_pool_information", "beta_linear_pool", "log_pool", "log_pool_information", "backoff")
DEFAULT = "max_entropy_shrunk"
REPLICATES = 2_000
FIRST = 3
REMEMBERED = ("meps", "acs")


def write_pages(scores: pl.DataFrame, pairs: pl.DataFrame) -> tuple[Path, ...]:
    """Put tables into the marked places of the page and draw its picture; returns what was written."""
    plain = scores.filter(~pl.col("two_way"))
    # With two-way maps, strategies that cannot use them stand beside those that can, as they are.
    used = scores.filter("two_way").select("strategy").unique().to_series()
    full = scores.filter(pl.col("two_way") | ~pl.col("strategy").is_in(used.implode()))
    reporting = pl.col("role") == "report"
    reported, reported_full = plain.filter(reporting), full.filter(reporting)
    blocks = {
        "shares": _shares(reported),
        "shares-two-way": _shares(reported_full),
        "default": _contest(reported),
        "default-two-way": _contest(reported_full),
        "distances": _distances(reported),
        "tasks": _tasks(plain),
        "two-way": _two_way(scores.filter(reporting)),
        "recall": _recall(reported, reported_full),
        "pairs": _pairs(pairs),
        "tuning": _shares(plain.filter(~reporting)),
    }
    fill(PAGE, blocks)
    _draw(reported)
    return PAGE, PICTURE


def _arms(frame: pl.DataFrame) -> list[str]:
    return sorted(a for a in frame["arm"].unique().to_list() if a != "reference")


def by_task(frame: pl.DataFrame) -> pl.DataFrame:
    """Mean of splits and noise seeds: a row per task, arm and strategy."""
    return frame.group_by("task", "arm", "strategy", maintain_order=True).agg(
        pl.col("share", "gain", "marginal_tv", "one_way_tv", "two_way_tv").mean()
    )


def _shares(frame: pl.DataFrame) -> str:
    """Share of the logit's gain per strategy and arm: mean over tasks, the worst task in brackets."""
    means, arms = by_task(frame), _arms(frame)
    rows = []
    for strategy in STRATEGIES:
        cells = [strategy]
        for arm in arms:
            values = means.filter((pl.col("strategy") == strategy) & (pl.col("arm") == arm))["share"].to_list()
            few = f", {len(values)} tasks" if len(values) < means["task"].n_unique() else ""
            cells.append(f"{np.mean(values):.3f} ({min(values):.2f}{few})" if values else "")
        rows.append(cells)
    reference = means.filter(pl.col("strategy") == "gradient boosting")["share"].to_list()
    rows.append(
        [f"gradient boosting on the microdata: {np.mean(reference):.3f} ({min(reference):.2f})", *[""] * len(arms)]
    )
    return table(["strategy", *arms], rows)


def _distances(frame: pl.DataFrame) -> str:
    """Total variation to the training half's exact marginal, one-way and two-way maps, mean over tasks."""
    means, arms = by_task(frame), _arms(frame)
    rows = []
    for strategy in STRATEGIES:
        cells = [strategy]
        for arm in arms:
            found = means.filter((pl.col("strategy") == strategy) & (pl.col("arm") == arm))
            figures = (found[c].mean() for c in ("marginal_tv", "one_way_tv", "two_way_tv"))
            few = f" ({found.height} tasks)" if found.height < means["task"].n_unique() else ""
            cells.append(" / ".join(f"{x:.3f}" for x in figures) + few if found.height else "")
        rows.append(cells)
    return table(["strategy", *arms], rows)


def _contest(frame: pl.DataFrame) -> str:
    """The shipped default against the best other strategy and the best pool of every arm, paired over tasks."""
    means = by_task(frame)
    rows = []
    for arm in _arms(frame):
        shares = (
            means.filter((pl.col("arm") == arm) & pl.col("strategy").is_in(list(STRATEGIES)))
            .pivot(on="strategy", index="task", values="share")
            .sort("task")
        )
        mine = shares[DEFAULT].to_numpy()
        others = {s: shares[s].to_numpy() for s in shares.columns if s not in ("task", DEFAULT, *CONTROLS)}
        whole = {s: v for s, v in others.items() if not np.isnan(v.astype(float)).any()}
        best = max(whole, key=lambda s: float(np.mean(whole[s])))
        pool = max((s for s in POOLS if s in whole), key=lambda s: float(np.mean(whole[s])))
        rows.append([arm, f"{mine.mean():.3f}", *_against(mine, best, whole[best]), *_against(mine, pool, whole[pool])])
    head = ["arm", DEFAULT, "best other", "difference", "best pool", "difference"]
    return table(head, rows)


def _against(mine: np.ndarray, name: str, theirs: np.ndarray) -> tuple[str, str]:  # type: ignore[type-arg]
    difference = mine - theirs
    rng = np.random.default_rng(0)
    drawn = difference[rng.integers(0, len(difference), (REPLICATES, len(difference)))].mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{name} {theirs.mean():.3f}", f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def _tasks(frame: pl.DataFrame) -> str:
    means, arms = by_task(frame), _arms(frame)
    rows = []
    for task, role, people, logit in (
        frame.group_by("task", "role", maintain_order=True)
        .agg(pl.col("people").first(), pl.col("logit").mean())
        .iter_rows()
    ):
        own = means.filter(pl.col("task") == task)
        boosting = own.filter(pl.col("strategy") == "gradient boosting")["share"].item()
        shares = [own.filter((pl.col("strategy") == DEFAULT) & (pl.col("arm") == arm))["share"].item() for arm in arms]
        rows.append([task, role, str(people), f"{logit:.3f}", f"{boosting:.2f}", *(f"{s:.2f}" for s in shares)])
    return table(["task", "role", "people to train on", "logit's gain, nats", "boosting", *arms], rows)


def _two_way(frame: pl.DataFrame) -> str:
    """What two-way maps do for the default, beside what gradient boosting makes of the microdata."""
    frame = frame.filter(pl.col("strategy").is_in([DEFAULT, "gradient boosting"]))
    main, more = by_task(frame.filter(~pl.col("two_way"))), by_task(frame.filter("two_way"))
    boosting = _mean(main.filter(pl.col("arm") == "reference")["share"])
    rows = []
    for arm in _arms(frame):
        cells = [arm]
        for scored in (main, more):
            found = scored.filter(pl.col("arm") == arm)
            cells += [f"{found['share'].mean():.3f}", f"{found['two_way_tv'].mean():.4f}"]
        rows.append([*cells, f"{boosting:.3f}"])
    head = ["arm", "main effects: share", "two-way TV", "with two-way maps: share", "two-way TV", "gradient boosting"]
    return table(head, rows)


def _pairs(frame: pl.DataFrame) -> str:
    """How well the forecast ranks pairs, task by task, in means over splits."""
    keys = ["task", "role", "pair"]
    frame = frame.group_by(keys, maintain_order=True).agg(pl.exclude(*keys, "split").mean())
    rows, summary = [], []
    for (task, role), pairs in frame.group_by("task", "role", maintain_order=True):
        best, ranked = pairs.sort("worth", descending=True), pairs.sort("forecast", descending=True)
        means = [_mean(f["worth"]) for f in (ranked.head(FIRST), best.head(FIRST), pairs)]
        rhos = [
            float(spearmanr(pairs[a], pairs[b])[0])
            for a, b in (("forecast", "worth"), ("forecast", "added"), ("cells", "added"))
        ]
        summary.append([*means, *rhos])
        named = (f"{f['pair'][0]} {f['worth'][0]:+.3f} ({f['added'][0]:+.3f})" for f in (best, ranked))
        means_said = " / ".join(f"{m:+.3f}" for m in means)
        rows.append([str(task), str(role), f"{pairs['headroom'][0]:+.3f}", *named, means_said, f"{rhos[0]:+.2f}"])
    chosen, possible, blind, worth, added, cells = np.mean(summary, axis=0)
    head = [
        "task",
        "role",
        "boosting's lead",
        "best pair",
        "pair put first",
        "first 3 / best 3 / all",
        "rank correlation",
    ]
    said = (
        f"Mean over tasks: a pair among the {FIRST} put first is worth {chosen:+.3f}, one among the {FIRST} best "
        f"{possible:+.3f}, one taken blindly {blind:+.3f}. Mean rank correlation of the forecast with the worth "
        f"{worth:+.2f}, with the addition as measured {added:+.2f}; of the count of figures with that {cells:+.2f}."
    )
    return f"{table(head, rows)}\n\n{said}"


def _recall(plain: pl.DataFrame, full: pl.DataFrame) -> str:
    """Arm C without the surveys of which the model said that it remembered totals."""
    means = []
    for frame in (plain, full):
        kept = by_task(frame).filter(
            pl.col("arm").str.starts_with("C")
            & (pl.col("strategy") == DEFAULT)
            & ~pl.col("task").str.split(".").list.first().is_in(REMEMBERED)
        )
        means.append(_mean(kept["share"]))
    return (
        f"Without the surveys of which the model remembered totals ({', '.join(REMEMBERED)}), `{DEFAULT}` recovers "
        f"{means[0]:.3f} in arm C with one-way maps and {means[1]:.3f} with two-way maps."
    )


def _mean(values: pl.Series) -> float:
    return float(values.mean())  # type: ignore[arg-type]


def _draw(frame: pl.DataFrame) -> None:
    """Share recovered against noise, a line per strategy; beside it the recorded arm, off that axis."""
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "personagen"
    means = by_task(frame).group_by("arm", "strategy").agg(pl.col("share").mean())
    noise = {arm: float(arm.split()[-1]) if arm.startswith("B") else 0.0 for arm in _arms(frame)[:-1]}
    recorded = _arms(frame)[-1]
    whole = frame["task"].n_unique()
    covered = dict(frame.group_by("strategy").agg(pl.col("task").n_unique()).iter_rows())
    shown = [s for s in STRATEGIES if s not in CONTROLS and covered[s] == whole]  # a mean over some tasks is no peer
    figure = Figure(figsize=(9, 5.2))
    axis = figure.add_axes((0.08, 0.1, 0.52, 0.84))
    beside = figure.add_axes((0.62, 0.1, 0.1, 0.84), sharey=axis)
    colours = mpl.colormaps["tab20"](np.linspace(0, 1, len(shown)))
    for strategy, colour in zip(shown, colours, strict=True):
        own = dict(means.filter(pl.col("strategy") == strategy).select("arm", "share").iter_rows())
        strong = strategy == DEFAULT
        look = {"marker": "o", "color": "black" if strong else colour, "zorder": 3 if strong else 2}
        values = [own.get(a, np.nan) for a in noise]
        axis.plot(list(noise.values()), values, label=strategy, linewidth=2.4 if strong else 1.2, **look)
        beside.plot([0], [own.get(recorded, np.nan)], **look)
    for one in (axis, beside):
        one.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
    axis.set_ylim(-0.2, 1.06)
    axis.set_xticks(list(noise.values()), ["exact maps", *(f"{v:g}" for v in list(noise.values())[1:])])
    axis.set_xlabel("noise on the log probabilities, nats")
    axis.set_ylabel("share of the logit's information gain recovered")
    beside.set_xticks([0], ["recorded\nanswers"])
    beside.tick_params(labelleft=False)
    figure.legend(loc="center right", fontsize=8, frameon=False)
    figure.savefig(PICTURE, format="svg", metadata={"Date": None})
