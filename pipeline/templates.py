"""How templates are rendered, of prompts as of pages. The templates stand beside what fills them in."""

from __future__ import annotations

from functools import cache

import jinja2


@cache
def templates_of(package: str, *, escape: bool = False) -> jinja2.Environment:
    """The templates in a package's folder, with an error for what is not given; `escape` whatever is shown in HTML."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, ""),
        autoescape=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
