"""Can it happen? What operators must know, as findings with a code: banners, `schedules_status`, `/health`, checks."""

from __future__ import annotations

from schedules.health.facts import Facts, gather
from schedules.health.findings import Finding, Level, findings
from schedules.health.summary import Part, summary

__all__ = ["Facts", "Finding", "Level", "Part", "findings", "gather", "summary"]
