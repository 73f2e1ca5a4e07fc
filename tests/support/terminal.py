"""A terminal on which a program runs: a pseudo-terminal, and what a vt100 would show."""
from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

from servers import die_with_parent, end, until

_SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b[()][A-Z0-9]|\x1b[=>78]|\x1b\][^\x07]*\x07")


class Terminal:
    """Runs a command; `screen` is what stands there."""

    def __init__(self, command: list[str], environment: dict[str, str], lines: int = 24, columns: int = 80,
                 name: str = "vt100"):
        self.master, self.slave = os.openpty()
        self.lines, self.columns = lines, columns
        self.cells: dict[int, dict[int, str]] = {}
        self.row = self.column = 0
        self.raw = ""
        self._rest = b""
        self._set_size()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            command, stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE,
            env={**environment, "TERM": name, "LC_ALL": "C.UTF-8"}, start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_) -> None:
        end(self.process)
        os.close(self.master)
        os.close(self.slave)

    def resize(self, lines: int, columns: int) -> None:
        self.lines, self.columns = lines, columns
        self.cells = {}
        self._set_size()
        self.process.send_signal(signal.SIGWINCH)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    @property
    def screen(self) -> list[str]:
        self._read()
        written = {row: line for row, line in self.cells.items() if line}
        return ["".join(written.get(row, {}).get(column, " ")
                        for column in range(max(written.get(row, {}), default=-1) + 1)).rstrip()
                for row in range(max(written, default=-1) + 1)]

    def wait_for(self, what: str, seconds: float = 15) -> list[str]:
        """Until it stands on the screen, in one line; the screen then."""
        return until(lambda: next(([*lines] for lines in [self.screen] if any(what in line for line in lines)),
                                  None), f"{what!r} on the screen", seconds)

    def wait_end(self, seconds: float = 15) -> int:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read()
            time.sleep(0.01)
        self._read()
        return self.process.wait(1)

    def is_restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before

    def _set_size(self) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", self.lines, self.columns, 0, 0))

    def _read(self) -> None:
        while select.select([self.master], [], [], 0)[0]:
            self._rest += os.read(self.master, 65536)
        # What is cut waits for the rest of it.
        cut = self._rest.rfind(b"\x1b", -12)
        whole = self._rest if cut < 0 or _SEQUENCE.match(self._rest[cut:].decode(errors="replace")) \
            else self._rest[:cut]
        text, self._rest = whole.decode(errors="ignore"), self._rest[len(whole):]
        self.raw += text
        at = 0
        while at < len(text):
            found = _SEQUENCE.match(text, at)
            if found:
                self._obey(found.group(2), found.group(1) or "")
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    def _obey(self, command: str | None, argument: str) -> None:
        numbers = [int(n) for n in re.findall(r"\d+", argument)]
        first = numbers[0] if numbers else 1
        line = self.cells.setdefault(self.row, {})
        if command == "H":
            self.row, self.column = ([*numbers, 1, 1][0] - 1, [*numbers, 1, 1][1] - 1)
        elif command == "J":
            gone = [row for row in self.cells if row > self.row or numbers[:1] == [2]]
            for row in gone:
                self.cells[row] = {}
            self._erase(line)
        elif command == "K" and numbers[:1] == [1]:
            for column in [c for c in line if c <= self.column]:
                del line[column]
        elif command == "K":
            self._erase(line)
        elif command in ("A", "B", "C", "D"):
            self.row += {"A": -first, "B": first}.get(command, 0)
            self.column += {"C": first, "D": -first}.get(command, 0)

    def _erase(self, line: dict[int, str]) -> None:
        for column in [c for c in line if c >= self.column]:
            del line[column]

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self.row += 1
        elif letter == "\b":
            self.column = max(self.column - 1, 0)
        elif letter == "\t":
            self.column = (self.column // 8 + 1) * 8
        elif letter >= " ":
            self.cells.setdefault(self.row, {})[self.column] = letter
            self.column = min(self.column + 1, self.columns - 1)
