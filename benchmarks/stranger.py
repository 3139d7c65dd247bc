"""Runs the commands of README as a new user who has nothing but a clone of this repository.

Clones the committed state into an empty folder without shared recordings, and runs the commands of
README in order, in one shell that stops at the first failure. Commands that cannot work there
(published weights) are listed with the reason. A synthetic copy replaces iMiGUE.

    python -m benchmarks.stranger                      installs everything (7 GB)
    python -m benchmarks.stranger --environment .venv  uses an existing environment
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
    "make test": "is run separately",
    "make lab": "does not end",
    "--face-weights": "needs published weights",
    "preset paper": "needs features of published weights",
}
DATA = "/data/iMiGUE"  # the path in README


def commands(readme: str) -> list[str]:
    """The indented lines of a page, without comments."""
    lines = re.findall(r"^    (\S.*)$", readme, re.MULTILINE)
    return [re.sub(r"\s+# .*", "", line) for line in lines]


def reason_to_leave_out(command: str) -> str:
    """Why a new user cannot run it; empty if they can."""
    return next((why for text, why in LEFT_OUT.items() if text in command), "")


def borrow(environment: Path, clone: Path) -> None:
    """Links the programs of another environment to where the Makefile expects them."""
    (clone / ".venv/bin").mkdir(parents=True)
    for program in (environment / "bin").iterdir():
        (clone / ".venv/bin" / program.name).symlink_to(program)
    (clone / ".venv/.installed").touch()


def script_of(todo: list[str], copy: Path) -> str:
    """Each command, printed with its time, on a synthetic copy of iMiGUE."""
    lines = ["set -e"]
    for command in todo:
        if DATA in command:
            command = command.replace(DATA, str(copy))
            lines.append(f"[ -d {copy} ] || imigue-lab make-data {copy} --videos 12")
        lines += [f"echo {shlex.quote(f'[stranger] {command}')}", command]
        lines.append('echo "[stranger] done after $SECONDS s"')
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="run the commands of README in a fresh clone")
    parser.add_argument(
        "--environment", type=Path, help="use this environment, and install nothing"
    )
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
        listed = commands((clone / "README.md").read_text())
        for command in listed:
            if why := reason_to_leave_out(command):
                print(f"[stranger] left out, {why}: {command}", flush=True)
        todo = [command for command in listed if not reason_to_leave_out(command)]
        script = script_of(todo, Path(folder) / "iMiGUE")
        done = subprocess.run(["bash", "-c", script], cwd=clone, env=variables)
    print(f"[stranger] {len(todo)} commands" + (", one failed" if done.returncode else " worked"))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
