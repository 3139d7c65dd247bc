"""`make stranger`: documented commands from a fresh clone, and reasons for those left out."""

import subprocess
import sys

import pytest

from benchmarks.stranger import (
    PAGES,
    borrow,
    commands,
    reason_to_leave_out,
    script_of,
    write_files,
)
from tests.test_docs import CHECKOUT


def test_all_commands_of_the_readme_run_or_are_left_out_with_a_reason():
    documented = commands((CHECKOUT / "README.md").read_text())
    assert documented[0] == "make demo"
    left_out = [command for command in documented if reason_to_leave_out(command)]
    assert len(left_out) <= 3 < len(documented) - len(left_out)
    assert "make test" in left_out
    assert not any("#" in command for command in documented)


def test_every_page_of_docs_is_covered_and_most_of_its_commands_run():
    counts = []
    for page in PAGES[1:]:
        documented = commands(page.read_text())
        shown = page.read_text().count("\n    imigue-lab ")
        assert sum(command.startswith("imigue-lab ") for command in documented) == shown, page
        counts.append([bool(reason_to_leave_out(command)) for command in documented])
    left_out = [one for page in counts for one in page]
    assert len(counts) == len([*(CHECKOUT / "docs").glob("*.md")])
    assert sum(left_out) < len(left_out) / 2


def test_the_program_needs_nothing_that_make_installs(tmp_path):
    program = [sys.executable, "-I", "-S", str(CHECKOUT / "benchmarks/stranger.py"), "--help"]
    assert subprocess.run(program, capture_output=True, cwd=tmp_path).returncode == 0


def test_files_of_a_page_are_written_and_its_diffs_applied(tmp_path):
    (tmp_path / "old.py").write_text("one\ntwo\n")
    page = "```python\n# new.py\nthree\n```\n\n```diff\n# old.py\n one\n-two\n+four\n```\n"
    write_files(page, tmp_path)
    assert (tmp_path / "new.py").read_text() == "three\n" and commands(page) == []
    assert (tmp_path / "old.py").read_text() == "one\nfour\n"
    with pytest.raises(AssertionError):
        write_files(page, tmp_path)  # neither new nor to be changed twice


def test_files_of_the_user_come_about_before_the_command_that_names_them(tmp_path):
    script = script_of(["cat talk.csv", "cat talk.csv"], tmp_path).replace("imigue-lab", "true")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.count("nod,0.4,1.0") == 2


def test_python_blocks_run_between_the_commands_around_them(tmp_path):
    block = "for i in (1, 2):\n    print(i)\n"
    page = f"    python -V  # why\n    some text\n\n```python\n{block}```\n\n    make after\n"
    before, block, after = commands(page)
    assert (before, after) == ("python -V", "make after")
    done = subprocess.run(
        ["bash", "-c", script_of([before, block], tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    version = next(n for n, line in enumerate(lines) if line.startswith("Python 3"))
    assert version < lines.index("1") == lines.index("2") - 1


def test_the_script_stops_at_the_first_failure_and_names_it(tmp_path):
    script = script_of(["echo one", "false", "echo two"], tmp_path)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "[stranger] echo one\none\n" in done.stdout
    assert done.stdout.rstrip().endswith("[stranger] false")


def test_a_synthetic_copy_replaces_the_real_one_that_the_readme_names(tmp_path):
    script = script_of(["imigue-lab check /data/iMiGUE"], tmp_path)
    assert "/data/iMiGUE" not in script
    assert f"imigue-lab check {tmp_path / 'iMiGUE'}" in script


def test_an_existing_environment_is_not_modified(tmp_path):
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/python").touch()
    borrow(tmp_path / "env", tmp_path / "clone")
    assert (tmp_path / "clone/.venv/bin/python").is_symlink()
    assert (tmp_path / "clone/.venv/.installed").exists()
    assert sorted(p.name for p in (tmp_path / "env").iterdir()) == ["bin"]
