"""The loss of formats layer by layer against whole models, and what interrupts it."""

import re
import warnings

import pytest
import torch
from tiny_llama import CONFIG, TEXT, gguf_file, hub, trained

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import estimating, evaluating, layered, llama, opening, resumable
from rholaw.checkpoints import roundings as roundings_of

FORMATS = ["int8/g8", "int2/g8", "2:4+int4/g8"]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """(a folder of the hub with a tiny Llama, a text beside it)."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "text").write_text(TEXT)
    return hub(folder / "model", trained()[1]), str(folder / "text")


def evaluate(given, formats=FORMATS, **more):
    return rl.evaluate(*given[:1], formats, *given[1:], **{"count": 4, "length": 16, "progress": False} | more)


def logs(model, blocks):
    """The logarithm of each token's probability, (B, T, vocabulary), by the whole model."""
    with torch.no_grad():
        return model.logits(model._hidden(blocks[:, :-1])).double().log_softmax(-1)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [8192, 100, 7])
def test_it_is_what_whole_models_say(given, model, blocks, rows, monkeypatch):
    monkeypatch.setattr(evaluating, "SLICE", rows)
    table = evaluate(given).set_index("format")
    before, dense = model.losses(blocks), logs(model, blocks)
    for name in FORMATS:
        rounded, row = model.compressed(rl.parse(name)), table.loc[name]
        assert (row.rise, row.stderr) == pytest.approx(llama.increase(before, rounded.losses(blocks)), abs=1e-6)
        divergence = (dense.exp() * (dense - logs(rounded, blocks))).sum(-1).mean(1)
        assert row.kl == pytest.approx(float(divergence.mean()), rel=1e-4, abs=1e-7)
        assert row.kl_stderr == pytest.approx(float(divergence.std() / 2), rel=1e-3, abs=1e-7)
        assert row.loss == pytest.approx(float(before.mean())) and row.coverage == 1
        assert (row.gmse, row.bits) == (rl.gmse(name).value, rl.parse(name).bits)


def test_a_model_does_not_differ_from_itself(given):
    assert (evaluate(given, ["dense"])[["kl", "kl_stderr", "rise", "stderr"]] == 0).all(axis=None)


def test_a_model_that_knows_nothing_of_its_text_has_a_word(given, tmp_path):
    """Another rope, a delta of weights, slices put together wrongly: whatever it is, its own loss shows it."""
    blank = {place: torch.full(x.shape, float(x.dim() == 1)) for place, x in trained()[1].items()}
    assert "no better than chance" in evaluate((hub(tmp_path / "blank", blank), given[1]), "int8/g8").attrs["doubt"]
    with pytest.warns(UserWarning, match="nats a token is no better than chance among its 280 tokens: it is untrained"):
        assert "no better than chance" in evaluate(given, "int8/g8").attrs["doubt"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate((checkpoints.carried()["shakespeare-1m"], given[1]), "int8/g64")


def test_a_gguf_file_and_batches_of_any_size_say_the_same(given, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluating, "TOKENS", 1)
    other = evaluate((gguf_file(tmp_path / "tiny.gguf", trained()[1]), given[1]))
    assert other.kl.to_numpy() == pytest.approx(evaluate(given).kl.to_numpy(), rel=1e-3)


@pytest.mark.parametrize("inner", ["sint8/row", "sint3/row", "e2m1/g8:e4m3"])
def test_inputs_are_rounded_as_well_a_token_or_a_block_at_a_time(given, model, blocks, inner, monkeypatch):
    row = evaluate(given, ["int4/g8"], activations=inner).iloc[0]
    before, linear, store = model.losses(blocks), llama.F.linear, rl.parse(inner).quantize

    def rounded(x, weight, bias=None):
        return linear(torch.stack([store(part) for part in x]), weight, bias)

    monkeypatch.setattr(llama.F, "linear", rounded)
    after = model.compressed(rl.parse("int4/g8")).losses(blocks)
    assert (row.rise, row.stderr) == pytest.approx(llama.increase(before, after), abs=1e-5)
    assert row.activations == str(rl.parse(inner)) and row.loss == pytest.approx(float(before.mean()))


def test_a_law_is_fitted_to_it(given):
    assert rl.fit_sensitivity(evaluate(given, ["int2/g8", "int3/g8"])).kappa > 0


def test_what_cannot_be_evaluated_is_refused_before_any_work(given, tmp_path, monkeypatch):
    monkeypatch.setattr(layered.Llama, "layer", None)
    other = hub(tmp_path / "other", trained()[1], CONFIG | {"model_type": "unheard-of"})
    cases = {
        "int4/g32 would round 78% of the weights in its layers, at least 95% are needed": (given, ["int4/g32"], {}),
        "rows of 88, a multiple of 32 is needed": (given, ["int4", "int4/g32"], {}),
        "name at least one format": (given, [], {}),
        "'unheard-of'": ((other, given[1]), FORMATS, {}),
        "there is no file nowhere.txt": ((given[0], "nowhere.txt"), FORMATS, {}),
        "is the name of no corpus or file; write a text of your own to a file": (
            (given[0], "To be. " * 99),
            FORMATS,
            {},
        ),
        "device 'abacus' cannot be used": (given, FORMATS, {"device": "abacus"}),
        "right would be a scale for each token, as in sint8/row": (given, ["int4"], {"activations": "int8"}),
        "rows of 88, a multiple of 16 is needed": (given, ["int4/g8"], {"activations": "nvfp4"}),
        "must end in .parquet or .csv": (given, FORMATS, {"out": tmp_path / "out.xls"}),
    }
    for message, (where, formats, more) in cases.items():
        with pytest.raises(ValueError) as error:
            evaluate(where, formats, **more)
        assert message in str(error.value)
    assert evaluating.coverage(given[0], "int4, int4/g32") == {"int4": 1, "int4/g32": pytest.approx(0.7755, abs=1e-4)}


def test_weights_that_are_not_finite_are_named(given, tmp_path):
    weights = trained()[1]
    weights[1, "up"][3, 4] = torch.nan
    with pytest.raises(ValueError, match=r"model\.layers\.1\.mlp\.up_proj\.weight has 1 NaN and .* first at \[3, 4\]"):
        evaluate((hub(tmp_path / "broken", weights), given[1]))


def test_interrupted_it_goes_on_behind_the_last_layer_and_another_begins_anew(given, tmp_path, monkeypatch):
    out, layers, plain = tmp_path / "table.csv", [], layered.Llama.layer

    def until(layer):
        def step(self, index, read, inputs, kept):
            layers.append(index)
            if index == layer:
                raise KeyboardInterrupt
            return plain(self, index, read, inputs, kept)

        layers.clear()
        monkeypatch.setattr(layered.Llama, "layer", step)

    until(None)
    whole = evaluate(given, out=out)
    undisturbed = out.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"] and layers == [0] * 4 + [1] * 4
    out.unlink()
    until(1)
    with pytest.raises(KeyboardInterrupt):
        evaluate(given, out=out)
    partial = (tmp_path / "table.csv.partial").read_bytes()
    until(None)
    assert evaluate(given, out=out).equals(whole) and out.read_bytes() == undisturbed and layers == [1] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    for formats, content in ((FORMATS[:2], partial), (FORMATS, partial[:100]), (FORMATS, b"")):
        (tmp_path / "table.csv.partial").write_bytes(content)
        until(None)
        evaluate(given, formats, out=out)
        assert layers[0] == 0


def test_a_stage_keeps_what_it_was_given(tmp_path):
    state = {"": torch.randn(2, 3, 4).mT, "int4": torch.randn(2, 3, 4)}
    resumable.Stage(tmp_path / "x.csv", 1).keep(3, state)
    again = resumable.Stage(tmp_path / "x.csv", 1)
    assert again.done == 3 and all(torch.equal(again.state[name], state[name]) for name in state)
    assert (resumable.Stage(tmp_path / "x.csv", 2).done, resumable.Stage(None, 1).done) == (0, 0)


@pytest.mark.parametrize(("small", "more"), [(0, {}), (10**11, None), (0, {"progress": False})])
def test_how_long_it_takes_is_said_first_where_it_is_long(given, capsys, monkeypatch, small, more):
    monkeypatch.setattr(estimating, "SMALL", small)
    evaluate(given, **{"progress": True} | (more or {}))
    said = [line for line in re.split("[\r\n]", capsys.readouterr().err) if line.startswith("about")]
    assert len(said) == (more == {})
    for line in said:
        assert re.fullmatch(r"about \d+ seconds: 2 layers × \(1 \+ 3 formats\)", line)


def test_an_estimate_counts_all_that_is_done(given, monkeypatch):
    monkeypatch.setattr(estimating, "_seconds", lambda work: work().numel())  # of what is read; 512 a row used
    spoken = []
    monkeypatch.setattr(estimating, "_spoken", lambda seconds: spoken.append(seconds) or "")
    monkeypatch.setattr(estimating, "SMALL", 0)
    with opening.open(given[0]) as checkpoint:
        model = evaluating.described(checkpoint, torch.device("cpu"))
        roundings = [roundings_of.Rounding(None), roundings_of.Rounding(rl.parse("int4/g8"))]
        estimating.estimate(model, roundings, 1, torch.zeros(4, 16, 32))
    weights = 4 * 32 * 32 + 3 * 32 * 88  # of one layer
    assert spoken == [pytest.approx(2 * weights + 2 * (weights + 280 * 32) * 64 / 32)]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 seconds"), (89, "89 seconds"), (700, "12 minutes"), (9000, "2.5 hours")]
)
def test_seconds_are_said_as_people_say_them(seconds, words):
    assert estimating._spoken(seconds) == f"about {words}"
