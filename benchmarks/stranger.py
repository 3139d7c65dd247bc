"""What README promises, done by somebody who has nothing but a clone of this repository.

A fresh clone of what is committed, in an empty folder without shared recordings; the README's
commands, in their order, in one shell that ends at the first that fails. What cannot be done there
(published weights) is named with the reason. In the place of iMiGUE stands a synthetic copy.

    python -m benchmarks.stranger                     installs everything (7 GB)
    python -m benchmarks.stranger --environment .venv takes an environment that is there
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
    "make test": "has a run of its own",
    "make lab": "does not end",
    "--face-weights": "published weights are due",
    "preset paper": "features of published weights are due",
}
DATA = "/data/iMiGUE"  # as README names a copy


def commands(readme: str) -> list[str]:
    """The indented lines of a page, without its comments."""
    lines = re.findall(r"^    (\S.*)$", readme, re.MULTILINE)
    return [re.sub(r"\s+# .*", "", line) for line in lines]


def reason_to_leave_out(command: str) -> str:
    """Why a stranger cannot do it; empty where one can."""
    return next((why for words, why in LEFT_OUT.items() if words in command), "")


def borrow(environment: Path, clone: Path) -> None:
    """Puts the programs of another environment where the Makefile looks for its own."""
    (clone / ".venv/bin").mkdir(parents=True)
    for program in (environment / "bin").iterdir():
        (clone / ".venv/bin" / program.name).symlink_to(program)
    (clone / ".venv/.installed").touch()


def script_of(todo: list[str], copy: Path) -> str:
    """Each command, told with its time, on a synthetic copy of iMiGUE."""
    lines = ["set -e"]
    for command in todo:
        if DATA in command:
            command = command.replace(DATA, str(copy))
            lines.append(f"[ -d {copy} ] || imigue-lab make-data {copy} --videos 12")
        lines += [f"echo {shlex.quote(f'[stranger] {command}')}", command]
        lines.append('echo "[stranger] done after $SECONDS s"')
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="what README promises, from a fresh clone")
    parser.add_argument("--environment", type=Path, help="take this one, and install nothing")
    environment = parser.parse_args().environment
    with tempfile.TemporaryDirectory(prefix="stranger-") as folder:
        clone = Path(folder) / "imigue_lab"
        subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], check=True)
        own = {k: v for k, v in os.environ.items() if not k.startswith(("IMIGUE_LAB", "VIRTUAL"))}
        if environment:
            borrow(environment.resolve(), clone)
            own["PYTHONPATH"] = str(clone)
        promised = commands((clone / "README.md").read_text())
        for command in promised:
            if why := reason_to_leave_out(command):
                print(f"[stranger] left out, {why}: {command}", flush=True)
        todo = [command for command in promised if not reason_to_leave_out(command)]
        script = script_of(todo, Path(folder) / "iMiGUE")
        done = subprocess.run(["bash", "-c", script], cwd=clone, env=own)
    print(f"[stranger] {len(todo)} commands" + (", one failed" if done.returncode else " worked"))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
