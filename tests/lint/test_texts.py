"""What the repository says about itself is what the program says."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
HEDDLE = os.environ["TESTS_HEDDLE"]
# Each with a class of one letter, so that this file passes its own test.
FORBIDDEN = (r"/wor[k]/", r"/ro[o]t/", r"/hom[e]/\w", r"\bTOD[O]\b", r"\bFIXM[E]\b", r"\bXX[X]\b",
             r"\bHAC[K]\b", r"(?i)\bissu[e] #?\d", r"(?i)\bclaud[e]\b", r"(?i)\bchatgp[t]\b",
             r"\bpypi\.or[g]\b", r"\bregistry\.npmj[s]")
BINARY = (".gz", ".png", ".ico", ".woff2")


def files() -> list[str]:
    """Relative names of what the repository holds, without what is built."""
    built = ("build", ".git", ".heddle", "node_modules", "__pycache__", ".pytest_cache")
    return sorted(str(path.relative_to(REPOSITORY)) for path in REPOSITORY.rglob("*")
                  if path.is_file() and not set(path.relative_to(REPOSITORY).parts) & set(built))


def heddle(*arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEDDLE_")}
    return subprocess.run([HEDDLE, *arguments], capture_output=True, text=True, check=True,
                          env=environment).stdout


def settings() -> dict[str, dict]:
    return json.loads(heddle("config", "--output", "json"))


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_texts_speak_of_heddle_alone(pattern):
    found = [name for name in files() if not name.endswith(BINARY)
             and re.search(pattern, (REPOSITORY / name).read_text(errors="replace"))]
    assert found == []


def test_the_example_file_is_the_one_that_heddle_prints():
    example = (REPOSITORY / "deploy/heddle.conf.example").read_text()
    assert example == heddle("config", "--example")


def test_the_table_of_settings_in_the_readme_is_the_one_of_the_code():
    readme = (REPOSITORY / "README.md").read_text()
    table = re.search(r"<!-- config -->\n(.*?)<!-- /config -->", readme, re.S).group(1)
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")]
            for line in table.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == list(settings())
    for key, default, *_ in rows:
        assert default == settings()[key]["value"], key


def test_every_folder_explains_itself():
    folders = {str(Path(name).parent) for name in files() if name.count("/") in (1, 2)}
    named = {"src", "workers", "tests", "deploy", "include/heddle"} | {
        folder for folder in folders if re.fullmatch(r"src/\w+", folder)}
    assert [folder for folder in sorted(named) if not (REPOSITORY / folder / "README.md").exists()] == []
