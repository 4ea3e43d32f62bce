"""Colours and sizes of every figure: safe for colour-blind eyes, and told apart in grey as well.

The hues are those of Okabe and Ito, darkened where they draw thin lines.

References
----------
Okabe M, Ito K (2008). Color Universal Design. https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

from typing import Final

INK: Final = "#1a1a1a"
"""Text, axes, prediction intervals."""
MUTED: Final = "#5c5c5c"
"""Secondary text."""
FAINT: Final = "#d9d9d9"
"""Grids and rules in the background."""
OBSERVED: Final = "#555555"
"""What the data say."""
POSTERIOR: Final = "#0b6e99"
"""What the posterior says."""
POSTERIOR_LIGHT: Final = "#74aecb"
"""Intervals and areas of the posterior."""
PRIOR: Final = "#c75b00"
"""Priors."""
ALARM: Final = "#b3261e"
"""What must not be overlooked."""
PAPER: Final = "#ffffff"
SHADES: Final = ("#ffffff", "#ececec", "#dcdcdc", "#cccccc")
"""Contours, from the least to the most significant being the palest."""

TEXT: Final = 9.0
"""Points of ordinary text."""
SMALL: Final = 7.6
"""Points of stacked numbers, notes and tick labels."""
