"""`make stranger`: README's commands from a fresh clone, and reasons for those left out."""

import subprocess

from benchmarks.stranger import borrow, commands, reason_to_leave_out, script_of
from tests.test_docs import CHECKOUT


def test_all_commands_of_the_readme_run_or_are_left_out_with_a_reason():
    documented = commands((CHECKOUT / "README.md").read_text())
    assert documented[0] == "make demo"
    left_out = [command for command in documented if reason_to_leave_out(command)]
    assert len(left_out) <= 3 < len(documented) - len(left_out)
    assert "make test" in left_out
    assert not any("#" in command for command in documented)


def test_python_blocks_run_between_the_commands_around_them(tmp_path):
    page = "    echo before  # why\n\n```python\nfor i in (1, 2):\n    print(i)\n```\n\n    false\n"
    before, block, after = commands(page)
    assert (before, after) == ("echo before", "false")
    done = subprocess.run(
        ["bash", "-c", script_of([before, block], tmp_path / "copy")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines.index("before") < lines.index("1") == lines.index("2") - 1


def test_the_script_stops_at_the_first_failure_and_names_it(tmp_path):
    script = script_of(["echo one", "false", "echo two"], tmp_path / "copy")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "[stranger] echo one\none\n" in done.stdout
    assert done.stdout.rstrip().endswith("[stranger] false")


def test_a_synthetic_copy_replaces_the_real_one_that_the_readme_names(tmp_path):
    script = script_of(["imigue-lab check /data/iMiGUE"], tmp_path / "copy")
    assert "/data/iMiGUE" not in script
    assert f"imigue-lab check {tmp_path / 'copy'}" in script


def test_an_existing_environment_is_not_modified(tmp_path):
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/python").touch()
    borrow(tmp_path / "env", tmp_path / "clone")
    assert (tmp_path / "clone/.venv/bin/python").is_symlink()
    assert (tmp_path / "clone/.venv/.installed").exists()
    assert sorted(p.name for p in (tmp_path / "env").iterdir()) == ["bin"]
