"""Where measurements are made: servers, a fresh database for each, and the conditions."""
from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import report
from harness import Stack, binary
from servers import Postgres, new_directory, template
from workload import SEED_SQL

REPOSITORY = Path(__file__).parents[2]
CACHE = Path(os.environ.get("TESTS_CACHE", "/tmp/heddle-tests-cache"))
POSTGRES_SETTINGS = ("synchronous_commit", "fsync", "full_page_writes", "wal_sync_method",
                     "shared_buffers", "max_wal_size", "autovacuum")
REDIS_SETTINGS = ("appendonly", "appendfsync", "maxmemory-policy")


class Stage:
    """A private Postgres for the whole run; a stack for each measurement."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.directory = new_directory()
        self.postgres = Postgres(self.directory / "pg", template(CACHE))

    def __enter__(self) -> Stage:
        try:
            self.postgres.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.postgres.stop()
        shutil.rmtree(self.directory)

    @contextmanager
    def stack(self, users: int = 0) -> Iterator[Stack]:
        """A new Redis with its append-only file on, a new migrated database with the threads of so
        many users, a checkpoint."""
        stack = Stack(self.postgres)
        stack.redis_server.appendonly = True
        with stack:
            if users:
                stack.sql(SEED_SQL, users)
                stack.sql("vacuum analyze chat.threads")
            self._as_superuser("checkpoint")
            yield stack
            stack.connection.close()
        self._as_superuser(f"drop database {stack.database} with (force)")

    def server_pids(self, stack: Stack) -> dict[str, list[int]]:
        return {"redis": [stack.redis_server.process.pid],
                "postgres": [self.postgres.process.pid]}

    def _as_superuser(self, sql: str) -> None:
        connection = self.postgres.connect("postgres", "postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()


def conditions(stage: Stage, peers: list) -> dict[str, str]:
    """What a figure means nothing without."""
    with stage.stack() as stack:
        postgres = dict(stack.sql("select name, current_setting(name) from pg_settings"
                                  " where name = any(%s)", list(POSTGRES_SETTINGS)))
        version, = stack.sql("show server_version")[0]
        redis_version = stack.redis.info("server")["redis_version"]
        redis = {name: stack.redis.config_get(name)[name] for name in REDIS_SETTINGS}
    options = stage.options
    return {
        "heddle": f"{_output(binary('TESTS_HEDDLE'), 'version').splitlines()[0]}, commit {_commit()}",
        "machine": f"{os.cpu_count()} cores ({_processor()}), {_memory_gib()} GiB,"
                   f" Linux {platform.release()}",
        "load at the start": report.load(),
        "disk": _output("findmnt", "-no", "FSTYPE,SOURCE", "-T", str(stage.directory)),
        "postgres": f"{version}; " + ", ".join(f"{k}={postgres[k]}" for k in POSTGRES_SETTINGS),
        "redis": f"{redis_version}; " + ", ".join(f"{k}={v}" for k, v in redis.items()),
        "links": "unix sockets, all on this machine",
        "pgbench": f"{_output('pgbench', '--version')}; -M prepared,"
                   f" connections {options.connections}",
        **{peer.name: peer.version() or "absent: " + peer.absence() for peer in peers},
        "work": f"{options.count} operations of 200 bytes (of those that take long:"
                f" {options.peer_count}); latencies at {options.rate} a second",
        "runs": f"{options.runs}, in turns",
    }


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    return re.sub(r"[ \t]+", " ", done.stdout.strip()) if done.returncode == 0 else "unknown"


def _commit() -> str:
    changed = _output("git", "status", "--porcelain", "--", "src", "include", "workers")
    return _output("git", "rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return names[0] if names else platform.machine()


def _memory_gib() -> int:
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
