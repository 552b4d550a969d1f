"""A page on a checkpoint: what it recommends follows from its numbers, and it refuses with reasons."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw.book import checkpoint_card as model_cards

NOISE = pd.DataFrame({"group": ["all"] * 3 + ["query"], "error": [0.001, 0.01, 1.0, 0.03], "alpha": [40, 60, 2, 1]})
FORMATS = "int8/g32, int4/g32, int2/g32"


@pytest.fixture(autouse=True)
def noise(monkeypatch):
    """Noise that costs 0.04 nats at an error of 0.001, 0.6 at 0.01, and 2 at 1."""
    monkeypatch.setattr(model_cards.tables, "read", lambda name: NOISE)


@pytest.fixture(scope="module")
def survey(tmp_path_factory, fit):
    generator = torch.Generator().manual_seed(0)
    tensors = {f"layer.{i}.attention.weight": torch.randn(64, 128, generator=generator) for i in range(3)}
    tensors["layer.0.mlp.weight"] = torch.randn(64, 128, generator=generator) ** 5
    tensors["embedding.weight"] = torch.randn(100, 128, generator=generator) ** 9
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_file(tensors, path)
    return rl.survey(path, FORMATS, fit=fit, progress=False)


def test_harmless_error_is_read_off_the_noise():
    assert model_cards.harmless_error(0.04) == pytest.approx(0.001)
    assert model_cards.harmless_error(math.sqrt(0.04 * 0.6)) == pytest.approx(math.sqrt(0.001 * 0.01))
    for outside in (0.01, 3):
        with pytest.raises(ValueError, match=r"between 0\.04 and 2 nats"):
            model_cards.harmless_error(outside)


def test_without_a_loss_the_smallest_format_of_harmless_error_is_chosen(survey):
    table = model_cards.choices(survey, stored=200_000, tolerance=0.6)
    assert table.acceptable.tolist() == [True, False, False]
    assert table.loc["int2/g32", "reason"] == f"errs by {table.loc['int2/g32', 'error']:.3g}, above 0.01"
    text = model_cards.recommendation(table, 200_000, 0.6)
    assert text.startswith("**`int8/g32`**") and "No loss of this model was measured" in text
    assert f"A model trained in `int2/g32` would count as one with {table.loc['int2/g32', 'rho']:.0%}" in text


def test_a_measured_loss_counts_with_its_error(survey):
    rises = {"int8/g32": (0.0, 0.01), "int4/g32": (0.05, 0.02), "int2/g32": (0.06, 0.03)}
    for tolerance, best in ((0.1, "int4/g32"), (0.15, "int2/g32"), (0.05, "int8/g32")):
        table = model_cards.choices(survey, 200_000, tolerance, rises)
        assert model_cards.recommendation(table, 200_000, tolerance).startswith(f"**`{best}`**")
    assert table.loc["int4/g32", "reason"] == "may cost 0.09 nats per token"


def test_what_saves_nothing_or_costs_too_much_is_not_recommended(survey):
    table = model_cards.choices(survey, stored=1000, tolerance=0.6)
    assert not table.acceptable.any() and "no less than" in table.reason.iloc[0]
    text = model_cards.recommendation(table, 1000, 0.6)
    assert text.startswith("**Do not compress it")
    odd = rl.totals(survey).assign(compressed=0)
    assert model_cards._refusal(odd.iloc[0], 1e9, 0.1, 0.1, math.nan) == "divides none of the matrices"


def test_weights_rounded_before_are_a_warning(survey):
    table = model_cards.choices(survey.assign(quantised=True), 200_000, 0.6)
    assert "rounded before" in model_cards.recommendation(table, 200_000, 0.6)
    assert "rounded before" not in model_cards.recommendation(table.assign(quantised=False), 200_000, 0.6)


def test_embeddings_are_not_among_the_matrices(survey):
    assert set(model_cards.compressed(survey).role) == {"attention", "mlp"}
    assert model_cards.kurtoses(survey).loc["max", "excess_kurtosis"] == pytest.approx(
        survey.set_index("name").excess_kurtosis["layer.0.mlp.weight"].iloc[0]
    )
    worst = model_cards.resisting(survey)
    assert set(worst.name) == {"layer.0.mlp.weight"} and (worst.ratio >= model_cards.DISTURBED).all()
    assert worst.ratio.is_monotonic_decreasing


def test_the_page_and_its_picture_are_written_whole(survey, tmp_path):
    table = model_cards.choices(survey, 200_000, 0.6, {"int8/g32": (0.001, 0.0005)})
    path = model_cards.destination(tmp_path / "card.md")
    open_before = model_cards.plt.get_fignums()
    model_cards.save(path, "mine", survey, table, 200_000, 0.6)
    assert model_cards.plt.get_fignums() == open_before
    assert {file.name for file in tmp_path.iterdir()} == {"card.md", "card.svg"}
    written = path.read_text(encoding="utf-8")
    assert written.startswith("## mine\n") and "](card.svg)" in written and len(written) < 6000
    rows = [line for line in written.splitlines() if line.startswith("| `")]
    assert len(rows) == 3 and "| 0.001 ± 0.001 |" in rows[0] and rows[1].count("|") == 9
    assert "layer.0.mlp.weight" in written and "nan" not in written
    assert "<svg" in (tmp_path / "card.svg").read_text()


def test_what_is_told_of_a_survey_is_counted(survey):
    table = model_cards.choices(survey, 200_000, 0.6)
    noted = survey.assign(note=survey.note.where(survey.name != "layer.1.attention.weight", "spoilt"))
    text = model_cards.told(noted, table)
    assert text.startswith("Disturbed by a ratio of 1.2 or more: 1 of 4 matrices. A rotation lowers the error of ")
    part = survey[(survey.format == "int4/g32") & survey.role.isin(["attention", "mlp"])]
    lower = (part.rotated_error < part.error).mean()
    assert f"{lower:.0%} of the matrices in `int4/g32` (all: {table.error['int4/g32']:.3g} → " in text
    assert text.endswith("\n\n- 1 tensor: spoilt.")


def test_a_checkpoint_without_matrices_has_a_page_too(tmp_path, fit):
    save_file({"bias": torch.ones(4), "layer.weight": torch.randn(6, 5)}, tmp_path / "model.safetensors")
    survey = rl.survey(tmp_path, "int4/g32", fit=fit, progress=False)
    table = model_cards.choices(survey, 136, 0.6)
    assert table.reason.tolist() == ["divides none of the matrices"]
    page = model_cards.card("small", survey, table, 136, 0.6)
    assert "0 matrices" in page and "Do not compress" in page and "nan" not in page and "Gaussian.**" not in page


def test_numbers_are_short():
    assert [model_cards._few(value) for value in (math.nan, 4.5612e-5, 135.2, 7241.7)] == [
        "–",
        "4.56e-05",
        "135",
        "7,242",
    ]


@pytest.mark.parametrize("path", ["card.txt", "nowhere/card.md"])
def test_a_card_goes_to_a_file_that_can_be(path, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.md"):
        model_cards.destination(tmp_path / path)


def test_a_failed_picture_leaves_the_old_page(survey, tmp_path):
    path = tmp_path / "card.md"
    path.write_text("old")

    class Broken:
        def savefig(self, _, format):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        model_cards.write(path, "new", Broken())
    assert path.read_text() == "old" and np.array_equal([file.name for file in tmp_path.iterdir()], ["card.md"])
