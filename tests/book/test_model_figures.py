"""Pictures of one model's law and of forecasts have their points, bands and lines."""

import pandas as pd

from rholaw.book import model_figures
from rholaw.book.figures import plt
from rholaw.fidelity.sensitivity import fit_sensitivity

MEASURED = pd.DataFrame({"format": ["q4_k", "q3_k"], "gmse": [0.005, 0.023], "rise": [0.03, 0.15]})
OTHERS = pd.DataFrame({"format": ["q8_0", "q2_k"], "gmse": [3e-5, 0.09], "rise": [0.001, 0.6]})


def test_points_and_band_are_drawn():
    fit = fit_sensitivity(MEASURED)
    (axes,) = model_figures.predicted(fit, MEASURED, OTHERS, 0.1).axes
    line, tolerance, used, unused = axes.lines
    assert list(used.get_ydata()) == [0.03, 0.15] and list(unused.get_ydata()) == [0.001, 0.6]
    assert set(tolerance.get_ydata()) == {0.1}
    assert list(line.get_ydata()) == list(fit.predict(line.get_xdata()))
    assert line.get_xdata()[0] < 3e-5 and line.get_xdata()[-1] > 0.09
    (band,) = axes.collections
    assert band.get_paths()[0].contains_point((line.get_xdata()[30], line.get_ydata()[30]))
    assert len(model_figures.predicted(fit, MEASURED, OTHERS[:0], 0.1).axes[0].lines) == 3
    plt.close("all")


def test_forecasts_are_lines_and_facts_are_crosses():
    ends = {"low95": [0.01, 0.02], "low80": [0.02, 0.04], "high80": [0.04, 0.08], "high95": [0.05, 0.1]}
    table = pd.DataFrame({"model": ["large", "small"], "rise": [0.06, 0.03], **ends})
    (axes,) = model_figures.forecasts(table, pd.DataFrame({"model": ["large"], "measured": [0.05]})).axes
    medians, facts = axes.lines
    assert [label.get_text() for label in axes.get_yticklabels()] == ["small", "large"]
    assert list(medians.get_xdata()) == [0.03, 0.06] and facts.get_xydata().tolist() == [[0.05, 1]]
    assert len(model_figures.forecasts(table, table[:0]).axes[0].lines) == 1
    plt.close("all")
