"""Runs README's commands as a new user would, from a fresh clone of this repository.

The clone contains only what is committed, in an empty folder without shared recordings. README's
commands and Python blocks run in order in one shell, which stops at the first failure. Commands
that cannot run there (published weights) are listed with the reason; a synthetic copy replaces
iMiGUE.

    python -m benchmarks.stranger                     installs everything (7 GB)
    python -m benchmarks.stranger --environment .venv uses an existing environment
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LEFT_OUT = {
    "make test": "runs separately",
    "make lab": "runs until it is stopped",
    "--face-weights": "needs published weights",
    "preset paper": "needs features of published weights",
}
DATA = "/data/iMiGUE"  # the copy that README names


def commands(readme: str) -> list[str]:
    """The indented commands of a page, without comments, and its Python blocks, in order."""
    parts = re.findall(r"^    (\S.*)$|^```python\n((?:.*\n)*?)```$", readme, re.MULTILINE)
    return [
        f"python - <<'END'\n{block}END" if block else re.sub(r"\s+# .*", "", line)
        for line, block in parts
    ]


def reason_to_leave_out(command: str) -> str:
    """Why the command cannot run from a fresh clone; empty if it can."""
    return next((why for words, why in LEFT_OUT.items() if words in command), "")


def borrow(environment: Path, clone: Path) -> None:
    """Links the programs of another environment where the Makefile expects its own."""
    (clone / ".venv/bin").mkdir(parents=True)
    for program in (environment / "bin").iterdir():
        (clone / ".venv/bin" / program.name).symlink_to(program)
    (clone / ".venv/.installed").touch()


def script_of(todo: list[str], copy: Path) -> str:
    """A shell script that prints and times each command, on a synthetic copy of iMiGUE."""
    lines = ["set -e"]
    for command in todo:
        if DATA in command:
            command = command.replace(DATA, str(copy))
            lines.append(f"[ -d {copy} ] || imigue-lab make-data {copy} --videos 12")
        lines += [f"echo {shlex.quote(f'[stranger] {command}')}", command]
        lines.append('echo "[stranger] done after $SECONDS s"')
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="run README's commands from a fresh clone")
    parser.add_argument("--environment", type=Path, help="use this environment and install nothing")
    environment = parser.parse_args().environment
    with tempfile.TemporaryDirectory(prefix="stranger-") as folder:
        clone = Path(folder) / "imigue_lab"
        subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], check=True)
        variables = {
            k: v for k, v in os.environ.items() if not k.startswith(("IMIGUE_LAB", "VIRTUAL"))
        }
        if environment:
            borrow(environment.resolve(), clone)
            variables["PYTHONPATH"] = str(clone)
        documented = commands((clone / "README.md").read_text())
        for command in documented:
            if why := reason_to_leave_out(command):
                print(f"[stranger] left out, {why}: {command}", flush=True)
        todo = [command for command in documented if not reason_to_leave_out(command)]
        script = script_of(todo, Path(folder) / "iMiGUE")
        done = subprocess.run(["bash", "-c", script], cwd=clone, env=variables)
    print(f"[stranger] {len(todo)} commands" + (", one failed" if done.returncode else " worked"))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
