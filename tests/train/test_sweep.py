"""A sweep is refused whole or trained whole: every run exactly once, whatever is killed."""

import itertools
import random
import re
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import fake_training
import pytest
from fake_training import forked, record, tiny, wait_until

from rholaw.train.config import llama
from rholaw.train.sweeps import file as sweepfile
from rholaw.train.sweeps import run as sweep
from rholaw.train.sweeps.store import Store

TEMPLATE = Path(__file__).parents[2] / "sweeps/template.toml"
HEAD = """
[defaults]
corpus = "shakespeare"
vocabulary = 512
context = 32
batch_tokens = 256
tokens = 1000
lr = 0.01
[sizes.small]
layers = 1
heads = 1
width = 8
[sizes.large]
layers = 1
heads = 2
width = 16
tokens = 2000
"""


@pytest.fixture
def write(tmp_path):
    """A sweep file with a head that gives all that a run needs but its size."""

    def written(text, head=HEAD):
        path = tmp_path / "sweep.toml"
        path.write_text(head + text, encoding="utf-8")
        return path

    return written


def refusal(path):
    with pytest.raises(ValueError, match="is refused, nothing was run") as error:
        sweep.read(path)
    return str(error.value)


# ---- the file


def test_every_sweep_file_that_is_shipped_can_be_run():
    for path in TEMPLATE.parent.glob("*.toml"):
        assert sweep.read(path)


def test_the_template_gives_the_runs_that_its_comments_promise():
    configs = sweep.read(TEMPLATE)
    assert len(configs) == 3 * 2 + (2 * 6 * 2 - 2) + 6
    assert {(config.width, config.hidden) for config in configs} == {(8, 24), (16, 48), (32, 96)}
    assert {config.tokens for config in configs if config.width == 16} == {2_000_000}
    assert {config.lr for config in configs if config.weights == "int1"} == {0.006}
    assert {config.lr for config in configs if config.weights == "2:4"} == {0.009}
    assert {config.lr for config in configs if config.weights == "s0.5"} == {0.01}
    assert {config.width for config in configs if "e8m0" in config.weights} == {32}


def test_the_template_shows_every_key():
    text = TEMPLATE.read_text(encoding="utf-8")
    assert [
        key for key in {*sweepfile.KEYS, *sweepfile.KEYS["runs"]} if not re.search(rf"\b{key}\b( =|\.|\])", text)
    ] == []


def test_lists_multiply_out_with_the_last_running_fastest(write):
    configs = sweep.read(write('[[runs]]\nsize = ["small", "large"]\nformat = ["dense", "int4"]\nseed = [1, 0]'))
    found = [(config.width, config.weights, config.seed) for config in configs]
    assert found == list(itertools.product([8, 16], ["dense", "int4"], [1, 0]))
    assert [config.tokens for config in configs] == [1000] * 4 + [2000] * 4
    assert configs[0].hidden == llama(8, 1, 1)["hidden"]


def test_a_block_overrides_its_size_and_a_format_its_block(write):
    blocks = '[[runs]]\nsize = "large"\ntokens = 512\nformat = {weights = "int4", activations = "int8", lr = 1.0}'
    (config,) = sweep.read(write(blocks + "\nmethod = 'ste'"))
    assert (config.tokens, config.weights, config.activations, config.lr) == (512, "int4", "int8", 1.0)


def test_a_list_in_defaults_counts_where_nothing_else_sets_the_field(write):
    head = HEAD.replace("lr = 0.01", "lr = 0.01\nseed = [0, 1]\ntokens = [500, 600]").replace("tokens = 1000\n", "")
    text = "[[runs]]\nsize = 'small'\nweights = ['dense', 'int4']\n[[runs]]\nsize = 'small'\nseed = 7\ntokens = 9"
    found = [(config.weights, config.seed, config.tokens) for config in sweep.read(write(text, head))]
    assert found == [*itertools.product(["dense", "int4"], [0, 1], [500, 600]), ("dense", 7, 9)]
    assert "(seed 0, tokens 600): the same run as" in refusal(write("[[runs]]\nsize = 'large'", head))


def test_all_that_is_wrong_is_said_at_once_with_its_line(write):
    path = write(
        "colour = 1\n"
        '[lr_factor]\nint9 = 1.0\nint4 = -1\n'
        '[[runs]]\nsizes = "small"\nseed = []\n'
        '[[runs]]\nsize = "small"\nformat = [{wights = "int4"}]\n'
    )  # fmt: skip
    said = refusal(path)
    assert len(said.splitlines()) == 1 + 6
    assert "[sizes.small]" not in said
    assert "line 13, [sizes.large]: colour: there is no such key; there are layers" in said
    assert "line 19, [lr_factor]: format 'int9'" in said
    assert "line 19, [lr_factor]: int4: -1 must be above 0 (times the learning rate)" in said
    assert "line 22, [[runs]] 1: sizes: there is no such key; did you mean size?" in said
    assert "line 22, [[runs]] 1: seed is an empty list" in said
    assert "line 25, [[runs]] 2, format: wights: there is no such key; did you mean weights?" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"there is no run; \[\[runs\]\] adds some"),
        ("[[runs]]\nsize = 'smal'", r"line 18, \[\[runs\]\] 1: smal: there is no such size; did you mean small\?"),
        ("[[runs]]\nseed = [0, 1]", r"\(seed 0\): it lacks layers, heads, width, hidden \(and 1 more like it\)"),
        ("[[runs]]\nsize = 'small'\nweights = 'int9'", "line 18.*weights: format 'int9': 'int9' is out of range"),
        ("[[runs]]\nsize = 'small'\nlr = 'high'", "lr must be a finite number, not 'high'"),
        ("[[runs]]\nsize = 'small'\nwidth = 'x'", "width must be a whole number, not 'x'"),
        ("[[runs]]\nsize = 'small'\nwidth = 8.0", "width must be a whole number, not 8.0"),
        ("[[runs]]\nsize = 'small'\nseed = [0, 1, 0]", r"\(seed 0\): the same run as \[\[runs\]\] 1 \(seed 0\)"),
        ("[[runs]]\nsize = 'small'\n[[runs]]\nsize = 'small'\nweights = 'dense'", r"2: the same run as \[\[runs\]\] 1"),
        ("[[runs]]\nsize = 'small'\n[[exclude]]\nsize = 'large'", r"\[\[exclude\]\] 1: there is no such run"),
        ("[[runs]]\nsize = 'small'\n[exclude]\nseed = 1", r"exclude is a list of tables: write \[\[exclude\]\]"),
        ("[[runs]]\nsize = 'small'\nformat = 3", "weights must be text, not 3"),
        ("[[runs]\n", "this is not TOML.*line 18"),
        (
            "[[runs]]\nsize = {}",
            r"line 18, \[\[runs\]\] 1: size must be the name of a size, or a list of names, not {}",
        ),
        ("[[runs]]\nsize = [['small']]", "size must be the name of a size"),
        ("[[runs]]\nsize = 'small'\nwidth = inf", "width must be a whole number, not inf"),
        ("[[runs]]\nsize = 'small'\nwidth = nan", "width must be a whole number, not nan"),
        ("[[runs]]\nsize = 'small'\nwidth = true", "width must be a whole number, not True"),
        ("[[runs]]\nsize = 'small'\nwidth = -8", "width -8 must be at least 1"),
        (f"[[runs]]\nsize = 'small'\nwidth = {'9' * 400}", r"width must be a .* number .*, not 99*\.\.\.99*"),
        (f"[[runs]]\nsize = 'small'\nlr = {'9' * 400}", "lr must be a finite number, not 99"),
        (f"[[runs]]\nsize = 'small'\nlr = {'9' * 5000}", "line 20 has more than 2000 characters"),
        (f"[[runs]]\nsize = {'[' * 900}", "brackets are nested too deeply"),
        ("[[runs]]\nsize = 'small'\nseed = 1\n[[exclude]]\nlr = [[], 2, 'x']", "there is no such run"),
        ("[[runs]]\nsize = 'small'\ncorpus = '" + "x" * 1900 + "'\nlr = -1", "lr -1 must be above 0"),
        (f"[[runs]]\nsize = 'small'\nseed = {[*range(300)]}\ntokens = {[*range(300)]}", "multiply out to 90,000 runs"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(write, text, says):
    with pytest.raises(ValueError, match=says) as error:
        sweep.read(write(text))
    assert max(map(len, str(error.value).splitlines())) < 500


@pytest.mark.parametrize("name", ["sizes", "defaults", "lr_factor"])
@pytest.mark.parametrize("value", ["3", "[]", "'x'", "[{}]", "[[1]]", "inf"])
def test_what_must_be_a_table_and_is_none_is_told(write, name, value):
    said = refusal(write("[[runs]]\nsize = '30M'\n", f"{name} = {value}\n"))
    assert f"[{name}]: must be a table of keys, not " in said


def test_an_array_of_sizes_is_told(write):
    assert "[sizes]: must be a table of keys, not [{'width': 8}]" in refusal(write("[[sizes]]\nwidth = 8\n", ""))


def test_a_file_of_windows_is_read_and_one_in_latin_1_is_told(write):
    path = write("[[runs]]\nsize = 'small'\n")
    plain = sweep.read(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert sweep.read(path) == plain
    path.write_bytes("# größe\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"sweep\.toml: the text is not UTF-8 in line 1: save it"):
        sweep.read(path)


def test_of_many_faults_the_first_are_told_and_how_many_more_there_are(write):
    said = refusal(write("".join(f"[[runs]]\ncolour{number} = 1\n" for number in range(200))))
    assert len(said.splitlines()) == 32 and "and 170 more" in said


def test_a_rate_that_is_a_whole_number_has_its_factor_and_is_the_same_run(write):
    head = HEAD.replace("lr = 0.01", "lr = 1\n") + "[lr_factor]\nint4 = 0.5\n"
    (config,) = sweep.read(write("[[runs]]\nsize = 'small'\nweights = 'int4'", head))
    assert config.lr == 0.5
    both = write("[[runs]]\nsize = 'small'\nclip = [1, 1.0]", head)
    assert "the same run as" in refusal(both)


def test_an_exclusion_takes_away_runs_that_could_not_be(write):
    text = "[[runs]]\nsize = ['small', 'large']\nweights = ['dense', 'nvfp4']\n"
    assert "rows that are a multiple of 16" in refusal(write(text))
    configs = sweep.read(write(text + "[[exclude]]\nsize = 'small'\nweights = ['nvfp4', 'int4']"))
    assert [(config.width, config.weights == "dense") for config in configs] == [(8, True), (16, True), (16, False)]


# ---- units


def test_units_share_a_shape_keep_the_order_and_are_even():
    configs = [tiny(seed=seed, tokens=tokens) for seed in range(10) for tokens in (1000, 2000)]
    groups = sweep.units(configs, 8)
    assert [len(unit) for unit in groups] == [5, 5, 5, 5]
    assert [config.seed for config in groups[0] + groups[1]] == list(range(10))
    for unit in groups:
        assert len({config.shape for config in unit}) == 1
    assert sweep.units(configs, 1) == [(config,) for group in groups for config in group]
    assert sweep.units([]) == []


# ---- work


SEEDS = [tiny(seed=seed) for seed in range(6)]


def statuses(folder):
    return {found["config"]["seed"]: found["status"] for found in Store(folder).records()}


def test_one_that_fails_spoils_nothing_for_its_neighbours_and_is_retried_when_asked(tmp_path):
    work = (sweep.units(SEEDS, 6), tmp_path)
    sweep.work(*work, fake_training.train_with_trouble, "cpu")
    expected = dict.fromkeys([0, 1, 2, 5], "finished") | {3: "failed", 4: "diverged"}
    assert statuses(tmp_path) == expected
    assert "ValueError: seed 3 is unlucky" in [found.get("error") for found in Store(tmp_path).records()]
    sweep.work(*work, fake_training.train, "cpu")  # nobody asked
    assert len(Store(tmp_path).records()) == 6
    sweep.work(*work, fake_training.train_with_trouble, "cpu", since=6)  # fails again, once
    assert len(Store(tmp_path).records()) == 7
    sweep.work(*work, fake_training.train, "cpu", since=7)
    assert statuses(tmp_path) == expected | {3: "finished"}
    assert sweep.count(SEEDS, Store(tmp_path)) == {"finished": 5, "diverged": 1}
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_full_disk_fails_no_run_and_keeps_what_was_saved(tmp_path):
    groups = sweep.units(SEEDS, 6)
    with pytest.raises(OSError, match="No space left on device"):
        sweep.work(groups, tmp_path, fake_training.train_on_a_full_disk, "cpu")
    assert not Store(tmp_path).records()
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    sweep.work(groups, tmp_path, fake_training.train, "cpu")
    assert set(statuses(tmp_path).values()) == {"finished"}
    assert (tmp_path / "log").read_text().count("\n") == 3  # the first step was not done again


def test_what_a_worker_left_that_was_killed_after_its_records_is_removed(tmp_path):
    store = Store(tmp_path)
    store.append(*map(record, SEEDS[:2]))
    store.checkpoint(config.id for config in SEEDS[:2]).write_bytes(b"state")
    sweep.work(sweep.units(SEEDS, 2), tmp_path, fake_training.train, "cpu")
    assert list((tmp_path / "checkpoints").iterdir()) == [] and len(store.records()) == len(SEEDS)


def test_only_the_missing_members_of_a_unit_are_trained(tmp_path):
    Store(tmp_path).append(*[record(config) for config in SEEDS[:4]])
    sweep.work(sweep.units(SEEDS, 6), tmp_path, fake_training.train, "cpu")
    assert (tmp_path / "log").read_text().splitlines()[0] == f"0 {SEEDS[4].id} {SEEDS[5].id}"


def test_no_unit_is_started_after_the_time_is_up(tmp_path):
    sweep.work(sweep.units(SEEDS, 2), tmp_path, fake_training.train_slowly, "cpu", minutes=0.1 / 60)
    assert sorted(statuses(tmp_path)) == [0, 1]


@pytest.mark.slow
def test_killed_at_random_ten_times_every_run_is_there_exactly_once(tmp_path):
    """Two workers at a time; no step of training is done again but those that a kill met."""
    groups = sweep.units([tiny(seed=seed, width=width) for width in (8, 16) for seed in range(120)], 3)
    arguments, chance = (groups, tmp_path, fake_training.train, "cpu"), random.Random(5)
    for _ in range(10):  # in all less time than two workers need: 80 units of three steps of 5 ms
        with ExitStack() as stack:
            processes = [stack.enter_context(forked(sweep.work, *arguments)) for _ in range(2)]
            time.sleep(chance.uniform(0.002, 0.05))
            assert [process.exitcode for process in processes] == [None, None]
    assert len(Store(tmp_path).records()) < 240
    sweep.work(*arguments)
    found = Counter(record["id"] for record in Store(tmp_path).records())
    assert found == Counter(config.id for unit in groups for config in unit)
    steps = Counter((tmp_path / "log").read_text().splitlines())
    assert set(steps) == {f"{step} {' '.join(config.id for config in unit)}" for unit in groups for step in range(3)}
    assert sum(steps.values()) - len(steps) <= 20


@pytest.mark.slow
def test_a_worker_takes_over_what_one_that_died_had_claimed(tmp_path):
    with forked(fake_training.hold, tmp_path, [SEEDS[0].id], tmp_path / "held") as other:
        wait_until((tmp_path / "held").exists)
        with forked(sweep.work, sweep.units(SEEDS, 1), tmp_path, fake_training.train_slowly, "cpu") as worker:
            wait_until((tmp_path / "log").exists)  # it has passed the unit that the other holds
            other.kill()
            worker.join()
    assert [found["config"]["seed"] for found in Store(tmp_path).records()] == [1, 2, 3, 4, 5, 0]


def test_two_workers_never_train_the_same(tmp_path):
    groups = sweep.units([tiny(seed=seed) for seed in range(40)], 2)
    with ExitStack() as stack:
        for process in [
            stack.enter_context(forked(sweep.work, groups, tmp_path, fake_training.train, "cpu")) for _ in "ab"
        ]:
            process.join()
    assert set(Counter((tmp_path / "log").read_text().splitlines()).values()) == {1}


def test_two_sweeps_that_overlap_never_train_the_same(tmp_path):
    configs = [tiny(seed=seed) for seed in range(30)]
    with ExitStack() as stack:
        for members in (2, 3):
            groups = sweep.units(configs, members)
            stack.enter_context(forked(sweep.work, groups, tmp_path, fake_training.train, "cpu"))
        wait_until(lambda: len(Store(tmp_path).records()) == 30)
    trained = [line.split()[1:] for line in (tmp_path / "log").read_text().splitlines() if line[0] == "0"]
    assert Counter(itertools.chain(*trained)) == Counter(config.id for config in configs)
