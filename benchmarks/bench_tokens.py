"""How far the estimate of tokens can be trusted: the figures that `pipeline/elicitation/tokens.py` states.

    make bench-tokens

Prompts and answers of the recorded edition, counted by the vocabulary that is used and by others; and the answers
against what was expected of them by their shape. SmolLM2's vocabulary is asked of llama.cpp, if the extra `local` is
there. Nothing here depends on the machine, but for the last line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx2
import numpy as np
from splintr import Tokenizer

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.elicitation.batch import read_lines
from pipeline.elicitation.local import local_server
from pipeline.elicitation.panel import load_panel
from pipeline.elicitation.protocol import Completion
from pipeline.elicitation.record import edition_files
from pipeline.elicitation.tokens import VOCABULARY, count_tokens, expect
from pipeline.plan import Plan
from pipeline.prompts.render import Request
from pipeline.resources import CORPUS, EDITION
from warehouse.errors import ElicitationError

OTHERS = "cl100k_base llama3 phi4 olmo2 glm4 kimi_k2 kimi_k3 deepseek_v3 qwen3 mistral_v3 mistral_v1 mistral_v2 llama2"
QUANTILES = (2.5, 50, 97.5)


def ratios(name: str, theirs: Iterable[int], ours: Iterable[int]) -> None:
    """Print the ratio in total, its quantiles over single texts, and the extremes."""
    a, b = np.array(list(theirs)), np.array(list(ours))
    single = a / b
    middle = " ".join(f"{q:6.3f}" for q in np.percentile(single, QUANTILES))
    print(f"{name:38} {a.sum() / b.sum():6.3f}   {middle}   {single.min():6.3f} {single.max():6.3f}")


def compare(name: str, count: Callable[[str], int], prompts: list[str], answers: list[str]) -> None:
    for kind, texts in (("prompts", prompts), ("answers", answers)):
        ratios(f"{name}, {kind}", map(count, texts), map(count_tokens, texts))


def main() -> None:
    plan = Plan(EDITION, CORPUS / EDITION)
    requests: dict[str, Request] = {r.custom_id: r for rs in plan.requests.values() for r in rs}
    recorded = [line.content for path in edition_files(plan.corpus) for line in read_lines(path)]
    told = [(requests[c.custom_id], c.text) for c in recorded if isinstance(c, Completion) and c.text]
    prompts = ["\n".join(m["content"] for m in r.messages) for r in requests.values()]
    answers = [text for _, text in told]

    print(f"tokens as a multiple of those of {VOCABULARY}")
    print(f"{'':38} {'total':>6}   {'  2.5 %    50 % 97.5 %':>20}      min    max")
    for name in OTHERS.split():
        vocabulary = Tokenizer.from_pretrained(name)
        compare(name, lambda text, v=vocabulary: len(v.encode_ordinary(text)), prompts, answers)  # type: ignore[misc]
    try:
        with local_server(load_panel()[-1]) as endpoint, httpx2.Client() as client:
            url = endpoint.base_url.removesuffix("/v1") + "/tokenize"
            compare(
                "smollm2 (llama.cpp)",
                lambda text: len(client.post(url, json={"content": text}).json()["tokens"]),
                prompts,
                answers,
            )
    except ElicitationError as error:
        print(f"smollm2: {error}")

    print("\nanswers as a multiple of what was expected")
    for number_format in dict.fromkeys(r.number_format for r, _ in told):
        pairs = [(r, text) for r, text in told if r.number_format == number_format]
        expected = [expect(r, plan.catalogues[r.population].dimension).tokens_out for r, _ in pairs]
        ratios(number_format, (count_tokens(text) for _, text in pairs), expected)
        whole = [json.dumps(json.loads(text), indent=2) for _, text in pairs if _is_json(text)]
        ratios(
            f"{number_format}, indented", map(count_tokens, whole), (count_tokens(t) for _, t in pairs if _is_json(t))
        )

    count_tokens.cache_clear()
    begin = time.perf_counter()
    for request in requests.values():
        expect(request, plan.catalogues[request.population].dimension)
    for _ in range(24):  # as many members as a panel has are asked the same prompts
        for request in requests.values():
            expect(request, plan.catalogues[request.population].dimension)
    print(f"\n{25 * len(requests)} requests of 25 members estimated in {time.perf_counter() - begin:.1f} s")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
