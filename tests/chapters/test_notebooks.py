"""Every chapter keeps the conventions of the book; CONTRIBUTING.md says them in words."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
import yaml

from rholaw.book.execute import chapters

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(p for p in (ROOT / "chapters").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
EXPERIMENT = re.compile(r"index|\d\d_")  # the index and the numbered chapters; the others explain, and may do without
LIMITS = {"ja": "## ここでは分からないこと"}  # in a folder's language
DRAWS = re.compile(r"\bsubplots\(|\bplt\.(figure|plot|show)\(")
EXERCISE = re.compile(r"(?m)^\*\*(Exercise|練習問題) \d\.\*\* ")
LINES = 20
FORGOTTEN = re.compile(r"(?<![\\\w^}])\{[A-Za-z_]\w*[^{}\\]*\}(?!`)")  # {value} in words; no \\command{…}, no {role}`…`


def tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def form_problems(notebook) -> list[str]:
    """Outputs, counts, the format's version and the ids of cells."""
    problems = [f"cell {cell.id} has outputs: clear them" for cell in notebook.cells if cell.get("outputs")]
    problems += [f"cell {cell.id} has a count: clear it" for cell in notebook.cells if cell.get("execution_count")]
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        problems.append(f"nbformat {notebook.nbformat}.{notebook.nbformat_minor}, not 4.5")
    ids = [cell.get("id") for cell in notebook.cells]
    if None in ids or len(set(ids)) < len(ids):
        problems.append("cells without an id of their own")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        problems.append("the kernel is not python3")
    return problems


def parameter_problems(notebook) -> list[str]:
    """One cell tagged `parameters`, one typed and commented literal a line, checked by the cell that follows."""
    cells = tagged(notebook, "parameters")
    if len(cells) != 1:
        return [f"{len(cells)} cells tagged `parameters`, not one"]
    source = cells[0].source
    problems, kinds, lines = [], {}, source.splitlines()
    for node in ast.parse(source).body:
        line = lines[node.lineno - 1]
        if not isinstance(node, ast.AnnAssign) or node.value is None:
            problems.append(f"`{line}`: not `name: type = value  # meaning`")
            continue
        kinds[node.target.id] = ast.unparse(node.annotation)
        value = ast.literal_eval(node.value)
        if kinds[node.target.id] not in ("bool", "int", "float", "str"):
            problems.append(f"`{line}`: the type is not bool, int, float or str")
        elif type(value).__name__ != kinds[node.target.id]:
            problems.append(f"`{line}`: the value is not of that type")
        if not re.search(r"\s# \S", line[node.end_col_offset :]) or node.lineno != node.end_lineno:
            problems.append(f"`{line}`: no comment on its line")
    if kinds.get("quick") != "bool":
        problems.append("no `quick: bool`")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    following = code[code.index(cells[0]) + 1 :][:1]
    if not (following and re.search(r"\bbook\.parameters\(\s*globals\(\)", following[0].source)):
        problems.append("the code cell after the parameters does not call book.parameters(globals(), …)")
    return problems


def cell_problems(notebook) -> list[str]:
    """Short cells that call and do not define, whose figures are described."""
    problems = []
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        tags, source = cell.metadata.get("tags", ()), re.sub(r"(?m)^(\s*)[%!]", r"\1#", cell.source)
        if len(source.splitlines()) > LINES:
            problems.append(f"cell {cell.id} has more than {LINES} lines")
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        if "lesson" not in tags and any(isinstance(node, definitions) for node in ast.walk(ast.parse(source))):
            problems.append(f"cell {cell.id} defines a function or class: move it to lib/, or tag the cell `lesson`")
        mystnb = cell.metadata.get("mystnb", {})
        figure, alt = mystnb.get("figure", {}), mystnb.get("image", {}).get("alt")
        if ({"figure", "image"} & set(mystnb) or DRAWS.search(source)) and not (
            figure.get("caption") and re.fullmatch(r"fig-[\w-]+", figure.get("name", "")) and alt
        ):
            problems.append(f"cell {cell.id}: mystnb.figure.caption, .name (fig-…), mystnb.image.alt belong together")
        strings = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)]
        for part in (part for node in strings for part in node.values if isinstance(part, ast.Constant)):
            if shown := FORGOTTEN.search(part.value):
                problems.append(f"cell {cell.id}: {shown.group()} is printed as it stands: an f is missing")
        if re.search(r"\bsuptitle\(|\bplt\.title\(", source):
            problems.append(f"cell {cell.id}: the caption says it; no title inside a figure")
    return problems


def exercise_problems(notebook) -> list[str]:
    """An exercise is asked in the Markdown before its cell, which asserts the answer and tells it."""
    problems = []
    for before, cell in pairwise(notebook.cells):
        if "exercise" in cell.metadata.get("tags", ()):
            if not (before.cell_type == "markdown" and EXERCISE.search(before.source)):
                problems.append(f"cell {cell.id}: the Markdown before it does not ask: {EXERCISE.pattern}")
            body = ast.parse(cell.source).body
            if not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source))):
                problems.append(f"cell {cell.id}: nothing asserts the answer to its exercise")
            if not ast.unparse(body[-1]).startswith("Markdown("):
                problems.append(f"cell {cell.id}: it does not end with Markdown(…), the answer to its exercise")
    return problems


def structure_problems(notebook, name: str, limits: str = "## What this does not show") -> list[str]:
    """A title first; in the index and the numbered chapters an answer, in the latter its limits as well."""
    problems = []
    cells = notebook.cells
    if not (cells and cells[0].cell_type == "markdown" and re.match(r"# \S", cells[0].source)):
        problems.append("the first cell is not Markdown that begins with the title")
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    if len(re.findall(r"(?m)^# ", re.sub(r"(?ms)^```.*?^```", "", text))) != 1:
        problems.append("not exactly one heading of the first level")
    answers = len(tagged(notebook, "answer"))
    if answers > 1 or (answers == 0 and EXPERIMENT.match(name)):
        problems.append(f"{answers} cells tagged `answer`, not one")
    if re.match(r"\d\d_", name):
        for needed in (limits, "papermill "):
            if needed not in text:
                problems.append(f"no `{needed.strip()}` in its prose")
    return problems


@pytest.mark.parametrize("path", CHAPTERS, ids=[str(p.relative_to(ROOT / "chapters")) for p in CHAPTERS])
def test_a_chapter_keeps_the_conventions(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    problems = form_problems(notebook) + parameter_problems(notebook) + cell_problems(notebook)
    problems += exercise_problems(notebook)
    limits = [LIMITS[path.parent.name]] if path.parent.name in LIMITS else []
    assert problems + structure_problems(notebook, path.stem, *limits) == []


def test_every_chapter_is_in_the_toc():
    written = {path for path in (ROOT / "chapters").rglob("*.md") if ".ipynb_checkpoints" not in path.parts}
    assert set(chapters(ROOT)) == written | set(CHAPTERS)


def test_chapters_have_the_numbers_of_their_files():
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    names = [chapter["file"] for part in parts if part.get("numbered") for chapter in part["chapters"]]
    assert [int(name[:2]) for name in names] == [*range(1, len(names) + 1)]


def test_figure_names_are_unique_in_the_book():
    cells = [cell for path in CHAPTERS for cell in nbformat.read(path, 4).cells]
    names = [cell.metadata["mystnb"]["figure"]["name"] for cell in cells if "figure" in cell.metadata.get("mystnb", {})]
    assert len(names) == len(set(names))


GOOD = "bits: int = 4  # bits per weight\nquick: bool = False  # smaller experiments"


def chapter(parameters=GOOD, setup="book.parameters(globals())", extra=(), **changes):
    """A chapter that keeps every convention, but for what is given."""
    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    cells = [
        text(changes.get("title", "# Numbers\n\nWhich?")),
        code(parameters, metadata={"tags": ["parameters"]}),
        code(setup),
        *([text(changes["asks"])] if "asks" in changes else []),
        *(code(source, metadata=metadata) for source, metadata in extra),
        text(changes.get("end", "## What this does not show\n\n```bash\n# again\npapermill x\n```")),
        code("answer", metadata={"tags": changes.get("tags", ["answer"])}),
    ]
    kernel = {"kernelspec": {"name": changes.get("kernel", "python3"), "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    notebook.nbformat_minor = changes.get("minor", 5)
    return notebook


def all_problems(notebook) -> list[str]:
    checks = (form_problems, parameter_problems, cell_problems, exercise_problems)
    return [p for check in checks for p in check(notebook)] + structure_problems(notebook, "01_numbers")


ASKS, EXERCISES = "## Exercises\n\n**Exercise 1.** How many?", {"tags": ["exercise"]}
CAPTION = {"figure": {"caption": "Loss.", "name": "fig-loss"}, "image": {"alt": "a line"}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"extra": [("assert x\nMarkdown('4')", EXERCISES)], "asks": ASKS},
        {"extra": [("def f(): ...", {"tags": ["lesson"]})]},
        {"extra": [("plt.show()", {"mystnb": CAPTION})]},
        {"extra": [("print(f'{x} of {len(y)} runs, ' r'$\\frac{a}{b}$')", {})]},
    ],
)
def test_a_good_chapter_passes(changes):
    assert all_problems(chapter(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"parameters": "quick = False  # smaller"}, "not `name: type = value"),
        ({"parameters": GOOD + "\nD: float = 2  # tokens"}, "the value is not of that type"),
        ({"parameters": GOOD + "\nD: list = [2]  # tokens"}, "the type is not bool"),
        ({"parameters": GOOD + "\nD: float = 2e9"}, "no comment on its line"),
        ({"parameters": "bits: int = 4  # bits"}, "no `quick: bool`"),
        ({"setup": "import numpy"}, "does not call book.parameters"),
        ({"tags": ["answer", "parameters"]}, "2 cells tagged `parameters`"),
        ({"tags": []}, "0 cells tagged `answer`"),
        ({"extra": [("1", {"tags": ["answer"]})]}, "2 cells tagged `answer`"),
        ({"extra": [("x = 1\n" * 21, {})]}, "more than 20 lines"),
        ({"extra": [("def f(): ...", {})]}, "defines a function"),
        ({"extra": [("fig, ax = plt.subplots()", {})]}, "belong together"),
        ({"extra": [("1", {"mystnb": {**CAPTION, "image": {}}})]}, "belong together"),
        ({"extra": [("plt.title('x')", {})]}, "no title inside a figure"),
        ({"extra": [("print(f'{x} of ' '{len(y)} runs')", {})]}, "{len(y)} is printed as it stands"),
        ({"extra": [("assert x\nMarkdown('4')", EXERCISES)]}, "does not ask"),
        ({"extra": [("assert x\nMarkdown('4')", EXERCISES)], "asks": "How many?"}, "does not ask"),
        ({"extra": [("Markdown('4')", EXERCISES)], "asks": ASKS}, "nothing asserts"),
        ({"extra": [("assert x", EXERCISES)], "asks": ASKS}, "does not end with Markdown"),
        ({"title": "Numbers"}, "begins with the title"),
        ({"end": "# Second\n## What this does not show\npapermill x"}, "not exactly one heading"),
        ({"end": "papermill x"}, "no `## What this does not show`"),
        ({"end": "## What this does not show"}, "no `papermill`"),
        ({"kernel": "julia"}, "the kernel is not python3"),
        ({"minor": 4}, "nbformat 4.4"),
    ],
)
def test_a_broken_convention_is_found(changes, problem):
    assert any(problem in found for found in all_problems(chapter(**changes)))


def test_a_used_notebook_is_found():
    notebook = chapter()
    notebook.cells[1].execution_count = 1
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="x")]
    notebook.cells[2].id = notebook.cells[1].id
    assert len(form_problems(notebook)) == 3
