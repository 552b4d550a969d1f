"""Pictures of what rounding cost show what is on record."""

import pytest

from rholaw.book import rounding
from rholaw.book.figures import plt
from rholaw.checkpoints import recorded
from rholaw.laws import draws


@pytest.fixture(scope="module")
def rounded():
    return recorded.rounded(draws.draws(draws.default_fits(3)))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def points(axes):
    """How many points its lines have, the two ends of the diagonal left out."""
    return sum(len(line.get_xdata()) for line in axes.lines) - 2


def test_each_matrix_is_a_point_of_each_format_as_stored_and_rotated():
    surveys = recorded.surveys()
    upper, lower = rounding.ratios(surveys).axes
    drawn = [sum(len(line.get_xdata()) for line in axes.lines) - 2 for axes in (upper, lower)]  # the line at 1 has two
    assert drawn == [len(surveys)] * 2
    (axes,) = rounding.kurtoses(surveys).axes
    assert [text.get_text() for text in axes.get_legend().texts] == list(dict.fromkeys(surveys.checkpoint))


def test_each_rise_is_drawn_against_what_is_predicted(rounded):
    rose = rounded[rounded.rise > 0]
    (axes,) = rounding.against_the_law(rounded).axes
    assert points(axes) == len(rose)
    sums = recorded.linear()
    panels = rounding.against_the_sum(rounded, sums).axes
    turned = panels[0].containers[1][0].get_xdata()
    assert list(turned) == list(sums["rise", "error"].xs(64, level="rotation")[rose.xs(64, level="rotation").index])
    assert [points(axes) for axes in panels] == [len(rose)] * 2
    assert panels[0].get_xlabel() == "Σ α t², t² of the weights"


def test_noise_is_drawn_with_its_sum_over_groups():
    every, groups = recorded.noise()
    (axes,) = rounding.noise(every, groups).axes
    all_at_once, summed = (container[0] for container in axes.containers)
    assert list(all_at_once.get_ydata()) == list(every.alpha)
    assert summed.get_ydata()[0] == pytest.approx(groups.alpha.sum())


def test_what_lies_too_low_is_drawn_at_the_edge():
    alone = recorded.alone()
    (axes,) = rounding.groups_alone(alone, least=0.05).axes
    heights = [y for container in axes.containers for y in container[0].get_ydata()]
    assert len(heights) == len(alone) and min(heights) == 0.05 > alone.alpha.min()


def test_the_table_has_a_row_for_each_format(rounded):
    table = rounding.table(rounded).data
    assert list(table.index) == list(rounded.index.unique("format"))
    row = rounded.loc[("nvfp4", 0)]
    assert table.loc["nvfp4", "rise as stored"] == f"{row.rise:.3f} ± {row.stderr:.3f}"
    assert table.loc["nvfp4", "bits"] == 4.5 and table.loc["nvfp4", "times"] == pytest.approx(row.times)
