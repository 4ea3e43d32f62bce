"""The report of a run: one HTML file that opens offline, made from ``results.json`` and the figures alone."""

from __future__ import annotations

from bayesmeta.report.page import render

__all__ = ["render"]
