"""Pictures of what rounding cost show what is on record."""

import pytest

from rholaw.book import figures, rounding
from rholaw.book.figures import plt
from rholaw.checkpoints import recorded


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_each_matrix_is_a_point_of_each_format_as_stored_and_rotated():
    surveys = recorded.surveys()
    upper, lower = rounding.ratios(surveys).axes
    drawn = [sum(len(line.get_xdata()) for line in axes.lines) - 2 for axes in (upper, lower)]  # the line at 1 has two
    assert drawn == [len(surveys)] * 2
    (axes,) = rounding.kurtoses(surveys).axes
    assert [text.get_text() for text in axes.get_legend().texts] == list(dict.fromkeys(surveys.checkpoint))


def test_each_rise_is_a_point_beside_the_law():
    rounded = recorded.rounded()
    rose = rounded[rounded.rise > 0]
    (axes,) = rounding.against_the_law(rounded).axes
    plain, rotated = (container[0] for container in axes.containers)
    names = [label.get_text() for label in axes.get_yticklabels()]
    order = {figures.called(name): name for name in rose.index.unique("format")}
    assert set(names) == set(order) and len(names) == len(order)
    for points, turn in ((plain, 0), (rotated, 64)):
        part = rose.xs(turn, level="rotation")
        assert list(points.get_xdata()) == list(part.times)
        assert [order[names[int(place)]] for place in points.get_ydata()] == list(part.index)
