"""What a figure draws, as CSV: in the kernel beside its picture, and on a page as a file that its caption links to."""

import csv
import io
import re
from collections.abc import Iterable, Iterator

import numpy as np
from IPython import get_ipython
from IPython.core.formatters import BaseFormatter
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryLocator
from matplotlib.collections import Collection, LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer, Container
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator
from traitlets import Unicode

MIME = "text/csv"
FOLDER = "figures"
"""Folder of the assets with the files."""
COLUMNS = ("panel", "x axis", "y axis", "series", "drawn as", "x", "y", "value")
NUMBER = re.compile(r"|[-−+]?[\d.,]+ ?[%×]?|.*\$.*")
"""The label of a tick that is a number, as TeX too."""
WORDS = {"en": "Data", "ja": "データ"}

Point = tuple[str, str, object, object, object]
"""Series, what it is drawn as, x, y, and the value where colour shows one."""


class Beside(BaseFormatter):
    """What IPython asks for the CSV of a figure that it shows."""

    format_type = Unicode(MIME)


def show_beside() -> None:
    """Let the kernel that asks show figures with their data."""
    if shell := get_ipython():
        formatter = Beside(parent=shell.display_formatter)
        formatter.for_type(Figure, as_csv)
        shell.display_formatter.formatters[MIME] = formatter


def as_csv(figure: Figure) -> str:
    """A row a point, numbers to six digits: which panel, what its axes show, which series, how it is drawn, x and y.

    A bar is given by where it stands and how far it reaches, an interval by its two ends, an area by its outline.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for panel, axes in enumerate((axes for axes in figure.axes if axes.get_label() != "<colorbar>"), 1):
        words, named_x, named_y = (panel, axes.get_xlabel(), axes.get_ylabel()), _names(axes.xaxis), _names(axes.yaxis)
        for series, kind, x, y, value in points(axes):
            writer.writerow([*words, series, kind, _said(x, named_x), _said(y, named_y), _said(value, {})])
    return text.getvalue()


def points(axes: Axes) -> Iterator[Point]:
    """Everything in data coordinates that axes show, in the order of drawing; a line across a panel has one number.

    What is drawn as pixels, behind the rest, is a picture and no data.
    """
    names = {part: container.get_label() for container in axes.containers for part in _parts(container)}

    def label(artist: Artist) -> str:
        own = str(names.get(artist, artist.get_label()))
        return "" if own.startswith("_") else own

    for line in axes.lines:
        is_x, is_y = line.get_transform().contains_branch_seperately(axes.transData)
        kind = "points" if line.get_linestyle() == "None" else "line"
        for x, y in _distinct(line.get_xydata(), is_x, is_y):
            yield label(line), kind, x, y, None
    for collection in (part for part in axes.collections if not part.get_rasterized()):
        yield from ((label(collection), *point) for point in _collected(collection))
    for bars in (container for container in axes.containers if isinstance(container, BarContainer)):
        lying = bars.orientation == "horizontal"
        for bar in bars:
            across, along = bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height() / 2
            end = (bar.get_x() + bar.get_width(), along) if lying else (across, bar.get_y() + bar.get_height())
            yield label(bar), "bar", *end, None
    for image in axes.images:
        for (row, column), value in np.ndenumerate(image.get_array()):
            yield "", "cell", column, row, value
    for note in axes.texts:
        pinned = isinstance(note, Annotation) and note.xycoords == "data"
        if note.get_text().strip() and (pinned or note.get_transform().contains_branch(axes.transData)):
            yield " ".join(note.get_text().split()), "label", *(note.xy if pinned else note.get_position()), None


def taken(notebook: dict, name: str) -> dict[str, str]:
    """{path among the assets: CSV} of the figures of an executed chapter, which lose it; their captions link to it.

    name: of the chapter below chapters/, without suffix.
    """
    files = {}
    for cell in notebook["cells"]:
        data = [out["data"].pop(MIME) for out in cell.get("outputs", ()) if MIME in out.get("data", ())]
        figure = cell["metadata"].get("mystnb", {}).get("figure", {})
        if data and {"caption", "name"} <= figure.keys():
            path = f"{FOLDER}/{figure['name']}.csv"
            files[path] = "".join(data[0])
            word, up = WORDS["ja" if name.startswith("ja/") else "en"], "../" * name.count("/")
            link = f'<a href="{up}_static/{path}" download>{word}</a>'
            cell["metadata"]["mystnb"]["figure"] = {**figure, "caption": f"{figure['caption']} {link}"}
    return files


def _collected(collection: Collection) -> Iterator[tuple[str, object, object, object]]:
    """How it is drawn, x, y and value of each of a collection's points."""
    if isinstance(collection, QuadMesh):
        corners = collection.get_coordinates()
        centres = (corners[:-1, :-1] + corners[1:, 1:]) / 2
        for (x, y), value in zip(centres.reshape(-1, 2), collection.get_array().ravel(), strict=True):
            yield "cell", x, y, value
    elif isinstance(collection, PathCollection):
        values = collection.get_array()
        for number, (x, y) in enumerate(collection.get_offsets()):
            yield "points", x, y, None if values is None else values[number]
    else:
        kind = {LineCollection: "interval", PolyCollection: "area"}
        named = next((word for its, word in kind.items() if isinstance(collection, its)), "outline")
        for path in collection.get_paths():
            yield from ((named, x, y, None) for x, y in path.vertices)


def _parts(container: Container) -> Iterator[Artist]:
    """The artists of bars, or of points with error bars."""
    for part in container:
        yield from part if isinstance(part, tuple | list) else [part] if part is not None else []


def _distinct(data: np.ndarray, is_x: bool, is_y: bool) -> Iterable[tuple[object, object]]:
    """The points of a line: of one across the whole panel, only the number at which it stands."""
    rows = ((x if is_x else None, y if is_y else None) for x, y in data)
    return rows if is_x and is_y else dict.fromkeys(rows) if is_x or is_y else ()


def _names(axis: Axis) -> dict[float, str]:
    """The names that stand at places of an axis; {} where numbers do."""
    places = axis.get_major_locator()
    if not isinstance(places, FixedLocator | StrCategoryLocator):
        return {}
    labels = zip(places(), axis.get_major_formatter().format_ticks(places()), strict=True)
    return {place: label for place, label in labels if not NUMBER.fullmatch(label)}


def _said(value: object, names: dict[float, str]) -> str:
    """A number, the name that stands at it, or nothing for what is none."""
    if value is None or np.ma.is_masked(value) or value != value:
        return ""
    return names.get(value) or (f"{float(value):.6g}" if isinstance(value, int | float | np.number) else str(value))
