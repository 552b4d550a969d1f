"""The page of a checkpoint that was quantised: of its weights, not of its codes and scales, or no recommendation."""

import numpy as np
import pytest
import torch
from quantised_files import LAYOUTS, STEM
from safetensors.torch import save_file

import rholaw as rl
from rholaw import checkpoints
from rholaw.book import checkpoint_card


def page(path, formats, fit=None, **tensors):
    """(survey, totals, choices, page) of a file of such tensors in one module."""
    save_file({f"{STEM}.{name}": value for name, value in tensors.items()}, path / "model.safetensors")
    survey, stored = rl.survey(path, formats, progress=False), checkpoints.size(path)
    fit = checkpoint_card.sensitivity(survey)
    choices = checkpoint_card.choices(survey, stored, 0.5, fit)
    return survey, rl.totals(survey), choices, checkpoint_card.card("mine", survey, choices, stored, 0.5, fit)


def test_the_error_of_a_gptq_matrix_is_that_of_its_weights_not_of_its_scales(tmp_path):
    """huggingface.js#1770, llmfit#1045: 18,000 weights were counted, with the error of the scales."""
    tensors, _, weights = LAYOUTS["GPTQ"](np.random.default_rng(0))
    survey, total, _, written = page(
        tmp_path, "int4, fp8_row", **{k.removeprefix(f"{STEM}."): v for k, v in tensors.items()}
    )
    x = torch.from_numpy(weights).float()
    for name in ("int4", "fp8_row"):
        error = float((rl.parse(name).quantize(x) - x).square().sum() / x.square().sum())
        assert total.error[name] == pytest.approx(error, rel=1e-4)
    assert set(total.parameters) == set(total.compressed) == {weights.size} and total.quantised.all()
    stored = 8 * sum(value.numel() * value.element_size() for value in tensors.values()) / weights.size
    assert survey.stored.tolist() == pytest.approx([stored] * 2) and (total.measured == 1).all()
    assert "**Already quantised:** 1 GPTQ int4/g32. Their errors" in written
    assert survey.note.str.contains("already GPTQ int4/g32: errors on its own grid are misleadingly small").all()


def test_codes_in_a_row_leave_no_recommendation_either(tmp_path):
    """SpQR's matrices are lists of words: a survey that measured nothing found all of it measured."""
    parts = {
        "dense_weights": torch.ones(4096, dtype=torch.int64),
        "row_offsets": torch.ones(65, dtype=torch.int32),
        "col_vals": torch.ones(100, dtype=torch.int32),
    }
    _, total, choices, written = page(tmp_path, "nvfp4", **parts)
    assert total.measured.tolist() == [0] and "**No recommendation.** None of the bytes" in written
    assert not choices.acceptable.any()


def test_codes_that_cannot_be_read_leave_no_recommendation_and_a_page_all_the_same(tmp_path):
    """bitsandbytes#1946: the chapter died in its picture."""
    codes = torch.ones(4096, 1, dtype=torch.uint8)
    state = {"weight.quant_state.bitsandbytes__nf4": torch.ones(81, dtype=torch.uint8)}
    parts = {"weight.absmax": torch.rand(128), "weight.quant_map": torch.rand(16)} | state
    survey, total, choices, written = page(tmp_path, "nvfp4", weight=codes, **parts)
    assert total.parameters.tolist() == [8192] and total.bits.iloc[0] == pytest.approx(
        8 * (4096 + 512 + 64 + 81) / 8192
    )
    assert total.measured.tolist() == [0] and total.compressed.tolist() == [0] and total.quantised.all()
    assert "**No recommendation.** None of the bytes of its matrices" in written and not choices.acceptable.any()
    figure = checkpoint_card.draw(survey)
    figure.savefig(tmp_path / "figure.svg")
    checkpoint_card.plt.close(figure)
    assert checkpoint_card.told(survey, choices) and not len(checkpoint_card.resisting(survey))


def test_what_no_format_divides_has_a_picture_too(tmp_path):
    survey, _, choices, written = page(tmp_path, "nvfp4, int4/g128", weight=torch.randn(64, 10))
    checkpoint_card.plt.close(checkpoint_card.draw(survey))
    assert not choices.acceptable.any() and (choices.doubt == "").all() and "nan" not in written


def test_where_most_bytes_are_codes_by_unknown_names_nothing_is_recommended(tmp_path):
    parts = {"first": torch.ones(64, 64, dtype=torch.int32), "second": torch.randn(64, 8)}
    _, total, choices, written = page(tmp_path, "fp8_row", **parts)
    assert total.measured.iloc[0] == pytest.approx(1 / 9) and not choices.acceptable.any()
    assert "**No recommendation.** Only 11% of the bytes of its matrices could be measured" in written
    _, total, choices, written = page(tmp_path, "fp8_row", first=parts["first"][:1], second=parts["second"])
    assert total.measured.iloc[0] > 0.5 and "No recommendation" not in written and (choices.doubt == "").all()
