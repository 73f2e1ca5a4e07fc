"""A network namespace beside ours, and the cable between them."""
from __future__ import annotations

import itertools
import os
import subprocess

_numbers = itertools.count()


class Namespace:
    """A network namespace with a virtual cable to this one."""

    def __init__(self) -> None:
        number = os.getpid() * 8 + next(_numbers)
        self.name = f"heddle-{number}"
        self.cable = (f"hdl{number}a", f"hdl{number}b")
        network = f"10.{100 + number // 250 % 150}.{number % 250}"
        self.here, self.there = f"{network}.1", f"{network}.2"

    def lay(self) -> None:
        a, b = self.cable
        self._ip("netns", "add", self.name)
        self._ip("link", "add", a, "type", "veth", "peer", "name", b, "netns", self.name)
        self._ip("addr", "add", f"{self.here}/30", "dev", a)
        self._ip("link", "set", a, "up")
        self._ip("-n", self.name, "addr", "add", f"{self.there}/30", "dev", b)
        self._ip("-n", self.name, "link", "set", b, "up")
        self._ip("-n", self.name, "link", "set", "lo", "up")
        self.addresses = (self._hardware(a), self._hardware(b, "-n", self.name))

    def enter(self) -> list[str]:
        """A command before the one that shall run in there."""
        return ["ip", "netns", "exec", self.name]

    def part(self, there_to_here: bool, here_to_there: bool) -> None:
        """A wrong hardware address for the peer: what is sent there is dropped by whoever gets it."""
        nowhere = "02:00:00:00:00:99"
        self._point(nowhere if here_to_there else self.addresses[1],
                    nowhere if there_to_here else self.addresses[0])

    def join(self) -> None:
        self.part(False, False)

    def remove(self) -> None:
        subprocess.run(["ip", "link", "del", self.cable[0]], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    def _point(self, for_there: str, for_here: str) -> None:
        self._ip("neigh", "replace", self.there, "lladdr", for_there, "dev", self.cable[0], "nud", "permanent")
        self._ip("-n", self.name, "neigh", "replace", self.here, "lladdr", for_here, "dev", self.cable[1],
                 "nud", "permanent")

    def _hardware(self, device: str, *where: str) -> str:
        return self._ip(*where, "-br", "link", "show", device).split()[2]

    @staticmethod
    def _ip(*arguments: str) -> str:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"a partition needs network namespaces: ip {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout
