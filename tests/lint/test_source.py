"""Rules of the source that no compiler knows."""
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDERS = ("include", "src", "workers", "tests")
FILE_LINES_MAX, FUNCTION_LINES_MAX = 400, 70


def sources(*suffixes: str) -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*"))
            if path.suffix in suffixes]


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Name and length of each function; its braces stand alone at the left edge."""
    lines = text.splitlines()
    opened = None
    for number, line in enumerate(lines):
        if line == "{":
            opened = number
        elif line == "}" and opened is not None:
            head = " ".join(lines[max(opened - 4, 0):opened])
            found = re.findall(r"(\w+)\(", head)
            yield found[-1] if found else "?", number - opened + 1
            opened = None


C_FILES = sources(".c", ".h")


@pytest.mark.parametrize("path", C_FILES, ids=name)
def test_a_file_and_its_functions_are_short(path):
    text = path.read_text()
    assert text.count("\n") <= FILE_LINES_MAX
    assert [(f, lines) for f, lines in functions(text) if lines > FUNCTION_LINES_MAX] == []


@pytest.mark.parametrize("path", C_FILES, ids=name)
def test_a_file_begins_with_a_comment_on_its_purpose(path):
    assert path.read_text().startswith("/*")


def test_every_function_was_seen():
    text = (REPOSITORY / "src/base/text.c").read_text()
    assert {"text_is_utf8", "text_make_line"} <= {function for function, _ in functions(text)}


def test_includes_name_a_layer_not_a_place():
    climbing = [name(path) for path in C_FILES if re.search(r'#include "\.\./', path.read_text())]
    assert climbing == []


@pytest.mark.parametrize("header, owner", [("hiredis", "src/link/redis"), ("libpq-fe.h", "src/link/pg")])
def test_a_client_library_is_included_in_one_place(header, owner):
    users = [name(path) for path in C_FILES
             if re.search(rf"#include [<\"](\w+/)?{re.escape(header)}", path.read_text())]
    assert users
    assert [user for user in users if not user.startswith((owner, "tests/"))] == []


def test_the_source_is_formatted():
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *C_FILES], capture_output=True,
                          text=True, cwd=REPOSITORY)
    assert sorted(set(re.findall(r"^(\S+?):\d+", done.stderr, re.M))) == []


def test_shell_scripts_are_fit_to_run():
    scripts = [path for folder in ("tests", "deploy", ".ci") if (REPOSITORY / folder).exists()
               for path in (REPOSITORY / folder).rglob("*")
               if path.is_file() and path.read_bytes().startswith((b"#!/bin/bash", b"#!/usr/bin/env bash"))]
    assert scripts
    for script in scripts:
        assert os.access(script, os.X_OK), name(script)
        assert subprocess.run(["bash", "-n", script]).returncode == 0
