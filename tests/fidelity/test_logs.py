"""Logs of llama-perplexity are read in all their layouts; what they do not say stays unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perplexity_logs import EARLY, divergence, loaded, perplexity

from rholaw.fidelity import logs


def read(tmp_path, text, encoding="utf-8", name="my.log"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return logs.read(path)


def test_a_divergence_is_read_with_its_model(tmp_path):
    (run,) = read(tmp_path, loaded("q4_k_m") + divergence("0.031273"))
    assert (run.kl, run.ratio, run.ppl, run.base) == (
        (0.031273, 0.00024),
        (0.027771, 0.00058),
        (6.407115, 0.039119),
        6.231634,
    )
    assert run.types == (("q4_k", 193), ("q6_k", 33)) and run.bits == 4.89 and run.n_params == pytest.approx(8.03e9)
    assert (run.context, run.chunks, run.tokens) == (512, 564, 564 * 255)
    assert run.name == "q4_k_m" and not run.plain and run.place == "my.log, line 1"


@pytest.mark.parametrize("layout", ["now", "2023", "ik"])
def test_a_perplexity_is_read_in_all_layouts(tmp_path, layout):
    info = "llm_load_print_meta" if layout != "now" else "print_info"
    head = loaded("f16", info=info, context=2048 if layout == "now" else 512)  # four sequences beside one another
    (run,) = read(tmp_path, head + perplexity(6.2332, 0.03783, layout=layout))
    assert run.ppl == (6.2332, 0.03783) and run.kl is None and run.plain
    assert (run.context, run.chunks, run.bits) == (512, 564, 16.0)


def test_the_layout_of_early_2024(tmp_path):
    (run,) = read(
        tmp_path, loaded("q3_k_s", info="llm_load_print_meta") + divergence("0.445132", "0.001835", layout=EARLY)
    )
    assert run.kl == (0.445132, 0.001835) and run.chunks == 564 and run.ratio is None


def test_runs_follow_one_another(tmp_path):
    runs = read(
        tmp_path,
        loaded("f16") + perplexity(6.2332) + loaded("q4_k_m") + divergence("0.03") + loaded("q2_k") + loaded("q8_0")
        + divergence("0.0013"),
    )  # fmt: skip
    assert [run.name for run in runs] == ["f16", "q4_k_m", "q2_k", "q8_0"]
    assert [bool(run.ppl or run.kl) for run in runs] == [True, True, False, True]
    assert runs[0].kl is None and runs[1].kl[0] == 0.03


def test_a_log_that_kept_results_alone_is_of_the_type_in_its_name(tmp_path):
    (run,) = read(tmp_path, "Final estimate: PPL = 6.4071 +/- 0.03912\n", name="llama-Q4_K_M.log")
    assert run.name == "q4_k_m" and run.tokens is None
    runs = read(tmp_path, "Mean    KLD:   0.03 ±   0.001\nMean    KLD:   0.2 ±   0.001\n")
    assert [(run.name, run.kl[0]) for run in runs] == [("", 0.03), ("", 0.2)]


def test_the_command_names_the_model_where_the_loader_is_silent(tmp_path):
    text = "+ ./llama-perplexity -f wiki.test.raw -m models/m-Q4_0.gguf -ngl 99\n" + perplexity(5.9)
    text += "+ ./llama-perplexity --model=models/m-F16.gguf\n" + perplexity(5.6)
    assert [run.name for run in read(tmp_path, text)] == ["q4_0", "f16"]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "hello", "llama_context: n_ctx = 512", b"\xff\xfe\xff", b"GGUF" + bytes(200)]
)
def test_what_is_no_log_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"my\.log is no log of llama-perplexity"):
        read(tmp_path, text)


def test_numbers_that_are_none_are_kept_as_such(tmp_path):
    (run,) = read(tmp_path, loaded("q2_k") + perplexity("nan", "nan"))
    assert run.ppl[0] != run.ppl[0]


WHOLE = loaded("f16") + perplexity(6.2332) + loaded("q4_k_m") + divergence("0.031273")


def plain(runs):
    return [(run.name, run.ppl, run.kl, run.ratio, run.chunks, run.types, run.bits) for run in runs]


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: (
            text.replace("Mean", "\x1b[32mMean").replace("Final", "\x1b[1;34mFinal").replace("\n", "\x1b[0m\n")
        ),
        lambda text: "\n".join("0.13.291.205 I " + line if " = " in line else line for line in text.split("\n")),
        lambda text: text.replace("±", "Â±"),
        lambda text: text.replace("[2]5.0123,", "[2]5.0123,ggml_cuda_init: found 1 CUDA devices\n"),
        lambda text: text.replace("\nFinal estimate", " Final estimate"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("cp1252", errors="replace"),
        lambda text: text.replace("6.2332 +/- 0.0391", "6,2332 +/- 0,0391"),
    ],
    ids=["CRLF", "colours", "timestamps", "mojibake", "interleaved", "one line", "UTF-16", "BOM", "cp1252", "comma"],
)
def test_the_same_log_from_elsewhere(tmp_path, disguise):
    assert plain(read(tmp_path, disguise(WHOLE))) == plain(read(tmp_path, WHOLE))


@given(cut=st.integers(0, len(WHOLE)), noise=st.text(max_size=30), at=st.integers(0, len(WHOLE)))
def test_a_log_that_was_cut_or_disturbed_gives_no_other_numbers(tmp_path_factory, cut, noise, at):
    """A result is there in full or not at all: what is read of a part is read of the whole."""
    path = tmp_path_factory.mktemp("logs") / "my.log"
    lines = WHOLE[:cut].splitlines(keepends=True)
    path.write_text("".join(lines[:-1] if lines and not lines[-1].endswith("\n") else lines), encoding="utf-8")
    try:
        runs = logs.read(path)
    except ValueError:
        runs = []
    assert {run.ppl for run in runs} <= {None, (6.2332, 0.0391), (6.407115, 0.039119)}
    assert {run.kl for run in runs} <= {None, (0.031273, 0.00024)}
    path.write_text(WHOLE[:at] + noise + WHOLE[at:], encoding="utf-8", errors="ignore")
    assert logs.read(path)  # anything but an error of Python


@given(st.binary(max_size=300))
def test_any_bytes_are_a_log_or_refused(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("logs") / "my.log"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="no log of llama-perplexity"):
        logs.read(path)
