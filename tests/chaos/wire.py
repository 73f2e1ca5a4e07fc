"""A TCP proxy of ours: it cuts, delays, half-closes and holds links, at a chosen byte if wanted.

One thread for each direction of each connection. `up` is what clients send, `down` what the server
answers. A connection is known by its role: a name that is given where its first bytes say so.
"""
from __future__ import annotations

import socket
import struct
import threading
import time
from typing import Callable

UP, DOWN = "up", "down"
CHUNK = 1 << 16
# Bytes by which a connection tells what it is for.
ROLES = {b"heddle worker": "worker", b"heddle relay": "journal", b"heddle_settle": "settle",
         b"heddle_claim": "claim", b"heddle_beat": "beat", b"heddle_submit_many": "push",
         b"\r\njournal\r\n": "push", b"heddle_version": "reconcile", b"SUBSCRIBE": "wake"}


class Link:
    """One connection through the wire."""

    def __init__(self, client: socket.socket, server: socket.socket):
        self.ends = {UP: (client, server), DOWN: (server, client)}
        self.role = ""
        self.is_cut = False

    def cut(self) -> None:
        """Ends it at once, with a reset where the kernel has one to send."""
        self.is_cut = True
        for end in self.ends[UP]:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close_way(self, direction: str) -> bool:
        """What would still go this way never arrives; the other way stays open."""
        try:
            self.ends[direction][1].shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return True


class Trap:
    """Does something once, when a role's links have carried so many bytes one way since it was set.

    Where `spring` answers true, what this way would carry afterwards is dropped.
    """

    def __init__(self, role: str, direction: str, offset: int, spring: Callable[[Link], bool | None]):
        self.role, self.direction, self.offset, self.spring = role, direction, offset, spring
        self.count = 0
        self.has_sprung = threading.Event()


class Wire:
    """Listens on a port of its own. `upstream` opens a socket to the server."""

    def __init__(self, upstream: Callable[[], socket.socket]):
        self.upstream = upstream
        self.is_refusing = False
        self.delay_s = 0.0
        self.trap: Trap | None = None
        self._held: set[str] = set()
        self._state = threading.Condition()
        self._links: list[Link] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *roles: str) -> int:
        """Cuts every link, or those of these roles; how many."""
        with self._state:
            links = [link for link in self._links if not roles or link.role in roles]
            for link in links:
                link.cut()
            self._state.notify_all()
        return len(links)

    def half_close(self, direction: str) -> None:
        """Link.close_way of each."""
        with self._state:
            for link in self._links:
                link.close_way(direction)

    def hold(self, *directions: str) -> None:
        """Bytes stay here, on every link, until `release`."""
        with self._state:
            self._held = set(directions or (UP, DOWN))

    def release(self) -> None:
        with self._state:
            self._held = set()
            self._state.notify_all()

    def set_trap(self, trap: Trap | None) -> None:
        with self._state:
            self.trap = trap

    def close(self) -> None:
        self._listener.close()
        self.cut()
        self.release()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        try:
            if self.is_refusing:
                raise ConnectionRefusedError
            server = self.upstream()
        except OSError:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server)
        with self._state:
            self._links.append(link)
        pumps = [threading.Thread(target=self._pump, args=(link, way), daemon=True)
                 for way in (UP, DOWN)]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        with self._state:
            self._links.remove(link)
        client.close()
        server.close()

    def _pump(self, link: Link, direction: str) -> None:
        source, target = link.ends[direction]
        try:
            while data := source.recv(CHUNK):
                if direction == UP and not link.role:
                    link.role = next((role for mark, role in ROLES.items() if mark in data), "")
                if self.delay_s:
                    time.sleep(self.delay_s)
                self._wait_while_held(link, direction)
                if not self._forward(link, direction, target, data):
                    return
            self._wait_while_held(link, direction)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            link.cut()

    def _wait_while_held(self, link: Link, direction: str) -> None:
        with self._state:
            while direction in self._held and not link.is_cut:
                self._state.wait()
        if link.is_cut:
            raise ConnectionResetError

    def _forward(self, link: Link, direction: str, target: socket.socket, data: bytes) -> bool:
        with self._state:
            trap = self.trap
            is_its = trap and (trap.role, trap.direction) == (link.role, direction)
            room = trap.offset - trap.count if is_its else 0
            if is_its:
                trap.count += len(data)
                if trap.count < trap.offset:
                    is_its = False
                else:
                    self.trap = None
        if not is_its:
            target.sendall(data)
            return True
        if room:
            target.sendall(data[:room])
        is_dropped = trap.spring(link)
        trap.has_sprung.set()
        if link.is_cut:
            raise ConnectionResetError
        if is_dropped:
            return False
        target.sendall(data[room:])
        return True
