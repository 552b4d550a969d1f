"""The chapter on a model of the reader's own runs on a checkpoint from anywhere, and refuses before any work."""

import json
import os

import pytest
import torch
from IPython.display import Markdown
from perplexity_logs import divergence, loaded
from safetensors.torch import save_file
from tiny_llama import TEXT, hub, trained

import rholaw as rl
from rholaw import book
from rholaw.book import warm
from rholaw.book.workplace import ROOT
from rholaw.fidelity.mixtures import MIXES
from rholaw.fidelity.sensitivity import inferred

CHAPTER = ROOT / "chapters" / "16_your_model.ipynb"


def papermill(folder, **parameters):
    """(the exit status, what was said, the notebook written) of the chapter, run in ``folder``."""
    given = [word for name, value in {"quick": True, **parameters}.items() for word in ("-p", name, str(value))]
    out = folder / "out.ipynb"
    options = [str(CHAPTER), str(out), "--cwd", str(folder), "-k", "python3", "--no-progress-bar"]
    status = warm.papermill([*options, *given], {**os.environ, "TQDM_DISABLE": "1"}, folder / "said.txt")
    return status, (folder / "said.txt").read_text(), json.loads(out.read_text())


def shown(notebook):
    """All Markdown that the cells displayed."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    return "\n".join("".join(output.get("data", {}).get("text/markdown", "")) for output in outputs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as a kernel does
def test_a_log_of_two_types_gets_a_table_of_all_formats(tmp_path, executed):
    (tmp_path / "my.log").write_text(loaded("q4_k_m") + divergence("0.0313") + loaded("q3_k_s") + divergence("0.1"))
    parameters = {"log": "my.log", "checkpoint": str(model(tmp_path)), "formats": "int4/g32"}
    results = [result for _, result in executed(CHAPTER.stem, parameters, tmp_path)]
    page = "\n".join(result.data for result in results if isinstance(result, Markdown))
    assert f"Two measured types predict {len({*rl.catalogue(), *inferred(), *MIXES})} formats" in page
    assert "my.log, line 1: `q4_k_m` a mix" in page and "other types that the source measured" not in page
    assert "Nothing of this model was measured" not in page  # the page of the checkpoint has κ from the log


def model(folder):
    """The path of a checkpoint of one matrix."""
    save_file({"layers.0.mlp.weight": torch.randn(64, 128)}, folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.mark.full
def test_a_checkpoint_from_anywhere_gets_its_page(tmp_path):
    hub(tmp_path / "mine", trained()[1])
    (tmp_path / "my.txt").write_text(TEXT)
    status, said, notebook = papermill(
        tmp_path, checkpoint="mine", formats="int8/g8, int4/g32, 2:4+int4/g8", text="my.txt", card="my.md"
    )
    assert status == 0, said[-2000:]
    page = (tmp_path / "my.md").read_text(encoding="utf-8")
    assert page.startswith("## mine\n") and "](my.svg)" in page and "<svg" in (tmp_path / "my.svg").read_text()
    assert "14 matrices" in page and "Nothing of this model was measured" not in page
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    assert [row[1].strip() for row in rows] == ["`int8/g8`", "`int4/g32`", "`2:4+int4/g8`"]
    assert abs(float(rows[0][3].split("±")[0])) < 0.05  # a loss was measured, and int8 hardly changes it
    assert "±" not in rows[1][3]  # of a model that it leaves as it is in part, none was
    assert page.split("**Choice.**")[1].split("\n")[0] in shown(notebook)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("checkpoint", "nowhere/model", "there is no file or folder nowhere/model"),
        ("checkpoint", "https://huggingface.co/x/y", "is a URL: download it first"),
        ("formats", "int4, fp9", "'fp9'"),
        ("formats", " ", "name at least one"),
        ("log", "nowhere.log", "there is no file nowhere.log"),
        ("measured", "q9_k=0.1", "q9_k"),
        ("measured", "q4_k", "must be a format, = and the nats"),
        ("tolerance", 1000.0, "nats per token"),
        ("text", "nowhere.txt", "there is no file nowhere.txt"),
        ("card", "card.pdf", r"ends in \.md"),
        ("card", "nowhere/card.md", "in a folder that is there"),
        ("quick", "maybe", "True or False"),
    ],
)
def test_a_wrong_parameter_is_refused_before_any_work(name, value, message):
    cells = [cell["source"] for cell in json.loads(CHAPTER.read_text())["cells"] if cell["cell_type"] == "code"]
    namespace = {}
    exec("".join(cells[0]), namespace)
    namespace[name] = value
    with pytest.raises(book.ParameterError, match=f"{name}.*{message}"):
        exec("".join(cells[1]), namespace)
