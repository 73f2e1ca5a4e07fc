"""A program with one rule broken must fail the test that guards the rule."""
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Mutant:
    file: str
    old: str
    new: str
    guard: str  # the test that must fail, as FILE::PREFIX_OF_ITS_NAME, or PROGRAM::NAME of integration


@pytest.fixture(scope="module")
def copy():
    """A copy of the source, with a build folder that all mutants share."""
    directory = Path(tempfile.mkdtemp(prefix="heddle-mutants-", dir="/tmp"))
    for name in ("include", "src", "workers", "tests", "deploy"):
        shutil.copytree(REPOSITORY / name, directory / name)
    shutil.copy(REPOSITORY / "CMakeLists.txt", directory)
    subprocess.run(["cmake", "-S", directory, "-B", directory / "build", "-G", "Ninja",
                    "-DCMAKE_C_FLAGS=-O1 -w"], check=True, stdout=subprocess.DEVNULL)
    yield directory
    shutil.rmtree(directory)


def run_guard(copy: Path, guard: str) -> subprocess.CompletedProcess:
    build = copy / "build"
    file, name = guard.split("::")
    is_program = not file.endswith(".py")
    targets = [f"integration_{file}"] if is_program else ["heddle", "heddle-probe"]
    subprocess.run(["cmake", "--build", build, "--target", *targets], check=True,
                   stdout=subprocess.DEVNULL)
    if is_program:
        # One that hangs has failed before.
        return subprocess.run([copy / "tests/support/with-servers", "timeout", "60", build / "tests" / targets[0]],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.run(
        ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line",
         copy / "tests/e2e" / file, "-k", name], capture_output=True, text=True,
        env={**os.environ, "TESTS_HEDDLE": str(build / "bin/heddle"),
             "TESTS_PROBE": str(build / "tests/heddle-probe")})


def assert_found(copy: Path, mutant: Mutant) -> None:
    file = copy / mutant.file
    whole = file.read_text()
    assert whole.count(mutant.old) == 1, "the mutant no longer fits the source"
    file.write_text(whole.replace(mutant.old, mutant.new))
    try:
        done = run_guard(copy, mutant.guard)
    finally:
        file.write_text(whole)
    print(done.stdout[-2000:])
    assert done.returncode > 0
    assert re.search(r"^(FAILED|\[  FAILED  \]) .*" + mutant.guard.split("::")[1], done.stdout, re.M)
