"""A module that raises at import; it names the mark, schedulable."""

from __future__ import annotations

raise RuntimeError("no licence on this host")
