"""What holds the project together: rooms in order, bounds in step, a light import, no leftovers."""

import ast
import builtins
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import imigue_lab
from tests.forks import start_python

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


def name_of(path):
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


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


@cache
def loaded_by(module):
    """The modules of the package that `import module` loads, by the imports outside functions."""
    names = {name_of(path): path for path in modules()}
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in names:
            continue
        seen.add(name)
        waiting += [name.rsplit(".", 1)[0], *imports_at_load(names[name])]
    return {name: len(names[name].read_text().splitlines()) for name in seen}


def imports_at_load(path):
    """Modules, and names that may be modules, imported outside functions and TYPE_CHECKING."""
    waiting = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        ):
            waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize(
    ("module", "most", "lines"),
    [
        ("training.emotion.train", 40, 4_600),
        ("training.gestures.train", 90, None),
        ("training.settings", 6, None),
        ("studies.trials", 12, None),
        ("views.answers", 30, None),
    ],
)
def test_an_import_loads_no_more_of_the_package_than_its_budget(module, most, lines):
    loaded = loaded_by(f"imigue_lab.{module}")
    assert len(loaded) <= most, sorted(loaded)
    assert lines is None or sum(loaded.values()) <= lines
    code = f"import sys, imigue_lab.{module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = {name for name in found.stdout.split() if name.split(".")[0] == "imigue_lab"}
    assert own == set(loaded)  # the graph above is what Python does


def test_an_epoch_of_the_emotion_model_loads_at_most_60_modules(synthetic):
    code = f"""
import sys
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
train_emotion(EmotionSettings(data={str(synthetic)!r}, epochs=1, name="budget"))
print(*(name for name in sys.modules if name.split(".")[0] == "imigue_lab"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()[-1].split()) <= 60, done.stdout


FOLLOWED = """
import pkgutil, sys
from importlib import import_module
from pathlib import Path
import nbformat, imigue_lab
from imigue_lab.training import settings

home, ran = Path(imigue_lab.__file__).parent, set()
for module in pkgutil.walk_packages(imigue_lab.__path__, "imigue_lab."):
    if not module.name.endswith("__main__"):
        import_module(module.name)  # what runs at import is not followed

def profile(frame, event, _):
    path = Path(frame.f_code.co_filename)
    if event == "call" and frame.f_code.co_flags & 1 and home in path.parents:  # in a function
        ran.add(path.relative_to(home).with_suffix("").as_posix())

settings.guard = lambda cls: cls.from_arguments(GIVEN)
cells = [c.source for c in nbformat.read(NOTEBOOK, 4).cells if c.cell_type == "code"]
scored = next(n for n, cell in enumerate(cells) if "show_scores(run" in cell)
sys.setprofile(profile)
for cell in cells[1 : scored + 1]:
    exec(cell)
sys.setprofile(None)
print(*sorted(ran))
"""
BESIDE = r"data/(checks|layouts|videos|synthetic|keypoint_files)/|data/(workspace|vocabulary)$"
BESIDE += r"|training/ranks$|errors$"


def reading_order(notebook):
    """The files that the page on reading the code lists for a notebook."""
    text = (CHECKOUT / "docs" / "reading_the_code.md").read_text()
    own = re.search(rf"notebook {notebook}.*?:\s(`data/`.*?)[.;] (?:What|its)", text, re.S | re.I)[
        1
    ]
    rooms = re.findall(r"`(\w+)/` ([^`]*)", own)
    return {f"{room}/{name}" for room, names in rooms for name in re.findall(r"[\w/]+", names)}


def test_the_reading_order_of_notebook_02_names_every_file_that_runs_up_to_its_score(
    synthetic, tmp_path
):
    given = {"data": str(synthetic), "epochs": 1, "width": 8, "heads": 2, "name": "followed"}
    notebook = str(CHECKOUT / "notebooks" / "02_train_emotion.ipynb")
    code = FOLLOWED.replace("GIVEN", repr(given)).replace("NOTEBOOK", repr(notebook))
    output = tmp_path / "output.txt"
    assert start_python(["-c", code], output=output).wait() == 0, output.read_text()
    ran = set(output.read_text().splitlines()[-1].split())
    listed = reading_order("02")
    assert {name for name in ran if not re.match(BESIDE, name)} == listed
    assert len(listed) <= 18


def test_the_reading_order_of_notebook_01_is_loaded_by_its_training():
    listed = reading_order("01")
    assert len(listed) <= 30
    loaded = loaded_by("imigue_lab.training.gestures.train")
    assert {f"imigue_lab.{name.replace('/', '.')}" for name in listed} <= set(loaded)


def test_only_readers_checks_and_synthetic_data_know_the_ids_of_imigue():
    own, found = ("vocabulary", "layouts", "checks", "synthetic"), []
    for path in modules():
        if path.parent.name in own or path.stem in own:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.BinOp(op=ast.Pow(), right=ast.Constant() as power):
                    power.value = None
                case ast.Constant(value=31 | 99):
                    found.append(f"{path}:{node.lineno}")
                case ast.Call(args=[ast.Constant(value="imigue")]):
                    found.append(path.stem)
    # an index's default, a file alone, outcomes of matches, published heads, runs without a list
    assert set(found) == {"index", "one_file", "card", "start"}


def test_no_module_uses_a_name_that_it_does_not_define():
    # ruff and mypy cannot look: names inside shapes are strings that they would not find
    unknown = []
    for path in modules():
        tree = ast.parse(path.read_text())
        known = {*dir(builtins), "__file__", "__name__", "__path__"}
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                    known.add(name)
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                    known.add(name)
                case ast.Import(names=names) | ast.ImportFrom(names=names):
                    known |= {(alias.asname or alias.name).split(".")[0] for alias in names}
                case ast.ExceptHandler(name=str(name)):
                    known.add(name)
                case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                    known.add(name)
        unknown += [
            f"{name_of(path)}:{node.lineno}: {node.id}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and node.id not in known
        ]
    assert not unknown


def test_the_package_stays_within_its_lines_and_files():
    lengths = {path: len(path.read_text().splitlines()) for path in modules()}
    assert sum(lengths.values()) <= 32_920
    assert len(lengths) <= 204
    assert median(n for path, n in lengths.items() if path.name != "__init__.py") > 120


def test_no_two_modules_import_each_other():
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
        # what uses the network, or only shows what is written anyhow, is no part of the tested set
        if name not in ("poses", "tensorboard", "wandb"):
            wanted += [Requirement(line) for line in extra]
    lines = (CHECKOUT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for requirement in wanted:
        assert Version(pins[requirement.name.lower()]) in requirement.specifier, requirement
    conda = (CHECKOUT / "environment.yml").read_text()
    listed = dict(re.findall(r"^ +- ([a-z0-9-]+)([>=]=\S+)$", conda, re.MULTILINE))
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


def test_every_benchmark_imports_what_there_is():
    for path in (CHECKOUT / "benchmarks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("imigue_lab"):
                source = CHECKOUT / node.module.replace(".", "/")
                source = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
                for name in node.names:
                    known = re.search(rf"\b{name.name}\b", source.read_text())
                    assert known or (source.parent / f"{name.name}.py").exists(), (path, name.name)


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


def test_tracked_text_is_plain_technical_english():
    private = re.compile(
        r"made[-_ ]?up\b|\brivals?\b|(\b|_)told(\b|_)|\bis due\b|\bby heart\b|words are off"
        r"|nobody has trained",
        re.IGNORECASE,
    )
    listed = [
        "git",
        "ls-files",
        "*.py",
        "*.md",
        "*.ipynb",
        "*.js",
        "*.css",
        "*.toml",
        "*.yml",
        "Makefile",
    ]
    tracked = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in tracked.stdout.split()
        if name != "tests/test_project.py"
        for number, line in enumerate((CHECKOUT / name).read_text().splitlines(), 1)
        if private.search(line)
    ]
    assert not found, "\n".join(found)


def test_only_the_data_and_the_challenge_know_the_outcomes_of_matches():
    known = r"data/(vocabulary|layouts/|synthetic/)|results/submit|all-win-validation"
    found = [
        f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}"
        for path in [*modules(), *(CHECKOUT / "imigue_lab").rglob("*.js")]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(win|wins|lose|loses)\b", line, re.IGNORECASE)
        and not re.search(known, f"{path.as_posix()} {line}")
    ]
    assert not found, "\n".join(found)


def test_waiting_threads_do_not_spin_unless_the_user_has_chosen():
    code = "import os, imigue_lab; print(os.environ['OMP_WAIT_POLICY'])"
    for given, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
        environment |= {"OMP_WAIT_POLICY": given} if given else {}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert done.stdout.strip() == expected


def test_the_front_door_opens_lazily_and_names_what_it_lacks():
    code = "import imigue_lab as lab, sys; assert 'torch' not in sys.modules;"
    code += "print([getattr(lab, name).__name__ for name in lab.__all__] == lab.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'load_rnu'"):
        imigue_lab.load_rnu  # noqa: B018


@pytest.mark.parametrize("usable", [True, False])
def test_make_demo_falls_back_where_the_network_of_faces_cannot_be_used(tmp_path, usable):
    """With programs in place of the real ones, which record what they are asked to do."""
    for name in ("imigue-lab", "papermill"):
        program = tmp_path / name
        fails = "weights) exit 1;; *face-expression*) exit 2;;" * (not usable)
        program.write_text(
            f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\ncase "$*" in {fails} esac'
        )
        program.chmod(0o755)
    ready = tmp_path / "ready"
    ready.touch()
    words = [
        "make",
        "--no-print-directory",
        "demo",
        f"BIN={tmp_path}",
        f"READY={ready}",
        f"DEMO={tmp_path}/demo",
    ]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    face = "face-expression" if usable else "synthetic-face"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "imigue-lab weights"
    trained = next(call for call in calls if call.startswith("papermill"))
    assert trained.endswith(f"-p preset demo -p face {face}")
    compared = next(call for call in calls if " ablate " in call)
    assert f"--given face:{face} --variants context-only" in compared
    assert ("falls back to features that the generator simulates" in done.stdout) != usable
    assert ("imigue-lab extract --encoders context-lite0x2-blank" in calls) != usable
    assert calls[-1] == f"imigue-lab html {tmp_path}/demo/02_train_emotion.ipynb"
