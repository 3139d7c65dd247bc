"""Runs the commands of README and of all pages of docs as a new user would, from a fresh clone.

The clone contains only what is committed, in an empty folder without shared recordings. A page's
files are written and its diffs applied; its commands and Python blocks run in order in one shell,
which stops at the first failure. Commands that cannot run there (published weights) are listed with
the reason; synthetic copies replace the data.

    python benchmarks/stranger.py                     installs everything (7 GB)
    python benchmarks/stranger.py --environment .venv uses an existing environment
    python benchmarks/stranger.py --pages README.md docs/miga.md
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
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
PROGRAM = re.compile(r"(imigue-lab|papermill|make|mkdir|python|torchrun|\w+=\w+|source|pip)\b")
LEFT_OUT = {  # pattern -> reason
    r"^make (test|lab)": "runs separately",
    r"pip install": "done by the installation",
    r"-weights \w+400|\.pth|\.pyth|imagenet|preset paper": "needs published weights, or days",
    r"swin-rgb|together|outcome|--rgb-run|joint bone|ROOT/context": "needs what is left out",
    r"slowonly|poseconv3d|rgb,pose|--stream all|--folds 5": "takes hours without a GPU",
    r"--seeds 8|--trials 100|--videos 192|--windows 2": "takes long; `make soak` has its like",
    r"postgresql": "needs a database server",
    r"…": "is an outline",
}
COPIES = {  # data that a page names -> the synthetic copy that replaces them
    "/data/iMiGUE": "--videos 12",
    "/data/SMG": "--layout smg --size long",
    "ROOT": "--videos 12",
}
VIDEOS = {"Sample0036": "Sample0024"}  # that a page names -> one of the copy, which has fewer
FILM = "cp $(find {copy} -name '*.mp4' | head -1)"
EAF = """python -c "from pympi import Eaf; e = Eaf(); e.add_tier('gestures'); \\
  e.add_annotation('gestures', 400, 900, 'nod'); e.to_file('{name}')\""""
FILES = {  # of the user -> how they come about
    "recordings": "mkdir -p recordings && " + FILM + " recordings/anna.mp4",
    "interviews/videos": "mkdir -p interviews/videos && "
    + FILM
    + " interviews/videos/anna.mp4 && "
    + EAF.replace("{name}", "interviews/anna.eaf"),
    "talk.mp4": FILM + " talk.mp4",
    "anna.eaf": EAF,
    "ben.eaf": EAF,
    "Sample0024.eaf": EAF,
    "talk.csv": "printf 'class,start_s,end_s\\nnod,0.4,1.0\\n' > talk.csv",
    "sample_submission.csv": "echo ,video_id,t_start,t_end,class,score > sample_submission.csv",
}


def blocks(page: str, language: str) -> list[tuple[str, str]]:
    """The fenced blocks of a language: the file named in the first line, or empty, and the rest."""
    found = re.findall(rf"^```{language}\n((?:.*\n)*?)```$", page, re.MULTILINE)
    parts = [re.fullmatch(r"(?:# ([\w/.]+)\n)?((?:.*\n)*)", block) for block in found]
    return [(part[1] or "", part[2]) for part in parts if part]


def write_files(page: str, folder: Path) -> None:
    """Writes the files that a page gives, which must be new, and applies its diffs."""
    for name, code in blocks(page, "python"):
        if name:
            assert not (folder / name).exists(), name
            (folder / name).write_text(code)
    for name, change in blocks(page, "diff"):
        lines = [(line[:1], line[1:]) for line in change.splitlines()]
        old = "\n".join(text for mark, text in lines if mark != "+")
        new = "\n".join(text for mark, text in lines if mark != "-")
        source = (folder / name).read_text()
        assert source.count(old) == 1, f"{name} has no single place for:\n{change}"
        (folder / name).write_text(source.replace(old, new))


def commands(page: str) -> list[str]:
    """The indented commands of a page, without comments, and its Python blocks without a file."""
    outside = re.sub(r"^```(?!python\n(?!# [\w/]+\.py\n))(?:.*\n)*?```$", "", page, flags=re.M)
    parts = re.findall(r"^    (\S.*)$|^```python\n((?:.*\n)*?)```$", outside, re.MULTILINE)
    return [
        f"python - <<'END'\n{block}END" if block else re.sub(r"\s+# .*", "", line)
        for line, block in parts
        if block or PROGRAM.match(line)
    ]


def reason_to_leave_out(command: str) -> str:
    """Why the command cannot run from a fresh clone; empty if it can."""
    return next((why for words, why in LEFT_OUT.items() if re.search(words, command)), "")


def borrow(environment: Path, clone: Path) -> None:
    """Links the programs of another environment where the Makefile expects its own."""
    (clone / ".venv/bin").mkdir(parents=True)
    for program in (environment / "bin").iterdir():
        (clone / ".venv/bin" / program.name).symlink_to(program)
    (clone / ".venv/.installed").touch()


def script_of(todo: list[str], folder: Path) -> str:
    """A shell script that prints and times each command, on synthetic copies in `folder`."""
    lines = ["set -e"]
    for command in todo:
        for video, own in VIDEOS.items():
            command = command.replace(video, own)
        for data, options in COPIES.items():
            copy = folder / Path(data).name
            if re.search(rf"(?<![\w/]){data}\b", command):
                command = re.sub(rf"(?<![\w/]){data}\b", str(copy), command)
                lines.append(f"[ -d {copy} ] || imigue-lab make-data {copy} {options}")
        for name, recipe in FILES.items():
            if re.search(rf"(?<![\w/]){name}(?![\w/])", command):
                copy = folder / "iMiGUE"
                lines.append(f"[ -d {copy} ] || imigue-lab make-data {copy} --videos 12")
                lines.append(f"[ -e {name} ] || {{ {recipe.format(copy=copy, name=name)}; }}")
        lines += [f"echo {shlex.quote(f'[stranger] {command}')}", command]
        lines.append('echo "[stranger] done after $SECONDS s"')
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="run the documented commands from a fresh clone")
    parser.add_argument("--environment", type=Path, help="use this environment and install nothing")
    parser.add_argument("--pages", nargs="+", type=Path, default=PAGES, help="these pages only")
    options = parser.parse_args()
    failed, count = [], 0
    with tempfile.TemporaryDirectory(prefix="stranger-") as folder:
        clone = Path(folder) / "imigue_lab"
        subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], check=True)
        variables = {
            k: v for k, v in os.environ.items() if not k.startswith(("IMIGUE_LAB", "VIRTUAL"))
        }
        if options.environment:
            borrow(options.environment.resolve(), clone)
            variables["PYTHONPATH"] = str(clone)
        for path in options.pages:
            page, name = path.read_text(), path.resolve().relative_to(CHECKOUT)
            todo = []
            for command in commands(page):
                if why := reason_to_leave_out(command):
                    print(f"[stranger] left out, {why}: {command}", flush=True)
                else:
                    todo.append(command)
            if not todo:
                continue
            write_files(page, clone)
            if name.parts[0] == "docs":  # README creates the environment and activates it
                todo = ["make install", "source .venv/bin/activate", *todo]
            count += len(todo)
            print(f"[stranger] page {name}: {len(todo)} commands", flush=True)
            script = script_of(todo, Path(folder))
            if subprocess.run(["bash", "-c", script], cwd=clone, env=variables).returncode:
                failed.append(str(name))
    print(f"[stranger] {count} commands; failed: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
