"""How the templates of pages are rendered. The pages stand beside it."""

from __future__ import annotations

import jinja2


def environment(*, escape: bool) -> jinja2.Environment:
    """The templates of this folder, with an error for what is not given; `escape` whatever is shown in HTML."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.pages", ""),
        autoescape=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
