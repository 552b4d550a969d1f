"""environment.yml, pyproject.toml and constraints.txt describe one environment."""

import fcntl
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from rholaw.book.dependencies import dependencies

ROOT = Path(__file__).resolve().parents[1]
ONLY_3_12 = {
    "aiohttp",
    "aiohappyeyeballs",
    "aiosignal",
    "frozenlist",
    "multidict",
    "propcache",
    "yarl",
}  # for papermill
ONLY_3_11 = {"overrides"}  # for jupyter-server
ON_DEMAND = {  # the extra that neither make nor conda sets up, and what it brings along
    *("transformers", "annotated-doc", "annotated-types", "pydantic", "pydantic-core", "regex", "rich", "shellingham"),
    *("typer", "typing-inspection"),
}
OF_A_TORCH = re.compile("nvidia-|cuda-|triton|pytorch-triton")  # what a build of torch brings along
FROM_CONDA = {"pytorch": "torch"}  # conda's name → pip's, where they differ by more than spelling


def declared(pyproject: str) -> dict[str, SpecifierSet]:
    """Every dependency of pyproject.toml, extras included."""
    project = tomllib.loads(pyproject)["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def pinned(constraints: str) -> dict[str, str]:
    """Name → version of constraints.txt, where every line is a plain `name==version`."""
    pins = {}
    for line in constraints.splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "==", f"{line}: not a pin"
            assert not (requirement.url or requirement.marker or "+" in pin.version), f"{line}: more than a plain pin"
            name = canonicalize_name(requirement.name)
            assert name not in pins, f"{line}: pinned twice"
            pins[name] = pin.version
    return pins


def content(lines: str) -> dict[str, str]:
    """Name → version of content.txt, where every line has a hash."""
    entries = re.findall(r"^([\w-]+)==(\S+) --hash=sha256:[0-9a-f]{64}  # .+$", lines, re.MULTILINE)
    assert len(entries) == sum(not line.startswith("#") for line in lines.splitlines())
    return {canonicalize_name(name): version for name, version in entries}


def conda(environment: str) -> dict[str, SpecifierSet]:
    """Name as pip writes it → spec, of environment.yml and of its `pip:` list."""
    specs, editable = {}, False
    entries = yaml.safe_load(environment)["dependencies"]
    for entry in entries:
        for line in entry["pip"] if isinstance(entry, dict) else [entry]:
            if line == "-e .":
                editable = True
                continue
            requirement = Requirement(line)
            name = canonicalize_name(FROM_CONDA.get(requirement.name, requirement.name))
            assert name not in specs, f"{line}: named twice"
            specs[name] = requirement.specifier
    assert editable, "environment.yml does not install this package"
    return specs


def disagreements(pyproject: str, constraints: str, environment: str) -> list[str]:
    """What differs between the three, a line each."""
    wanted, pins, specs = declared(pyproject), pinned(constraints), conda(environment)
    python = specs.pop("python", None)
    specs.pop("pip", None)
    problems = []
    if python != SpecifierSet(tomllib.loads(pyproject)["project"]["requires-python"]):
        problems.append(f"python: environment.yml says {python}")
    missing = wanted.keys() - specs.keys() - ON_DEMAND
    problems += [f"{name}: in pyproject.toml, not in environment.yml" for name in missing]
    problems += [f"{name}: in environment.yml, not in pyproject.toml" for name in specs.keys() - wanted.keys()]
    for name in wanted.keys() | specs.keys():
        if name not in pins:
            problems.append(f"{name}: no pin in constraints.txt")
            continue
        for where, spec in (("pyproject.toml", wanted.get(name)), ("environment.yml", specs.get(name))):
            if spec is not None and (not spec or not spec.contains(pins[name])):
                problems.append(f"{name}: {where} says {str(spec) or 'anything'}, the pin is {pins[name]}")
    return sorted(problems)


def texts() -> list[str]:
    return [(ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt", "environment.yml")]


def test_the_three_files_agree():
    assert disagreements(*texts()) == []


def test_what_is_installed_is_what_is_pinned():
    if not (Path(sys.prefix) / ".ready").exists():
        pytest.skip("this environment was not set up by make")
    pins = pinned(texts()[1]) | content((ROOT / "content.txt").read_text())
    pins |= {"pip": distribution("pip").version}  # Python brings it
    packages = dependencies().set_index("package")["version"].str.partition("+")[0].to_dict()
    installed = {name: version for name, version in packages.items() if not OF_A_TORCH.match(name)}
    python = sys.version_info[:2]
    missing = ON_DEMAND - installed.keys()
    missing |= (set() if python == (3, 12) else ONLY_3_12) | (set() if python < (3, 12) else ONLY_3_11)
    assert installed == {name: pin for name, pin in pins.items() if name not in missing}


def test_no_licence_is_unknown_or_asks_for_what_the_book_does_not_give():
    packages = dependencies()
    assert packages["package"].is_unique and packages["licence"].all()
    assert set(packages.loc[packages["licence"].str.contains("GPL"), "package"]) <= {
        "docutils"
    }  # one of four to choose
    in_a_file = packages.loc[packages["licence"] == "in its licence file", "package"]
    assert {name for name in in_a_file if not OF_A_TORCH.match(name)} <= {"torchao"}


def test_a_wheel_is_built_by_what_is_pinned():
    (build,) = tomllib.loads(texts()[0])["build-system"]["requires"]
    assert build == f"setuptools=={pinned(texts()[1])['setuptools']}"


def test_one_set_up_at_a_time(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "content.txt"):
        shutil.copy(ROOT / name, tmp_path)
    with open(tmp_path / "Makefile", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["make", "lab", f"PYTHON={sys.executable}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(".venv is being set up by another make; wait until it is done\n")
    assert not (tmp_path / ".venv").exists()


def test_the_same_pythons_are_named_everywhere():
    spec = SpecifierSet(tomllib.loads(texts()[0])["project"]["requires-python"])
    minors = [minor for minor in range(100) if f"3.{minor}" in spec]
    *most, last = [f"3.{minor}" for minor in minors]
    named, makefile = f"Python {', '.join(most)} or {last}", (ROOT / "Makefile").read_text()
    assert f"With {named}, make" in (ROOT / "README.md").read_text()
    assert makefile.count(named) == 3
    assert f"(3, {minors[0]}) <= sys.version_info[:2] < (3, {minors[-1] + 1})" in makefile
    assert f"in python3 {' '.join(f'python3.{minor}' for minor in reversed(minors))};" in makefile


def test_torch_is_a_range_in_conda():
    (spec,) = [spec for name, spec in conda(texts()[2]).items() if name == "torch"]
    assert {s.operator for s in spec} == {">=", "<"}


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (0, '"scipy>=1.13"', '"scipy>=99"', "scipy: pyproject.toml says >=99, the pin is"),
        (0, '"scipy>=1.13",', '"scipy>=1.13", "newcomer>=1",', "newcomer: in pyproject.toml, not in environment.yml"),
        (1, "\nscipy==", "\nscipyy==", "scipy: no pin in constraints.txt"),
        (2, "- scipy>=1.13", "- scipy<1.13", "scipy: environment.yml says <1.13, the pin is"),
        (2, "- scipy>=1.13", "- scipy", "scipy: environment.yml says anything"),
        (2, "  - scipy>=1.13\n", "", "scipy: in pyproject.toml, not in environment.yml"),
        (2, "python>=3.11,<3.14", "python>=3.10", "python: environment.yml says"),
    ],
)
def test_a_disagreement_is_found(file, old, new, problem):
    changed = texts()
    assert old in changed[file]
    changed[file] = changed[file].replace(old, new)
    assert any(found.startswith(problem) for found in disagreements(*changed))


@pytest.mark.parametrize("spec", ["scipy=1.13", "scipy 1.13", "scipy>=1.13.*.2"])
def test_a_loose_spec_is_refused(spec):
    with pytest.raises(ValueError, match="scipy"):
        conda(texts()[2].replace("scipy>=1.13", spec))


def test_what_opens_the_book_elsewhere_asks_for_what_is_there():
    """The workflow calls what everybody calls, and needs no secret; the container and Binder name files that exist."""
    text = (ROOT / ".github" / "workflows" / "book.yml").read_text()
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    assert {"run": ".ci/run"} in steps and "secrets." not in text
    used = dict(step["uses"].removeprefix("actions/").split("@v") for step in steps if "uses" in step)
    on_node_24 = {"checkout": 5, "setup-python": 6, "upload-pages-artifact": 5, "deploy-pages": 5}  # the first that are
    assert used.keys() == on_node_24.keys() and all(int(used[name]) >= first for name, first in on_node_24.items())
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["postCreateCommand"] == "make .venv/.ready"
    assert "$(READY):" in (ROOT / "Makefile").read_text()
    lines = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "-c ../constraints.txt" in lines and "-e .[book]" in lines and "book" in extras
    versions = {container["image"].rsplit(":")[-1], (ROOT / ".binder" / "runtime.txt").read_text()[7:].strip()}
    assert versions == {"3.12"}
