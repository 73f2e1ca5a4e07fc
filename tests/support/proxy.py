"""A proxy before a server's unix socket that can hold back what a client has sent."""
from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

SOCKET_NAME = ".s.PGSQL.5432"
CHUNK = 1 << 16


class Proxy:
    """Before the socket `name` in `upstream`, there is one in `directory`. Ends with `close`."""

    def __init__(self, directory: Path, upstream: Path, name: str = SOCKET_NAME):
        directory.mkdir()
        self.directory = directory
        self._upstream = upstream / name
        self._is_dropping = False
        self._pattern: bytes | None = None
        self._held = threading.Event()
        self._open = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(directory / name))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, pattern: bytes = b"") -> None:
        """From the next bytes of a client that contain `pattern` on, its bytes stay here."""
        self._held.clear()
        self._open.clear()
        self._pattern = pattern

    def wait_held(self, seconds: float = 30) -> None:
        assert self._held.wait(seconds), f"nothing was held within {seconds} s"

    def release(self) -> None:
        self._pattern = None
        self._open.set()

    def drop(self) -> None:
        """What is held is lost, with its connection."""
        self._is_dropping = True
        self.release()

    def close(self) -> None:
        self.drop()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(os.fspath(self._upstream))
            for source, target, is_client in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, target, is_client),
                                 daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        try:
            while data := source.recv(CHUNK):
                if is_client and self._pattern is not None and self._pattern in data:
                    self._held.set()
                    self._open.wait()
                    if self._is_dropping:
                        break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
