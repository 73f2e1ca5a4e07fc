"""deploy/up, in a fresh copy of the repository."""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BUILT = shutil.ignore_patterns("build", ".git", ".heddle", "node_modules", "__pycache__")


@pytest.fixture(scope="module")
def copy():
    """Not below a folder that the user `postgres` may not enter."""
    directory = Path(tempfile.mkdtemp(prefix="heddle-up-", dir="/tmp"))
    directory.chmod(0o755)
    copy = directory / "heddle"
    shutil.copytree(REPOSITORY, copy, ignore=BUILT)
    yield copy
    up(copy, "--purge")
    shutil.rmtree(directory)


def up(copy: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEDDLE_")}
    return subprocess.run([copy / "deploy/up", *arguments], env=environment, capture_output=True,
                          text=True, timeout=400)


def processes_of(copy: Path) -> list[str]:
    """Command lines of what runs with anything of the copy in it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = os.readlink(entry / "cwd") if entry.name.isdigit() else ""
        except OSError:
            continue
        if str(copy) in line or where.startswith(str(copy)):
            found.append(line)
    return found


def test_up_brings_everything_up_runs_a_demo_and_goes_without_a_trace(copy):
    first = up(copy)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    assert len(re.findall(r'"state": ?"done"', first.stdout)) >= 3, first.stdout[-3000:]
    assert "--down" in first.stdout
    assert any("heddle" in line and " run" in line for line in processes_of(copy))

    again = up(copy, "--no-demo")
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert '"done"' not in again.stdout

    down = up(copy, "--down")
    assert down.returncode == 0, down.stderr
    assert processes_of(copy) == []
    assert (copy / ".heddle").exists()
    assert up(copy, "--down").returncode == 0

    purge = up(copy, "--purge")
    assert purge.returncode == 0, purge.stderr
    assert not (copy / ".heddle").exists()


def test_up_refuses_a_flag_it_does_not_know(copy):
    done = up(copy, "--nonsense")
    assert done.returncode == 2
    assert "--nonsense" in done.stderr
