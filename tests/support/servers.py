"""Private Redis and Postgres servers for tests.

They live in a temporary directory, listen on unix sockets only, and are ended by pid. Should the
process that started them die, the kernel ends them (PR_SET_PDEATHSIG). As root, Postgres runs as
the user `postgres`, since it refuses root.
"""
from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable

import psycopg2
import redis

POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")
PR_SET_PDEATHSIG = 1
START_SECONDS = 30
STOP_SECONDS = 15

_libc = ctypes.CDLL(None, use_errno=True)


def until(condition: Callable[[], object], what: str, seconds: float = 30, step: float = 0.01):
    """Polls until `condition` gives something true, and returns it; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(step)


def die_with_parent(last_signal: int) -> Callable[[], None]:
    """For preexec_fn: the child gets `last_signal` when its parent dies."""
    return lambda: _libc.prctl(PR_SET_PDEATHSIG, last_signal) and None


def end(process: subprocess.Popen, *signals: int, seconds: float = STOP_SECONDS) -> int:
    """Sends each signal in turn until the process has ended; SIGKILL is the last."""
    for number in (*signals, signal.SIGKILL):
        if process.poll() is not None:
            break
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    return process.wait(seconds)


class Redis:
    """A redis-server without persistence, unless `appendonly` is asked for."""

    def __init__(self, directory: Path, appendonly: bool = False):
        directory.mkdir()
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.appendonly = appendonly
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", str(self.socket),
                 "--dir", str(self.directory), "--save", "", "--maxmemory-policy", "noeviction",
                 "--appendonly", "yes" if self.appendonly else "no"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent(signal.SIGTERM))
        until(self._answers, "Redis answers", START_SECONDS)

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=90)

    def stop(self) -> None:
        if self.process:
            end(self.process, signal.SIGTERM)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError("redis-server ended:\n" + (self.directory / "log").read_text()[-2000:])
        try:
            with self.client() as client:
                return client.ping()
        except redis.ConnectionError:
            return False


class Postgres:
    """A cluster copied from the template, with role and database `heddle`."""

    def __init__(self, directory: Path, template: Path | None):
        self.directory = directory
        self.data = directory / "data"
        self.process: subprocess.Popen | None = None
        directory.mkdir()
        _give_to_postgres(directory)
        if template:
            subprocess.run(["cp", "--reflink=auto", "-a", template, self.data], check=True)

    def conninfo(self, database: str = "heddle", user: str = "heddle") -> str:
        return f"host={self.directory} dbname={database} user={user}"

    def start(self) -> None:
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [POSTGRES_BIN / "postgres", "-D", self.data, "-c", "listen_addresses=",
                 "-c", f"unix_socket_directories={self.directory}", "-c", "max_connections=100",
                 "-c", "shared_buffers=64MB", "-c", "timezone=UTC"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                preexec_fn=die_with_parent(signal.SIGQUIT), **_as_postgres())
        until(self._answers, "Postgres answers", START_SECONDS)

    def connect(self, database: str = "heddle", user: str = "heddle"):
        connection = psycopg2.connect(self.conninfo(database, user))
        connection.autocommit = True
        return connection

    def stop(self) -> None:
        if self.process:
            end(self.process, signal.SIGINT, signal.SIGQUIT)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError("postgres ended:\n" + (self.directory / "log").read_text()[-2000:])
        try:
            self.connect("postgres", "postgres").close()
            return True
        except psycopg2.OperationalError:
            return False


class Servers:
    """Both servers in one temporary directory: a context manager."""

    def __init__(self, cache: Path, appendonly: bool = False):
        self.directory = new_directory()
        self.redis = Redis(self.directory / "redis", appendonly)
        self.postgres = Postgres(self.directory / "pg", template(cache))

    def environment(self) -> dict[str, str]:
        return {"HEDDLE_REDIS": self.redis.url, "HEDDLE_POSTGRES": self.postgres.conninfo()}

    def __enter__(self) -> Servers:
        try:
            self.redis.start()
            self.postgres.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.redis.stop()
        self.postgres.stop()
        shutil.rmtree(self.directory)


def new_directory() -> Path:
    """Short, since a socket's path is; open to the user `postgres`, as TMPDIR may not be."""
    directory = Path(tempfile.mkdtemp(prefix="heddle-", dir="/tmp"))
    directory.chmod(0o755)
    return directory


def _as_postgres() -> dict:
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _give_to_postgres(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def template(cache: Path) -> Path:
    """The cluster that every test copies: made once, by whoever comes first."""
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / "postgres-15"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make_template(made)
    return made


def _make_template(template: Path) -> None:
    work = new_directory()
    try:
        postgres = Postgres(work / "pg", None)
        subprocess.run(
            [POSTGRES_BIN / "initdb", "-D", postgres.data, "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **_as_postgres())
        postgres.start()
        try:
            with postgres.connect("postgres", "postgres").cursor() as cursor:
                cursor.execute("create role heddle login createdb")
                cursor.execute("create database heddle owner heddle")
        finally:
            postgres.stop()
        half = template.with_suffix(".new")
        shutil.rmtree(half, ignore_errors=True)
        subprocess.run(["cp", "-a", postgres.data, half], check=True)
        half.rename(template)
    finally:
        shutil.rmtree(work)
