"""A new user can run the commands of README in order; those that cannot work have a reason."""

import subprocess

from benchmarks.stranger import borrow, commands, reason_to_leave_out, script_of
from tests.test_docs import CHECKOUT


def test_every_command_of_the_readme_is_run_or_left_out_with_a_reason():
    listed = commands((CHECKOUT / "README.md").read_text())
    assert listed[0] == "make demo"
    left_out = [command for command in listed if reason_to_leave_out(command)]
    assert len(left_out) <= 3 < len(listed) - len(left_out)
    assert "make test" in left_out
    assert not any("#" in command for command in listed)


def test_the_script_stops_at_the_first_failure_and_prints_its_command(tmp_path):
    script = script_of(["echo one", "false", "echo two"], tmp_path / "copy")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "[stranger] echo one\none\n" in done.stdout
    assert done.stdout.rstrip().endswith("[stranger] false")


def test_the_synthetic_copy_replaces_the_path_of_the_real_data(tmp_path):
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
