"""Figures as files: the same bytes for the same figure."""

from __future__ import annotations

from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, Any

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import AnalysisError, FileError, is_one_of, printable, suggest, told
from bayesmeta.plots.style import styled
from bayesmeta.rawfile import as_path, reason

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")
DPI = 200
MOST_DOTS = 60_000
"""Dots along one side of an image; above, matplotlib refuses."""
METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "png": {},
    "pdf": {"CreationDate": None},
}


def figure_of(drawn: Axes | Figure) -> Figure:
    """Return the figure that something is drawn on."""
    if not hasattr(drawn, "get_figure"):
        raise AnalysisError(f"a figure is saved from what a plot returned; got {type(drawn).__name__}")
    found = drawn.get_figure(root=True)
    if found is None:
        raise AnalysisError("the Axes are on no figure any more; draw the plot again")
    return found


def to_bytes(drawn: Axes | Figure, form: str = "svg", *, dpi: int = DPI) -> bytes:
    """Return a figure as the content of a file; the same figure gives the same bytes.

    Parameters
    ----------
    drawn : Axes or Figure
        What a plot returned, or its figure.
    form : {"svg", "png", "pdf"}
        Format.
    dpi : int
        Dots per inch of images; fewer where an image would have more than 60,000 dots along one side.

    Raises
    ------
    AnalysisError
        If the format is unknown.
    """
    if not strictly_between(dpi, 0, inf):
        raise AnalysisError(f"dpi must be a positive number of dots per inch; got {told(dpi)}")
    if not is_one_of(form, FORMATS):
        raise AnalysisError(f"a figure must be svg, png or pdf; got {told(form)}{suggest(form, FORMATS)}")
    figure, stream = figure_of(drawn), BytesIO()
    longest = max(figure.get_size_inches())
    with styled():
        figure.savefig(
            stream, format=form, dpi=min(dpi, MOST_DOTS / longest), metadata=METADATA[form], facecolor="white"
        )
    return stream.getvalue()


def save(drawn: Axes | Figure, path: str | os.PathLike[str], *, dpi: int = DPI) -> None:
    """Write a figure to a file, in the format of its ending: .svg, .png or .pdf.

    Parameters
    ----------
    drawn : Axes or Figure
        What a plot returned, or its figure.
    path : str or path-like
        The file.
    dpi : int
        Dots per inch of images.

    Raises
    ------
    AnalysisError
        If the ending is no format.
    FileError
        If the file cannot be written.
    """
    target = as_path(path, "the file of a figure")
    content = to_bytes(drawn, target.suffix.removeprefix(".").lower(), dpi=dpi)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FileError(f"{printable(str(target))}: cannot be written: {reason(error)}") from error
