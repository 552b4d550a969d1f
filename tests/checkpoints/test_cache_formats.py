"""Keys and values that are kept in a format, by either decoder, against whole models with a cache that rounds."""

import inspect

import pytest
import torch
from tiny_llama import CONFIG, TEXT, hub, trained

import rholaw as rl
from rholaw.checkpoints import llama, opening
from rholaw.checkpoints.layered import Llama
from rholaw.checkpoints.roundings import Rounding

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*queries stay as they are"
)  # beside a cache in FP8, as a test below asks

MEASURED = ["kl", "rise", "loss"]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """(a folder of the hub with a tiny Llama, a text beside it)."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "text").write_text(TEXT)
    config = CONFIG | {"hidden_size": 32, "intermediate_size": 88, "vocab_size": 280, "num_key_value_heads": 4}
    return hub(folder / "model", trained()[1], config), str(folder / "text")


def evaluate(given, cache, formats="dense, int4/g8", **more):
    return rl.evaluate(given[0], formats, given[1], count=4, length=16, progress=False, cache=cache, **more)


def by_transformers(monkeypatch):
    pytest.importorskip("transformers", "5")
    monkeypatch.setattr(llama, "described", lambda *_: (_ for _ in ()).throw(ValueError("no")))


def test_nothing_changes_where_keys_and_values_stay(given):
    plain = rl.evaluate(given[0], "dense, int4/g8", given[1], count=4, length=16, progress=False)
    for cache in (None, "dense"):
        assert evaluate(given, cache).equals(plain) and (plain.cache == "").all()


def test_the_coarser_the_more_it_loses(given):
    tables = [evaluate(given, cache, "dense") for cache in ("sint8/row", "sint4/row", "int2/g8")]
    losses = [table.kl[0] for table in tables]
    assert 0 < losses[0] < losses[1] < losses[2]
    assert tables[0].cache[0] == "sint8/row" and tables[0].loss[0] == tables[2].loss[0]


@pytest.mark.parametrize("cache", ["fp8_row", "sint4/row", "e2m1/g8:e4m3"])
def test_both_decoders_say_the_same(given, cache, monkeypatch):
    first = evaluate(given, cache)
    by_transformers(monkeypatch)
    assert evaluate(given, cache)[MEASURED].to_numpy() == pytest.approx(first[MEASURED].to_numpy(), abs=1e-5)


@pytest.mark.slow
def test_one_layer_by_hand(given):
    x = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
    with opening.open(given[0]) as checkpoint, torch.no_grad():
        model = Llama(checkpoint, llama.described(checkpoint), torch.device("cpu"))
        kept = Rounding(None, None, rl.parse("sint3/row:fp32")).kept(0)
        made = model.layer(0, llama.values, lambda _: None, kept)(x)
        weights = {part: llama.values(checkpoint[model.model.names[0, part]]) for part in
                   ("query", "key", "value", "out", "gate", "up", "down", "attention norm", "mlp norm")}  # fmt: skip

    def norm(x, part):
        return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * weights[part]

    def rounded(row):  # sint3: −3 … 3, the largest magnitude at the end
        scale = row.abs().max() / 3
        return (row / scale).round() * scale

    def turned(head, token):
        angle = token * 10_000.0 ** (-torch.arange(4) / 4)
        a, b = head[:4], head[4:]
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()])

    for text, expected in zip(x, made, strict=True):
        y, mixed = norm(text, "attention norm"), torch.zeros(5, 32)
        query, key, value = ((y @ weights[part].T).view(5, 4, 8) for part in ("query", "key", "value"))
        for head in range(4):
            keys = torch.stack([rounded(turned(key[token, head], token)) for token in range(5)])
            values = torch.stack([rounded(value[token, head]) for token in range(5)])
            for token in range(5):
                scores = keys[: token + 1] @ turned(query[token, head], token) / 8**0.5
                mixed[token, 8 * head : 8 * head + 8] = scores.softmax(0) @ values[: token + 1]
        after = text + mixed @ weights["out"].T
        y = norm(after, "mlp norm")
        after = after + (torch.nn.functional.silu(y @ weights["gate"].T) * (y @ weights["up"].T)) @ weights["down"].T
        torch.testing.assert_close(after, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("own", [True, False])
def test_what_cannot_be_kept_is_refused(given, own, monkeypatch):
    if not own:
        by_transformers(monkeypatch)
    cases = {
        "heads have 8 channels, a multiple of 32 is needed": "q8_0",
        "keys and values in int8 have one scale for all tokens": "int8",
    }
    for message, cache in cases.items():
        with pytest.raises(ValueError) as error:
            evaluate(given, cache)
        assert message in str(error.value)


@pytest.mark.parametrize(
    "family",
    ["mistral", "qwen3", "gemma2", "gemma3_text", "phi3", "gpt2", "gpt_neox", "opt", "bloom", "gpt_oss", "mixtral"],
)
def test_any_family_is_its_whole_model_with_a_cache_that_rounds(tmp_path, family):
    transformers = pytest.importorskip("transformers", "5")
    from tiny_families import written
    from tiny_llama import TOKENIZER

    folder, model = written(tmp_path / family, family)
    (tmp_path / "text").write_text(TEXT)
    row = evaluate((folder, str(tmp_path / "text")), "sint3/row", "dense").iloc[0]
    store = rl.parse("sint3/row").quantize

    class Rounded(transformers.DynamicCache):
        def update(self, key, value, *args, **more):
            both = (store(part.flatten(0, -2)).view(part.shape) for part in (key, value))
            return super().update(*both, *args, **more)

    blocks = llama.token_blocks(TOKENIZER, 280, TEXT, 4, 16)
    names = inspect.signature(model.forward).parameters
    name = "cache" if "cache" in names else "past_key_values"
    divergences = []
    for block in blocks[:, :-1].split(1):
        with torch.no_grad():
            own, other = (
                model(block, use_cache=True, **{name: cache}).logits.double().log_softmax(-1)
                for cache in (None, Rounded())
            )
        divergences.append((own.exp() * (own - other)).sum(-1).mean())
    assert row.kl == pytest.approx(float(torch.stack(divergences).mean()), rel=1e-3, abs=1e-7) and row.kl > 1e-6


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("deepseek_v3", "layer 0 keeps no keys and values of heads, but latents of both"),
        ("qwen3_next", "layer 0 keeps more than keys and values, which cannot be rounded"),
        ("mamba2", "layer 0 keeps more than keys and values, which cannot be rounded"),
    ],
)
def test_layers_that_keep_something_else_are_refused(tmp_path, family, message):
    pytest.importorskip("transformers", "5")
    from tiny_families import written

    folder, _ = written(tmp_path / family, family)
    (tmp_path / "text").write_text(TEXT)
    with pytest.raises(ValueError, match=message):
        evaluate((folder, str(tmp_path / "text")), "fp8_row", "dense")


def test_an_interrupted_evaluation_goes_on_for_the_same_cache_alone(given, tmp_path, monkeypatch):
    plain, layers = Llama.layer, []

    def step(self, index, *more):
        layers.append(index)
        if layers == [0, 0, 1]:
            raise KeyboardInterrupt
        return plain(self, index, *more)

    monkeypatch.setattr(Llama, "layer", step)
    for cache, expected in (("sint3/row", [1, 1]), ("sint4/row", [0, 0, 1, 1])):
        layers.clear()
        with pytest.raises(KeyboardInterrupt):
            evaluate(given, "sint3/row", "dense", out=tmp_path / "out.csv")
        layers[:] = [None]
        evaluate(given, cache, "dense", out=tmp_path / "out.csv")
        assert layers[1:] == expected
