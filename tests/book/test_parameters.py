"""The parameters of a chapter: checked by name and type before any work, also when papermill gives them."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_book import small_book

from rholaw import book

PARAMETERS = 'source: str = "normal"\nbits: int = 4\nD: float = 2e9\nquick: bool = False'


def namespace(injected: str = "") -> dict:
    """What a kernel holds when the set-up cell runs."""
    history = ["", PARAMETERS, *(["# Parameters\n" + injected] if injected else [])]
    names = {"In": history, "__annotations__": {}}
    for cell in history:
        exec(cell, names)
    return names


@pytest.mark.parametrize(
    ("injected", "expected"),
    [
        ("", {"source": "normal", "bits": 4, "D": 2e9, "quick": False}),
        ('source = "laplace"', {"source": "laplace"}),
        ("D = 3", {"D": 3.0}),
        ('D = "2e9"', {"D": 2e9}),
        ('bits = "3"', {"bits": 3}),
        ("bits = 3.0", {"bits": 3}),
        ("quick = True", {"quick": True}),
    ],
)
def test_values_arrive_with_their_declared_types(injected, expected):
    names = namespace(injected)
    book.parameters(names, source=("normal", "laplace"), bits=range(1, 9))
    assert {name: names[name] for name in expected} == expected
    assert [type(names[name]) for name in ("source", "bits", "D", "quick")] == [str, int, float, bool]


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ('soucre = "laplace"', "this chapter has no parameter 'soucre'; did you mean 'source'?"),
        ("zzz = 1", "this chapter has no parameter 'zzz'."),
        ("bits = True", "bits should be a whole number (int), not True (bool)"),
        ("bits = 2.5", "bits should be a whole number (int), not 2.5 (float)"),
        ('bits = "many"', "bits should be a whole number (int), not 'many' (str)"),
        ("bits = [4]", "bits should be a whole number (int), not [4] (list)"),
        ("bits = 9", "bits = 9 is not one of: 1, 2, 3, 4, 5, 6, 7, 8"),
        ('D = "nan"', "D should be a finite number (float), not 'nan' (str)"),
        ('D = ""', "D should be a finite number (float), not '' (str)"),
        ("D = None", "D should be a finite number (float), not None (NoneType)"),
        ("quick = 1", "quick should be True or False (bool), not 1 (int)"),
        ('quick = "yes"', "quick should be True or False (bool), not 'yes' (str)"),
        ("source = [0.5]", "source should be text (str), not [0.5] (list)"),
        ("source = True", "source should be text (str), not True (bool)"),
        ("source = 1e999", "source should be text (str), not inf (float)"),
        ("bits = 10**400", "bits = 1000"),
        ("D = 10**400", "D should be a finite number (float), not 1000"),
        ('source = "cauchy"', "source = 'cauchy' is not one of: 'normal', 'laplace'"),
    ],
)
def test_a_wrong_parameter_is_refused(injected, message):
    with pytest.raises(book.ParameterError) as caught:
        book.parameters(namespace(injected), source=("normal", "laplace"), bits=range(1, 9))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        (
            'soucre = "laplace"',
            "このページに、引数 'soucre' はありません。'source' ではありませんか。\n使える引数と、今の値：",
        ),
        ("zzz = 1", "このページに、引数 'zzz' はありません。\n"),
        ("bits = 2.5", "bits には整数を指定してください。2.5（float）は使えません。"),
        ("quick = 1", "quick には True か False を指定してください。1（int）は使えません。"),
        ('D = "nan"', "D には有限の数を指定してください。'nan'（str）は使えません。"),
        ("source = True", "source には文字列を指定してください。True（bool）は使えません。"),
        ('source = "fp9"', "source = 'fp9' は使えません。理由はプログラムの述べるとおりです（英語）：format 'fp9'"),
        ('source = "2:4"', "source = '2:4' は使えません。指定できるのは密な形式だけで、2:4 は当てはまりません。"),
        ("D = 3e9", "D = 3000000000.0 は使えません。0以上20億以下の数を指定してください。"),
        ("bits = 9", "bits = 9 は使えません。次のどれかを指定してください：3, 4"),
    ],
)
def test_a_page_in_japanese_refuses_in_japanese(injected, message):
    rules = {"source": book.only("密な形式", lambda f: f.sparsity is None), "D": book.between(0, 2e9), "bits": (3, 4)}
    names = namespace('source = "int4"') | {"In": ["", PARAMETERS, "# Parameters\n" + injected]}
    exec(injected, names)
    with pytest.raises(book.ParameterError) as caught:
        book.parameters(names, "ja", **rules)
    assert str(caught.value).startswith(message)


def test_limits_in_japanese_are_written_as_people_write_them():
    for rule, limits in {
        book.between(1e5, 1e14): "10万以上100兆以下",
        book.between(1e-6, 1, below=True): "0.000001以上1未満",
    }.items():
        with pytest.raises(book.ParameterError, match=f"{limits}の数を指定してください"):
            book.parameters(namespace("D = -1"), "ja", D=rule)


def test_many_whole_numbers_are_named_by_their_ends():
    with pytest.raises(book.ParameterError, match="bits = 5 is no whole number from 20 to 5000"):
        book.parameters(namespace("bits = 5"), bits=range(20, 5001))


@pytest.mark.parametrize(
    ("typed", "text"),
    [("0.5", "0.5"), ("1e-05", "0.00001"), ("16", "16"), ("16.0", "16"), ("1e3", "1000"), ("-1", "-1")],
)
def test_a_number_is_text_where_text_is_declared(typed, text):
    names = namespace(f"source = {typed}")  # as papermill gives it for -p source 0.5
    book.parameters(names)
    assert names["source"] == text


def test_what_is_said_of_long_values_is_short():
    wild = {"source": "x" * 10**6, "bits": "9" * 5000, "D": [[0] * 199] * 199}
    for name, value in wild.items():
        with pytest.raises(book.ParameterError, match=f"^{name} ") as caught:
            book.parameters(namespace(f"{name} = {value!r}"), source=[str(i) * 99 for i in range(99)], bits=range(9))
        assert len(str(caught.value)) <= 500


def test_rules_for_ranges_and_for_formats():
    book.parameters(namespace(), D=book.between(0, 2e9), bits=book.between(4, 5, below=True))
    with pytest.raises(book.ParameterError, match=r"^D = 2000000000.0: 2e\+09 must be at least 0 and at most 2e\+09"):
        book.parameters(namespace(), D=book.between(0, 2e9, below=True))
    sparse = book.only("pattern", lambda f: f.sparsity, before="2:4+")
    assert [str(f) for f in sparse("int4, int3,int4 ,")] == ["2:4+int4", "2:4+int3"]
    with pytest.raises(ValueError, match="int4 is no pattern"):
        book.only("pattern", lambda f: f.sparsity)("2:4, int4")
    with pytest.raises(ValueError, match="name at least one, as in"):
        sparse(" , ")


def test_an_unknown_parameter_is_answered_with_those_that_exist():
    with pytest.raises(book.ParameterError) as caught:
        book.parameters(namespace("bitz = 3"))
    for line in ("source: str = 'normal'", "bits: int = 4", "D: float = 2000000000.0", "quick: bool = False"):
        assert line in str(caught.value)


def test_a_rule_may_be_a_function():
    def even(bits):
        if bits % 2:
            raise ValueError("an even number, please")

    book.parameters(namespace(), bits=even)
    with pytest.raises(book.ParameterError, match="bits = 3: an even number, please"):
        book.parameters(namespace("bits = 3"), bits=even)


def test_a_rule_for_a_parameter_that_does_not_exist_is_refused():
    with pytest.raises(book.ParameterError, match="no parameter 'series'"):
        book.parameters(namespace(), series=("quest2025",))


def test_running_the_cell_again_after_other_cells_changes_nothing():
    names = namespace('D = "2e9"')
    book.parameters(names)
    names["In"] += ["%matplotlib inline", "# Parameters\nx: int = 3\n%time x", "loss: dict = {}"]
    names["__annotations__"]["loss"] = dict
    book.parameters(names)
    assert names["D"] == 2e9


def checked_chapter() -> list:
    return [
        new_markdown_cell("# Title\n\nThe question?"),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell("from rholaw import book\n\nbook.parameters(globals())"),
        new_code_cell("D / 2"),
    ]


def papermill(source: Path, target: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "papermill", str(source), str(target), "--no-progress-bar", *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.full  # .ci/run does it every time
def test_papermill_with_an_unknown_parameter_fails_before_any_work(tmp_path):
    source = small_book(tmp_path / "b", index=checked_chapter()) / "chapters" / "index.ipynb"
    done = papermill(source, tmp_path / "out.ipynb", "-p", "d", "3")
    assert done.returncode != 0
    assert done.stderr.rstrip().splitlines()[-1].strip() == "quick: bool = False"
    assert "ParameterError: this chapter has no parameter 'd'" in done.stderr
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].execution_count is None


@pytest.mark.full
def test_papermill_passes_text_from_yaml_as_a_number(tmp_path):
    source = small_book(tmp_path / "b", index=checked_chapter()) / "chapters" / "index.ipynb"
    done = papermill(source, tmp_path / "out.ipynb", "-y", "D: 4e9")
    assert done.returncode == 0, done.stderr
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs[0].data["text/plain"] == "2000000000.0"
