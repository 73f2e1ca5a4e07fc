"""What the end-to-end tests drive: the built binaries, a queue client, SQL, on one stack.

TESTS_HEDDLE and TESTS_PROBE name the binaries; ctest sets them.
"""
from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from servers import Postgres, Redis, die_with_parent, end, new_directory, until

HERE = Path(__file__).parent
DONE_SECONDS = 30
_databases = itertools.count(1)

Bytes = str | bytes


def binary(variable: str) -> str:
    if variable not in os.environ:
        raise RuntimeError(f"{variable} is not set: run the tests by tests/run or ctest")
    return os.environ[variable]


def sanitized() -> bool:
    """Under a sanitizer memory grows by design and everything is slower."""
    return bool(os.environ.get("TESTS_SANITIZE"))


class Processor:
    """A process that drains the queue: `heddle run`, or the probe.

    As a context manager it is stopped at the end, and must then have drained.
    """

    def __init__(self, command: list[str], environment: dict[str, str], log: Path):
        self.log_path = log
        self.environment = environment
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                preexec_fn=die_with_parent(signal.SIGKILL))
        self.pid = self.process.pid

    def __enter__(self) -> Processor:
        return self

    def __exit__(self, failure, *_) -> None:
        if failure:
            self.kill()
        elif self.process.poll() is None:
            assert self.stop() == 0, f"did not drain:\n{self.log()[-2000:]}"

    def wait_ready(self) -> Processor:
        until(self._is_ready, f"{self.log_path.name} is ready", 30)
        return self

    def log(self) -> str:
        path = self.log_path
        return path.read_text(errors="replace") if path.exists() else "(gone with its stack)"

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        end(self.process, signal.SIGKILL)

    def stop(self, seconds: float = 60) -> int:
        """TERM, and the exit code; negative where it had to be killed."""
        self.tell_to_stop()
        return self.wait_end(seconds)

    def tell_to_stop(self) -> None:
        """Once: to be told again is to be told to hurry."""
        self.resume()
        self.process.send_signal(signal.SIGTERM)

    def wait_end(self, seconds: float) -> int:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        return end(self.process)

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def children(self) -> list[int]:
        """The processors below a supervisor."""
        return self.pids()[1:]

    def pids(self) -> list[int]:
        """Its own and those of the processes below it; what ends meanwhile is not among them."""
        found = [self.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += map(int, children.read_text().split())
        return found

    def open_files(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def memory_kib(self) -> int:
        rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids())
        return sum(int(re.search(r"^Anonymous:\s+(\d+)", text, re.M).group(1)) for text in rollups)

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode} at start:\n{self.log()}")
        return re.search(r'^\S+ +\S+ +ready\b|"event": ?"ready"', self.log(), re.M) is not None


class Client:
    """A web tier: nothing but a Redis client and the functions of the contract."""

    def __init__(self, redis):
        self.redis = redis

    def submit(self, user: Bytes, op: Bytes, thread: Bytes = "", payload: Bytes = "{}",
               **options) -> tuple[str, str]:
        """Returns (id, state); redis.ResponseError where it is refused."""
        flat = [item for pair in options.items() for item in pair]
        answer = self.redis.execute_command("FCALL", "heddle_submit", 0, user, op, thread,
                                            payload, *flat)
        return answer[0].decode(), answer[1].decode()

    def result(self, user: Bytes, operation: str, seconds: int = DONE_SECONDS) -> dict:
        """Takes one reply of an operation that was submitted with `reply`."""
        answer = self.redis.blpop(self.reply_key(user, operation), seconds)
        assert answer, f"no reply for {operation} within {seconds} s"
        return json.loads(answer[1])

    def do(self, user: Bytes, op: str, thread: str = "", payload: Bytes | dict = b"",
           **options) -> dict:
        """Submits and waits for the result."""
        body = json.dumps(payload) if isinstance(payload, dict) else payload
        operation, _ = self.submit(user, op, thread, body, reply=1, **options)
        return self.result(user, operation)

    def status(self, user: Bytes, operation: str) -> tuple[str, dict | None]:
        state, result = self.redis.execute_command("FCALL", "heddle_status", 0, user, operation)
        return state.decode(), json.loads(result) if result else None

    def wait_ended(self, user: Bytes, operation: str, seconds: float = DONE_SECONDS) -> str:
        ended = ("done", "failed", "dead", "cancelled", "unknown")
        return until(lambda: next((s for s in [self.status(user, operation)[0]] if s in ended), None),
                     f"{operation} has ended", seconds)

    def partition(self, user: Bytes) -> int:
        raw = user.encode() if isinstance(user, str) else user
        return int(hashlib.sha1(raw).hexdigest()[:4], 16) % int(self.redis.get("heddle:partitions"))

    def reply_key(self, user: Bytes, operation: str) -> str:
        return f"heddle:{{{self.partition(user)}}}:reply:{operation}"


class Stack:
    """A Redis and a database of its own, migrated: a context manager.

    Ends every process that it started.
    """

    def __init__(self, postgres: Postgres):
        self.postgres = postgres
        self.directory = new_directory()
        self.database = f"stack_{next(_databases)}"
        self.processors: list[Processor] = []
        self.redis_server = Redis(self.directory / "redis")
        self.redis = self.redis_server.client()
        self.client = Client(self.redis)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HEDDLE_")},
            "HEDDLE_REDIS": self.redis_server.url,
            "HEDDLE_POSTGRES": postgres.conninfo(self.database),
        }

    def __enter__(self) -> Stack:
        try:
            self.redis_server.start()
            with self.postgres.connect("postgres", "postgres").cursor() as cursor:
                cursor.execute(f"create database {self.database} owner heddle")
            self.connection = self.postgres.connect(self.database)
            migrated = self.cli("migrate")
            assert migrated.returncode == 0, migrated.stderr
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        for processor in self.processors:
            processor.kill()
        self.redis_server.stop()
        shutil.rmtree(self.directory)

    def cli(self, *arguments: Bytes, input: bytes | None = None, timeout: float = 120,
            **environment: str) -> subprocess.CompletedProcess:
        """Runs `heddle`; output as text, whatever bytes it has."""
        done = subprocess.run([binary("TESTS_HEDDLE"), *arguments], input=input, capture_output=True,
                              timeout=timeout, env={**self.environment, **environment})
        done.stdout = done.stdout.decode(errors="backslashreplace")
        done.stderr = done.stderr.decode(errors="backslashreplace")
        return done

    def run(self, *flags: str, workers: int = 4, **environment: str) -> Processor:
        """Starts `heddle run` and waits until it is ready."""
        return self._start([binary("TESTS_HEDDLE"), "run", *flags],
                           {"HEDDLE_WORKERS": str(workers), **environment})

    def probe(self, *flags: str, **environment: str) -> Processor:
        """Starts a processor with the probe handlers and waits until it is ready."""
        if not self.sql("select to_regclass('probe.events') is not null")[0][0]:
            self.sql((HERE / "probe.sql").read_text())
        return self._start([binary("TESTS_PROBE"), *flags], 
                           {"PROBE_DIR": str(self.directory), **environment})

    def sql(self, query: str, *parameters) -> list[tuple]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def prepare_log(self) -> list[dict]:
        """The lines that probe_prepare wrote, oldest first."""
        path = self.directory / "prepare.log"
        lines = path.read_text().splitlines() if path.exists() else []
        names = ("phase", "lane", "operation", "n", "pid", "tid", "at_us")
        return [dict(zip(names, (int(v) if v.isdigit() else v for v in line.split("\t")), strict=True))
                for line in lines]

    def open_gate(self, gate: str, processor: Processor) -> None:
        (self.directory / f"{gate}.{processor.pid}").touch()

    def open_gate_for_all(self, gate: str, supervisor: Processor) -> None:
        for pid in supervisor.pids():
            (self.directory / f"{gate}.{pid}").touch()

    def sessions(self, state: str = "%") -> int:
        """Postgres sessions of Heddle in this database, without the test's own."""
        return self.sql("select count(*) from pg_stat_activity where datname = current_database()"
                        " and pid <> pg_backend_pid() and state like %s", state)[0][0]

    def wait_no_sessions(self) -> None:
        """Postgres notices a moment later that a client has gone."""
        until(lambda: self.sessions() == 0, "no session is left", 10)

    def _start(self, command: list[str], environment: dict[str, str]) -> Processor:
        log = self.directory / f"{Path(command[0]).name}-{len(self.processors) + 1}.log"
        processor = Processor(command, {**self.environment, **environment}, log)
        self.processors.append(processor)
        return processor.wait_ready()


def new_id() -> str:
    return str(uuid.uuid4())
