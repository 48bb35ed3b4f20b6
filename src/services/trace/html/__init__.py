"""Traces as HTML pages: one self-contained file each, which opens from a disk and asks no network for anything.

Everything from the wire is taken for hostile: templates escape it, and what scripts show of it only ever becomes text.
"""

from services.trace.html.render import render_states, render_trace

__all__ = ["render_states", "render_trace"]
