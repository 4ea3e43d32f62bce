"""What is asked of a regression: which moderators matter, which model, and what differs between subgroups."""

from __future__ import annotations

from bayesmeta.regression.comparison import compare_models, comparison_rows
from bayesmeta.regression.selected import ModeratorSelection
from bayesmeta.regression.selection import moderator_selection
from bayesmeta.regression.subgroups import DifferenceTest, Group, Subgroups, subgroups

__all__ = [
    "DifferenceTest",
    "Group",
    "ModeratorSelection",
    "Subgroups",
    "compare_models",
    "comparison_rows",
    "moderator_selection",
    "subgroups",
]
