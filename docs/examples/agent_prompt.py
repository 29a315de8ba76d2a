"""Seed an agent with a persona: its prose as the system prompt of a chat completion.

Prints the requests; `openai.OpenAI().chat.completions.create(**request)` would send one. Nothing is sent here.

    python docs/examples/agent_prompt.py 42
"""

from __future__ import annotations

import json
import sys
from typing import Any

from serving import Persona, Sampler, Snapshot

TASK = (
    "Stay this person throughout. Answer as they would, in their own words, with what they know and do not know. "
    "Say so when a question means nothing to you. Never mention that you were given a description."
)


def request_for(persona: Persona, question: str, model: str = "gpt-5.4-mini") -> dict[str, Any]:
    """Arguments of a chat completion in which the model is this person."""
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": f"{persona.to_prompt()}\n\n{TASK}"},
            {"role": "user", "content": question},
        ],
        # Comes back with stored completions, so that an answer can be traced to who gave it.
        "metadata": {
            "persona_seed": str(persona.seed),
            "persona_index": str(persona.index),
            "snapshot": persona.snapshot_id,
        },
    }


def main(seed: str = "interview") -> None:
    """Three people who work, without special-category fields, and what each would be asked."""
    sampler = Sampler(Snapshot.load("us"))
    people = sampler.sample(3, seed, evidence={"employment": ["full_time", "part_time"]}, exclude=["sensitive"])
    for persona in people:
        print(json.dumps(request_for(persona, "What would make you switch to another bank?"), indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
