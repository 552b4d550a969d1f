"""A page on a checkpoint: what it recommends follows from its numbers, and it refuses with reasons."""

import html
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw import checkpoints
from rholaw.book import checkpoint_card as model_cards
from rholaw.book import plain
from rholaw.checkpoints import summing
from rholaw.fidelity.population import prior_sensitivity
from rholaw.fidelity.sensitivity import fit_sensitivity
from rholaw.planning import names

KNOWN = pd.DataFrame({"gmse": [0.001, 0.01, 0.1], "rise": [0.02, 0.2, 2.0]})
FIT = fit_sensitivity(KNOWN)  # κ = 20 nats per unit of error
FORMATS = "int8/g32, int4/g32, int2/g32"


@pytest.fixture(scope="module")
def survey(tmp_path_factory, fit):
    generator = torch.Generator().manual_seed(0)
    tensors = {f"layer.{i}.attention.weight": torch.randn(64, 128, generator=generator) for i in range(3)}
    tensors["layer.0.mlp.weight"] = torch.randn(64, 128, generator=generator) ** 5
    tensors["embedding.weight"] = torch.randn(100, 128, generator=generator) ** 9
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_file(tensors, path)
    return rl.survey(path, FORMATS, fit=fit, progress=False)


def test_a_tolerance_is_a_rise_that_somebody_may_bear():
    assert model_cards.bearable(0.1) == 0.1
    for outside in (0, -1, 1000):
        with pytest.raises(ValueError, match="nats per token"):
            model_cards.bearable(outside)


@pytest.mark.slow
def test_what_rounding_costs_is_known_by_the_nearest_measurement(survey):
    errors = rl.totals(survey).error
    own = model_cards.sensitivity(
        survey, {"int4/g32": (30 * errors["int4/g32"], 1e-4), "int8/g32": (-1e-4, 1e-4)}, KNOWN
    )
    assert own.kappa == pytest.approx(30, rel=0.3) and own.status == "converged"
    assert model_cards.sensitivity(survey, {}, KNOWN).kappa == pytest.approx(20, rel=0.1)
    guess = model_cards.sensitivity(survey)
    assert guess.status == "prior" and guess.kappa == prior_sensitivity(1e5).kappa  # the least there is


def test_without_a_loss_the_law_chooses_by_the_error_in_these_weights(survey):
    error = rl.totals(survey).error
    table = model_cards.choices(survey, stored=200_000, tolerance=1.5 * 20 * error["int4/g32"], fit=FIT)
    assert table.predicted.to_numpy() == pytest.approx(FIT.rise(error)) and table.rise.isna().all()
    assert (table.low < table.predicted).all() and (table.predicted < table.high).all()
    assert table.acceptable.tolist() == [True, True, False] and table.reason["int2/g32"].startswith("breaks it")
    text = model_cards.recommendation(table, 200_000, 0.6, FIT)
    assert text.startswith("**`int4/g32`**") and "Nothing of this model was measured" not in text
    told = "the smallest format asked for that costs no more than 0.6 nats a token is"
    assert model_cards.answer("mine", table, 0.6) == f"For `mine`, {told} {names.format('int4/g32')}."
    assert "no format asked for is smaller and sure to cost no" in model_cards.answer("mine", table[2:], 0.6)
    assert f"A model trained in `int2/g32` would count as one with {table.loc['int2/g32', 'rho']:.0%}" in text


def test_what_would_break_the_model_has_no_number(survey):
    table = model_cards.choices(survey, 200_000, 0.5, fit_sensitivity(KNOWN.assign(rise=100 * KNOWN.rise)))
    assert table.reason["int2/g32"] == "breaks it: more than 1.5 nats per token"
    assert "| above 1.5 | breaks it" in model_cards.card("mine", survey, table, 200_000, 0.5, FIT)


def test_where_the_interval_straddles_the_tolerance_it_is_to_be_measured(survey):
    guess = model_cards.sensitivity(survey)
    best = model_cards.choices(survey, 200_000, 1.0, guess).predicted["int8/g32"]
    table = model_cards.choices(survey, 200_000, best, guess)
    assert table.reason["int8/g32"].endswith(": measure it") and not table.acceptable.any()
    text = model_cards.recommendation(table, 200_000, best, guess)
    assert text.startswith("**Measure `int8/g32` first.**") and "Two formats measured would narrow that" in text


def test_a_law_that_does_not_fit_is_said(survey):
    odd = replace(FIT, status="not proportional: the row at GMSE 0.1")
    said = model_cards.recommendation(model_cards.choices(survey, 200_000, 0.6, odd), 200_000, 0.6, odd)
    assert "The law does not describe this model well: not proportional: the row at GMSE 0.1." in said


def test_a_measured_loss_counts_with_its_error(survey):
    rises = {"int8/g32": (0.0, 0.01), "int4/g32": (0.05, 0.02), "int2/g32": (0.06, 0.03)}
    for tolerance, best in ((0.1, "int4/g32"), (0.15, "int2/g32"), (0.05, "int8/g32")):
        table = model_cards.choices(survey, 200_000, tolerance, FIT, rises)
        assert model_cards.recommendation(table, 200_000, tolerance, FIT).startswith(f"**`{best}`**")
    assert table.loc["int4/g32", "reason"] == "may cost 0.09 nats per token"


def test_what_saves_nothing_or_costs_too_much_is_not_recommended(survey):
    table = model_cards.choices(survey, 1000, 0.6, FIT)
    assert not table.acceptable.any() and "no less than" in table.reason.iloc[0]
    text = model_cards.recommendation(table, 1000, 0.6, FIT)
    assert text.startswith("**Do not compress it")


def test_weights_rounded_before_are_a_warning(survey):
    table = model_cards.choices(survey.assign(quantised=True), 200_000, 0.6, FIT)
    assert "rounded before" in model_cards.recommendation(table, 200_000, 0.6, FIT)
    assert "rounded before" not in model_cards.recommendation(table.assign(quantised=False), 200_000, 0.6, FIT)


def test_embeddings_are_not_among_the_matrices(survey):
    assert set(model_cards.compressed(survey).role) == {"attention", "mlp"}
    assert model_cards.kurtoses(survey).loc["max", "excess_kurtosis"] == pytest.approx(
        survey.set_index("name").excess_kurtosis["layer.0.mlp.weight"].iloc[0]
    )
    worst = model_cards.resisting(survey)
    assert set(worst.name) == {"layer.0.mlp.weight"} and (worst.ratio >= model_cards.DISTURBED).all()
    assert worst.ratio.is_monotonic_decreasing


def test_the_page_and_its_picture_are_written_whole(survey, tmp_path):
    table = model_cards.choices(survey, 200_000, 0.6, FIT, {"int8/g32": (0.001, 0.0005)})
    path = model_cards.destination(tmp_path / "card.md")
    open_before = model_cards.plt.get_fignums()
    model_cards.save(path, "mine", survey, table, 200_000, 0.6, FIT)
    assert model_cards.plt.get_fignums() == open_before
    assert {file.name for file in tmp_path.iterdir()} == {"card.md", "card.svg"}
    written = path.read_text(encoding="utf-8")
    assert written.startswith("## mine\n") and "](card.svg)" in written and len(written) < 7000
    rows = [line for line in written.splitlines() if line.startswith("| `")]
    assert len(rows) == 3 and "| 0.001 ± 0.001 |" in rows[0] and rows[1].count("|") == 9
    assert f"| {table.predicted['int4/g32']:.2g} [" in rows[1]
    assert "layer.0.mlp.weight" in written and "nan" not in written
    assert "<svg" in (tmp_path / "card.svg").read_text()


def test_what_is_told_of_a_survey_is_counted(survey):
    table = model_cards.choices(survey, 200_000, 0.6, FIT)
    noted = survey.assign(note=survey.note.where(survey.name != "layer.1.attention.weight", "spoilt"))
    text = model_cards.told(noted, table)
    assert text.startswith(
        "Of 4 matrices 1 has a ratio of 1.2 or more in any of the formats. A rotation before rounding lowers the"
    )
    part = survey[(survey.format == "int4/g32") & survey.role.isin(["attention", "mlp"])]
    lower = (part.rotated_error < part.error).mean()
    assert (
        f"{lower:.0%} of the matrices in INT4/32 without zero (over all: {plain(table.error['int4/g32'], 3)} → " in text
    )
    assert text.endswith("\n\n- 1 tensor: spoilt.")


def test_a_checkpoint_without_matrices_has_a_page_too(tmp_path, fit):
    save_file({"bias": torch.ones(4), "layer.weight": torch.randn(6, 5)}, tmp_path / "model.safetensors")
    survey = rl.survey(tmp_path, "int4/g32", fit=fit, progress=False)
    table = model_cards.choices(survey, 136, 0.6, FIT)
    assert table.reason.tolist() == ["was measured on none of the matrices"]
    page = model_cards.card("small", survey, table, 136, 0.6, FIT)
    assert "0 matrices" in page and "**No recommendation.**" in page and "nan" not in page and "Gaussian.**" not in page


NOTHING = {
    "a vector": {"a.weight": torch.ones(50)},
    "codes": {"a.weight": torch.ones(8, 8, dtype=torch.int32)},  # bitsandbytes#1946, in its kind
    "no number": {"a.weight": torch.full((4, 32), torch.nan)},
    "an embedding": {"embedding.weight": torch.ones(4, 32)},
    "complex numbers": {"a.weight": torch.ones(4, 32, dtype=torch.complex64)},
    "too large": {"a.weight": torch.full((4, 32), 1e200, dtype=torch.float64)},
    "nothing beside": {"a.weight": torch.empty(0, 32), "b.scale": torch.tensor(1.0)},
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_checkpoint_of_which_nothing_is_measured_has_a_page_without_advice(tmp_path, fit, name):
    save_file(NOTHING[name], tmp_path / "model.safetensors")
    survey = rl.survey(tmp_path, "nvfp4, 2:4+int4", fit=fit, progress=False)
    assert model_cards.draw(survey).texts[0].get_text() == "no matrix of it was measured"
    for part in (survey, survey[:0]):
        guess = model_cards.sensitivity(part)
        table = model_cards.choices(part, 1000, 0.1, guess)
        assert len(rl.totals(part)) == len(table) and not table.acceptable.any()
        model_cards.save(tmp_path / "a.md", "a", part, table, 1000, 0.1, guess)
        page = (tmp_path / "a.md").read_text()
        assert "**No recommendation.**" in page and "nan" not in page and "measured: ." not in page
        assert len(model_cards.resisting(part)) == 0 and model_cards.told(part, table).startswith(
            "None of its matrices was measured."
        )


@pytest.mark.parametrize("number", [0.0, 0.25])
def test_a_checkpoint_that_holds_one_number_throughout_has_a_page_without_advice(tmp_path, fit, number):
    """As a conversion that failed leaves it: every format holds it, and a loss of nothing would be foretold."""
    path = tmp_path / "model.safetensors"
    save_file({"layers.0.mlp.weight": torch.full((64, 128), number), "layers.1.mlp.weight": torch.zeros(64, 128)}, path)
    survey = rl.survey(path, FORMATS, fit=fit, progress=False)
    own = model_cards.sensitivity(survey)
    table = model_cards.choices(survey, 10**6, 0.1, own)
    assert not table.acceptable.any()
    told = "**No recommendation.** Each of its matrices holds one number throughout, as no trained model does."
    assert told in model_cards.card("mine", survey, table, 10**6, 0.1, own)


def test_a_model_with_a_weight_that_is_no_number_has_a_page_without_advice(tmp_path, fit):
    """Whatever passes through it is no number either, so that no loss can be foretold of the rest."""
    whole = {f"layers.{i}.mlp.weight": torch.randn(64, 128) for i in range(3)}
    whole["layers.1.mlp.weight"][3, 5] = torch.nan
    save_file(whole, tmp_path / "model.safetensors")
    survey = rl.survey(tmp_path, FORMATS, fit=fit, progress=False)
    own = model_cards.sensitivity(survey)
    table = model_cards.choices(survey, 10**6, 5.0, own)
    page = model_cards.card("mine", survey, table, 10**6, 5.0, own)
    assert not table.acceptable.any() and table.predicted.isna().all() and "would count as one" not in page
    told = "The model is broken: layers.1.mlp.weight has 1 NaN and 0 infinite values, the first at [3, 5]."
    assert summing.doubt(survey.assign(note="in other words")).startswith("The model is broken: layers.1.mlp.weight")
    assert summing.doubt(survey.assign(outcome="measured")) == ""  # whatever the note says
    assert f"**No recommendation.** {told}" in html.unescape(page)
    said = html.unescape(model_cards.answer("mine", table, 5.0))
    assert said == f"For `mine`, no format is recommended: {told[0].lower()}{told[1:]}"


def test_rises_that_say_nothing_leave_no_advice(survey):
    rises = {"int8/g32": (-0.01, 0.001)}
    given = (survey, 10**6, 5.0, FIT, rises)
    assert model_cards.choices(*given).acceptable["int8/g32"]
    table = model_cards.choices(*given, "It knows nothing")
    assert not table.acceptable.any() and table.predicted.isna().all()
    assert model_cards.recommendation(table, 10**6, 5.0, FIT).startswith("**No recommendation.** It knows nothing.")


def test_codes_that_cannot_be_read_are_not_counted_as_weights(tmp_path, fit):
    """HQQ: two weights in a byte, which nothing here reads."""
    codes = {"l.W_q": torch.ones(64, 64, dtype=torch.uint8), "l.scale": torch.ones(64, 1), "l.zero": torch.ones(64, 1)}
    save_file(codes, tmp_path / "model.safetensors")
    survey = rl.survey(tmp_path, FORMATS, fit=fit, progress=False)
    own = model_cards.sensitivity(survey)
    page = model_cards.card("mine", survey, model_cards.choices(survey, 9000, 0.1, own), 9000, 0.1, own)
    assert "0.0041 million numbers, some of which may be codes of several weights, 0.009 MB as stored" in page
    assert "million parameters" not in page and "no layout with scale, zero is known. " in page


def test_a_checkpoint_without_values_is_refused_before_any_work(tmp_path):
    for state in ({}, {"a.weight": torch.empty(0, 32)}):
        save_file(state, tmp_path / "model.safetensors")
        with pytest.raises(ValueError, match="holds no values: nothing can be measured"):
            checkpoints.size(tmp_path)
    save_file({}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no tensors: there is nothing to survey"):
        rl.survey(tmp_path, "nvfp4", progress=False)


def test_what_was_left_out_of_a_checkpoint_is_on_its_page(survey):
    survey = survey.copy()
    survey.attrs["remarks"] = ["left out: 'optimizer', the state of an optimizer"]
    page = model_cards.card("a", survey, model_cards.choices(survey, 10**6, 0.1, FIT), 10**6, 0.1, FIT)
    assert "**What else was there.** left out" in page and "the state of an optimizer" in page


def test_numbers_are_short():
    assert [model_cards._few(value) for value in (math.nan, 4.5612e-5, 135.2, 7241.7)] == [
        "–",
        "0.0000456",
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
            raise OSError(28, "disk full")

    with pytest.raises(OSError, match="disk full"):
        model_cards.write(path, "new", Broken())
    assert path.read_text() == "old" and np.array_equal([file.name for file in tmp_path.iterdir()], ["card.md"])
