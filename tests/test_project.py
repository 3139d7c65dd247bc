"""What holds the project together: rooms in order, bounds in step, a light import, no leftovers."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

CHECKOUT = Path(__file__).resolve().parents[1]
ROOMS = [
    "errors",
    "data",
    "models",
    "features",
    "training",
    "results",
    "studies",
    "inference",
    "views",
    "app",
]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch"}


def modules():
    return sorted((CHECKOUT / "imigue_lab").rglob("*.py"))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_room_imports_a_later_one():
    wrong = []
    for path in modules():
        room = path.relative_to(CHECKOUT / "imigue_lab").parts[0].removesuffix(".py")
        if room.startswith("__"):
            continue
        for name in imports_of(path):
            if name.startswith("imigue_lab."):
                other = name.split(".")[1]
                if ROOMS.index(other) > ROOMS.index(room):
                    wrong.append(f"{path.relative_to(CHECKOUT)} imports {name}")
    assert not wrong


def test_no_two_modules_import_each_other():
    def name_of(path):
        parts = path.relative_to(CHECKOUT).with_suffix("").parts
        return ".".join(part for part in parts if part != "__init__")

    graph = {name_of(path): set(imports_of(path)) for path in modules()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


def test_the_rooms_of_training_and_of_views_are_no_circle_either():
    for room in ("training", "views"):
        home, graph = CHECKOUT / "imigue_lab" / room, {}
        for path in home.glob("*/*.py"):
            inside = [name.split(".") for name in imports_of(path)]
            own = path.parent.name
            others = {n[2] for n in inside if n[:2] == ["imigue_lab", room] and len(n) > 3}
            graph.setdefault(own, set()).update(others - {own})
        assert list(TopologicalSorter(graph).static_order())


def test_bounds_constraints_and_conda_environment_are_in_step():
    wanted = [Requirement(line) for line in PROJECT["dependencies"]]
    for name, extra in PROJECT["optional-dependencies"].items():
        if name != "poses":  # brings its own weights from the network: no part of the tested set
            wanted += [Requirement(line) for line in extra]
    lines = (CHECKOUT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for requirement in wanted:
        assert Version(pins[requirement.name.lower()]) in requirement.specifier, requirement
    conda = (CHECKOUT / "environment.yml").read_text()
    listed = dict(re.findall(r"^ +- ([a-z0-9-]+)(>=\S+)$", conda, re.MULTILINE))
    assert listed.pop("python") == PROJECT["requires-python"]
    assert listed == {
        CONDA_NAMES.get(requirement.name, requirement.name): str(requirement.specifier)
        for requirement in wanted
    }


def test_the_import_is_light():
    code = "import sys, time; t = time.perf_counter(); import imigue_lab;"
    code += "print(time.perf_counter() - t, *(m for m in ('torch', 'umap') if m in sys.modules))"
    fastest = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(3)
    )
    assert fastest < 0.5


@pytest.mark.parametrize("module", ["imigue_lab.app", "imigue_lab.training.scores"])
def test_modules_start_nothing_when_imported(module, tmp_path):
    code = f"import {module}"
    words = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_files_are_one_sitting():
    long = {p.name: n for p in modules() if (n := len(p.read_text().splitlines())) > 350}
    assert not long


def test_code_is_formatted_and_linted():
    for words in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_every_make_target_is_explained():
    makefile = (CHECKOUT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split()
    help_text = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=CHECKOUT, capture_output=True, text=True
    ).stdout
    assert sorted(re.findall(r"^  make (\w+) +\S", help_text, re.MULTILINE)) == sorted(phony)


def test_no_page_holds_what_a_merge_left_undecided():
    pages = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), CHECKOUT / "Makefile"]
    for page in pages:
        for number, line in enumerate(page.read_text().splitlines(), 1):
            assert not re.match(r"(<{7}|>{7}|\|{7}) |={7}$", line), f"{page.name}:{number}"
