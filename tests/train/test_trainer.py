"""Training: the optimiser, one program for many runs, going on after a stop, and what a record says."""

import math
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from full_disk import small_files

from rholaw.train import trainer
from rholaw.train.config import Config

TINY = Config(
    layers=1,
    heads=1,
    width=8,
    hidden=24,
    context=8,
    vocabulary=300,
    corpus="invented",
    tokens=640,
    batch_tokens=32,
    lr=2e-2,
)


@pytest.fixture(scope="module")
def corpus():
    """A periodic text, so that there is something to learn in twenty steps."""
    ids = np.tile(np.arange(40, dtype=np.uint16), 400)
    return SimpleNamespace(
        train=ids[:12000], held_out=ids[12000:], bytes_per_token=2.0, sha256="0" * 64, tokenizer_sha256="1" * 64
    )


@pytest.fixture(autouse=True)
def short_evaluation(monkeypatch):
    """Blocks of eight tokens are many: to evaluate on all would take longer than to train."""
    monkeypatch.setattr(trainer, "HELD_OUT_TOKENS", 512)


def replaced(corpus, **changes):
    return SimpleNamespace(**vars(corpus) | changes)


def train(configs, corpus, **options):
    return trainer.train(configs, progress=False, corpus=corpus, **options)


@pytest.mark.slow
def test_the_loss_falls_and_the_record_says_all(corpus):
    config = replace(TINY, weights="int4", tokens=6400)
    (record,) = train([config], corpus)
    assert record["status"] == "finished" and record["loss"] < 0.7 * record["curve"][0][1]
    assert record["id"] == config.id and record["config"]["weights"] == "int4"
    assert record["n_tokens"] == 6400 and record["curve"][-1][0] == 6400
    assert record["n_params"] == 4 * 64 + 3 * 8 * 24 + 3 * 8
    assert record["bits_per_byte"] == pytest.approx(record["loss"] / math.log(2) / 2)
    assert 0 < record["loss_stderr"] < record["loss"]
    assert record["gmse"] == pytest.approx(0.0115429, rel=1e-5)
    assert 0.5 < record["realised"][-1][1] / record["gmse"] < 2  # weights of so small a layer are only nearly Gaussian
    assert record["tokens_per_s"] > 0 and 0 < record["mfu"] < 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch, where its graph breaks
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0:RuntimeWarning")  # of torch, there alone
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({}, marks=pytest.mark.full),
        pytest.param({"weights": "int4"}, marks=pytest.mark.full),
        {"weights": "2:4+int4", "activations": "nvfp4"},
    ],
)
def test_compiling_changes_nothing(kind, corpus, monkeypatch):
    config = replace(TINY, tokens=160, width=16, hidden=48, **kind)
    (plain,) = train([config], corpus)
    compiled = []
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or real(model, backend="eager"))
    (record,) = train([config], corpus, compile=True)
    assert compiled and record["loss"] == pytest.approx(plain["loss"], rel=1e-5)


def test_a_run_is_the_same_alone_as_in_company(corpus):
    own = replace(TINY, weights="int2", seed=5)
    company = [
        replace(TINY, weights="s0.5", seed=1),
        replace(TINY, lr=0.1),
        own,
        replace(TINY, weights="int2/g8", seed=2),
    ]
    company = [replace(one, hidden=32, width=16) for one in company]
    together, (alone,) = train(company, corpus), train([company[2]], corpus)
    assert [r["id"] for r in together] == [c.id for c in company]
    assert together[2]["loss"] == pytest.approx(alone["loss"], abs=2e-5)
    assert len({round(r["loss"], 4) for r in together}) == 4


@pytest.mark.parametrize(
    "kind", [{"weights": "int3"}, {"weights": "s0.5", "schedule": "rigl:2"}, {"weights": "int2", "method": "noise"}]
)
def test_a_run_goes_on_where_it_stopped(corpus, tmp_path, kind):
    config, path = replace(TINY, **kind), tmp_path / "unit.pt"
    (whole,) = train([config], corpus)
    half = trainer.Program([config], corpus=corpus)
    for _ in range(9):
        half.advance()
    half.save(path)
    (resumed,) = train([config], corpus, checkpoint=path)
    assert resumed["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    for name, digit in (("curve", 1e-5), ("realised", 1e-4)):  # each record's numbers are rounded
        np.testing.assert_allclose(resumed[name], whole[name], rtol=digit, atol=2e-5)


def test_a_checkpoint_of_other_runs_or_a_broken_one_is_passed_over(corpus, tmp_path):
    path = tmp_path / "unit.pt"
    trainer.Program([replace(TINY, seed=1)], corpus=corpus).save(path)
    expected = train([TINY], corpus)[0]["loss"]
    assert train([TINY], corpus, checkpoint=path)[0]["loss"] == pytest.approx(expected, rel=1e-6)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match="is passed over and its runs begin anew"):
        assert train([TINY], corpus, checkpoint=path)[0]["loss"] == pytest.approx(expected, rel=1e-6)


def test_the_same_runs_on_another_text_begin_anew(corpus, tmp_path):
    path, program = tmp_path / "unit.pt", trainer.Program([TINY], corpus=corpus)
    program.advance()
    program.save(path)
    again, other = (trainer.Program([TINY], corpus=text) for text in (corpus, replaced(corpus, sha256="2" * 64)))
    for one in (again, other):
        one.restore(path)
    assert (again.step, other.step) == (1, 0)


def test_training_goes_on_when_its_state_cannot_be_saved(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0)
    with (
        small_files(1000),
        pytest.warns(RuntimeWarning, match=r"its state was not saved: .*File too large: .*unit\.pt"),
    ):
        (record,) = train([TINY], corpus, checkpoint=tmp_path / "unit.pt")
    assert record["status"] == "finished"
    assert not list(tmp_path.iterdir())


def test_a_run_that_diverges_is_recorded_and_disturbs_nobody(corpus):
    wild = replace(TINY, lr=1e30, seed=1, clip=1e30)
    bad, good = train([wild, TINY], corpus)
    assert bad["status"] == "diverged" and good["status"] == "finished"
    assert good["loss"] == pytest.approx(train([TINY], corpus)[0]["loss"], abs=2e-5)


def test_the_optimiser_is_torchs_adamw(corpus):
    program = trainer.Program([replace(TINY, clip=1e9, warmup=0.0)], corpus=corpus)
    weight = torch.nn.Parameter(program.flat[0].clone())
    decays = program.decay[0] > 0
    reference = [torch.nn.Parameter(weight[part].detach().clone()) for part in (decays, ~decays)]
    optimiser = torch.optim.AdamW(
        [{"params": reference[:1], "weight_decay": 0.1}, {"params": reference[1:], "weight_decay": 0.0}],
        betas=trainer.BETAS,
        eps=trainer.EPSILON,
    )
    for step in range(5):
        rate = trainer.factors(program.config, step)[0]
        program.advance()
        for group in optimiser.param_groups:
            group["lr"] = TINY.lr * rate
        for part, parameter in zip((decays, ~decays), reference, strict=True):
            parameter.grad = program.gradient[0][part].clone()
        optimiser.step()
        for part, parameter in zip((decays, ~decays), reference, strict=True):
            torch.testing.assert_close(program.flat[0][part], parameter.detach(), rtol=1e-4, atol=1e-6)
    assert 0 < decays.float().mean() < 1


def test_the_rate_warms_up_and_falls_by_a_cosine():
    config = replace(TINY, tokens=100 * TINY.batch_tokens, warmup=0.1)
    rates = [trainer.factors(config, step)[0] for step in range(100)]
    assert rates[0] == pytest.approx(0.1, abs=0.01) and max(rates) == rates[10] == 1
    assert rates[55] == pytest.approx(0.55, abs=0.01) and rates[-1] == pytest.approx(0.1, abs=0.01)


def test_each_member_is_clipped_on_its_own(corpus):
    program = trainer.Program([TINY, replace(TINY, clip=1e-3, seed=1)], corpus=corpus)
    program.advance()
    first = program.moments[0].norm(dim=1) / (1 - trainer.BETAS[0])
    assert first[1] == pytest.approx(1e-3, rel=1e-4) and 0.1 < first[0] <= 1.0001


@pytest.mark.parametrize("schedule", ["magnitude", "gmp", "rigl:3", "rigl:1"])
def test_the_mask_has_its_density_at_the_end(corpus, schedule):
    config = replace(TINY, weights="s0.75", schedule=schedule)
    program = trainer.Program([config, replace(config, seed=1)], corpus=corpus)
    program.run(progress=False)
    program.model.set_moment(config.steps, config.steps)
    for linear in program.model.linears:
        density = (linear.compressed() != 0).float().mean((1, 2))
        torch.testing.assert_close(density, torch.full((2,), 0.25))


def test_rigl_keeps_its_mask_between_exchanges(corpus):
    program = trainer.Program([replace(TINY, weights="s0.75", schedule="rigl:5")], corpus=corpus)
    linear, seen = program.model.linears[0], []
    for _ in range(20):
        program.advance()
        seen.append(linear.pruning.masks[0].clone())
    moved = [step for step in range(1, 20) if not torch.equal(seen[step], seen[step - 1])]
    assert moved == [5, 10]  # until 75 % of 20 steps, by less each time
    grown = seen[5] & ~seen[4]
    assert grown.any()


def test_layers_of_one_shape_start_from_masks_of_their_own(corpus):
    program = trainer.Program([replace(TINY, weights="s0.75", schedule="rigl:5")], corpus=corpus)
    first, second = program.model.linears[:2]
    assert not torch.equal(first.pruning.masks[0], second.pruning.masks[0])


def test_learned_steps_begin_at_the_formats_scale_and_move(corpus):
    config = replace(TINY, weights="int3", activations="int4", method="lsq")
    program = trainer.Program([config, replace(TINY, weights="int3")], corpus=corpus)
    linear = program.model.linears[0]
    begun = linear.weight_step.detach().clone()
    torch.testing.assert_close(
        linear.compressed()[0], linear.groups[0].weights.format.quantize(linear.weight[0].detach())
    )
    program.run(progress=False)
    assert (linear.weight_step[0] / begun[0] - 1).abs() > 1e-3
    assert linear.activation_step[0] > 0 and linear.activation_step.isfinite()[0]


def test_small_programs_run_on_one_thread(corpus, two_threads):
    (small,) = train([TINY], corpus)
    assert small["environment"]["threads"] == 1 and torch.get_num_threads() == 2


def test_evaluation_compresses_weights_once_and_finds_the_same(corpus, monkeypatch):
    kinds = (("int4", "trust"), ("s0.5", "trust"), ("int2", "lsq"), ("int4", "noise"), ("int2", "channel"))
    configs = [replace(TINY, weights=weights, method=method) for weights, method in kinds]
    programs = [trainer.Program([config], corpus=corpus) for config in configs]
    for program in programs:
        program.advance()
    once = [program.held_out() for program in programs]
    monkeypatch.setattr(trainer, "unchanged", lambda layers: nullcontext())
    assert all(torch.equal(one, program.held_out()) for one, program in zip(once, programs, strict=True))


@pytest.mark.parametrize("device", ["mps", "gpu", "cuda:9"])
def test_a_device_that_is_not_here_is_refused(corpus, device):
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used here"):
        trainer.train([TINY], device=device, corpus=corpus)
