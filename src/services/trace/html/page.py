"""The frame of every page: templates, styles and scripts in one file that needs nothing else.

A Content Security Policy names the page's own style and script by their hashes and forbids everything else: were
something from the wire ever to become markup, it could neither run nor ask for anything.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from services.printable import printable, shorten

HERE = "services.trace.html"

_LONGEST_TEXT = 2000
_IN_SCRIPT = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def render_page(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    title: str,
    data: object,
    package: str = HERE,
    **values: Any,
) -> str:
    """Fill a template that extends "trace/page.html.j2".

    Args:
        template: its name: "trace/trace.html.j2", or "own/…" where it belongs to `package`.
        styles, scripts: files named in the same way, in their order; scripts share one scope.
        title: of the page.
        data: what the scripts read as JSON.
        package: whose folder `templates` has what begins with "own/".
        values: for the template.
    """
    style = _joined(tuple(styles), package)
    script = '(() => {\n"use strict";\n' + _joined(tuple(scripts), package) + "})();\n"
    return (
        _environment(package)
        .get_template(template)
        .render(
            page_title=title,
            style=Markup(style),
            script=Markup(script),
            policy="; ".join(
                (
                    "default-src 'none'",
                    f"style-src '{_hash(style)}'",
                    f"script-src '{_hash(script)}'",
                    "base-uri 'none'",
                    "form-action 'none'",
                )
            ),
            data=embedded(data),
            **values,
        )
    )


def embedded(value: object) -> Markup:
    """`value` as JSON that can stand in a script element: nothing in it can end that element."""
    return Markup(msgspec.json.encode(value).decode().translate(_IN_SCRIPT))


def text(value: str) -> str:
    """Text from the wire as pages show it: controls as their escapes, and of endless ones the beginning.

    It still has to be escaped, which templates do.
    """
    return printable(shorten(value, _LONGEST_TEXT))


@lru_cache(maxsize=4)
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=PrefixLoader({"trace": PackageLoader(HERE), "own": PackageLoader(package)}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["text"] = text
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment


@lru_cache(maxsize=8)
def _joined(names: tuple[str, ...], package: str) -> str:
    packages = {"trace": HERE, "own": package}
    parts = []
    for name in names:
        prefix, _, file = name.partition("/")
        parts.append((resources.files(packages[prefix]) / "templates" / file).read_text(encoding="utf-8"))
    return "\n".join(parts)


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
