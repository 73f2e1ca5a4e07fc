"""Servers that can be killed, restarted, filled up and moved in time, and the address they have.

Built on support/servers.py: private directories, ended by pid.
"""
from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

import psycopg2
import redis
from harness import binary
from servers import (POSTGRES_BIN, START_SECONDS, Postgres, Redis, _as_postgres, die_with_parent, end,
                     until)

from generator import TookTooLong

SOCKET_NAME = ".s.PGSQL.5432"


class Clock:
    """The wall clock of processes that run with its environment: see skew.c."""

    def __init__(self, path: Path):
        path.write_bytes(bytes(8))
        path.chmod(0o644)
        self.path = path
        self._file = open(path, "r+b")
        self._page = mmap.mmap(self._file.fileno(), 8)

    def jump(self, seconds: float) -> None:
        """By how much it is off, from now on."""
        self._page[:] = struct.pack("q", int(seconds * 1000000))

    def is_bent_for(self, pid: int) -> bool:
        return Path(binary("TESTS_SKEW")).name in Path(f"/proc/{pid}/maps").read_text()

    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": binary("TESTS_SKEW"), "CHAOS_SKEW": str(self.path)}


class RedisNode(Redis):
    """A Redis that comes back with what it has on disk."""

    def __init__(self, directory: Path, fsync: str | None = "always", address: str | None = None,
                 clock: Clock | None = None):
        super().__init__(directory, appendonly=fsync is not None)
        self.fsync = fsync
        self.address = address
        self.clock = clock

    def start(self) -> None:
        command = ["redis-server", "--unixsocket", str(self.socket), "--dir", str(self.directory),
                   "--save", "", "--maxmemory-policy", "noeviction", "--appendonly",
                   "yes" if self.appendonly else "no", "--appendfsync", self.fsync or "no",
                   "--repl-diskless-sync-delay", "0", "--port", "6379" if self.address else "0"]
        if self.address:
            command += ["--bind", self.address, "--protected-mode", "no"]
        environment = {**os.environ, **(self.clock.environment() if self.clock else {})}
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, preexec_fn=die_with_parent(signal.SIGTERM))
        until(self._answers, "Redis answers", START_SECONDS)

    def kill(self) -> None:
        end(self.process, signal.SIGKILL)

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(os.fspath(self.socket))
        return connection

    def _answers(self) -> bool:
        try:
            return super()._answers()
        except redis.exceptions.BusyLoadingError:
            return False


class PostgresNode(Postgres):
    """A Postgres that can crash and come back."""

    def __init__(self, directory: Path, template: Path | None, *settings: str,
                 clock: Clock | None = None):
        super().__init__(directory, template)
        self.settings = settings
        self.clock = clock

    def start(self, seconds: float = START_SECONDS) -> None:
        options = ["listen_addresses=", f"unix_socket_directories={self.directory}",
                   "max_connections=100", "shared_buffers=64MB", "timezone=UTC",
                   # Terminated on purpose, by the thousand: not worth a line each.
                   "log_min_messages=panic", *self.settings]
        command = [POSTGRES_BIN / "postgres", "-D", self.data]
        for option in options:
            command += ["-c", option]
        environment = {**os.environ, **(self.clock.environment() if self.clock else {})}
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd="/", env=environment,
                                            preexec_fn=die_with_parent(signal.SIGQUIT),
                                            **_as_postgres())
        until(self._answers, "Postgres answers", seconds)

    def _answers(self) -> bool:
        try:
            return super()._answers()
        except TookTooLong:
            return False

    def admit(self, address: str, peer: str) -> None:
        """Listens on an address as well, for one peer. Before the start."""
        self.settings += (f"listen_addresses={address}",)
        with open(self.data / "pg_hba.conf", "a") as rules:
            rules.write(f"host all all {peer}/32 trust\n")

    def stop_immediately(self) -> None:
        """What `pg_ctl stop -m immediate` does."""
        end(self.process, signal.SIGQUIT)

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def open(self, port: int | None = None):
        """A connection, through a wire where a port is given."""
        address = f"host=127.0.0.1 port={port}" if port else f"host={self.directory}"
        connection = psycopg2.connect(f"{address} dbname=heddle user=heddle connect_timeout=3",
                                      application_name="chaos")
        return connection

    def connect_socket(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(os.fspath(self.directory / SOCKET_NAME))
        return connection
