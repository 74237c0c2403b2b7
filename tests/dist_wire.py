# SPDX-License-Identifier: Apache-2.0
"""A node of bytes, for tests that say what no honest node would: the handshake of version 6, terms and frames, by the standard library alone."""
import hashlib
import re
import select
import socket
import struct
import time

PATIENCE = 120
OFFERED = 0xD07DF7FBC         # hidden, as OTP 25 says it
PLAIN = OFFERED & ~(1 << 13 | 1 << 23)  # no atoms in headers, no pieces
NEEDED = 0x403070F94


class Raw(bytes):
    """A term as it stands."""


class Atom(str):
    pass


class Pid(tuple):
    """node, id, serial, creation"""


class Ref(tuple):
    """node, creation, words ..."""


def atom(name):
    data = name.encode()
    return struct.pack(">BB", 119, len(data)) + data if len(data) < 256 else struct.pack(">BH", 118, len(data)) + data


def term(x):
    """Erlang's external form, without the byte 131."""
    if isinstance(x, Raw):
        return bytes(x)
    if isinstance(x, Atom):
        return atom(x)
    if isinstance(x, Pid):
        return b"X" + atom(x[0]) + struct.pack(">III", *x[1:])
    if isinstance(x, Ref):
        return struct.pack(">BH", 90, len(x) - 2) + atom(x[0]) + struct.pack(f">{len(x) - 1}I", *x[1:])
    if isinstance(x, bytes):
        return struct.pack(">BI", 109, len(x)) + x
    if isinstance(x, int):
        if 0 <= x < 256:
            return struct.pack(">BB", 97, x)
        if -(1 << 31) <= x < 1 << 31:
            return struct.pack(">Bi", 98, x)
        size = (x.bit_length() + 7) // 8
        return struct.pack(">BBB", 110, size, 0) + x.to_bytes(size, "little")
    parts = b"".join(map(term, x))
    if isinstance(x, tuple):
        return struct.pack(">BB", 104, len(x)) + parts
    return struct.pack(">BI", 108, len(x)) + parts + b"j" if x else b"j"


def digest(cookie, challenge):
    return hashlib.md5(f"{cookie}{challenge}".encode()).digest()


def framed(body):
    return struct.pack(">I", len(body)) + body


def shake(body):
    return struct.pack(">H", len(body)) + body


def name_message(name, flags=OFFERED, creation=7):
    data = name if isinstance(name, bytes) else name.encode()
    return shake(b"N" + struct.pack(">QIH", flags, creation, len(data)) + data)


def dial(port, source="127.0.0.1"):
    s = socket.socket()
    s.settimeout(PATIENCE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.bind((source, 0))
    s.connect(("127.0.0.1", port))
    return s


def exactly(s, size):
    data = b""
    while len(data) < size:
        more = s.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def hear(s):
    """The next message of a handshake."""
    return exactly(s, struct.unpack(">H", exactly(s, 2))[0])


def closes(s, seconds=PATIENCE):
    """Whether the other side closes within that time; what it says meanwhile is passed over."""
    until = time.monotonic() + seconds
    while select.select([s], [], [], max(0, until - time.monotonic()))[0]:
        try:
            if not s.recv(65536):
                return True
        except OSError:
            return True
    return False


class Node:
    """One that is connected to a mote node at `port`; `me` is a process of it."""

    def __init__(self, port, host, name, cookie, flags=OFFERED, source="127.0.0.1"):
        self.host, self.name, self.flags, self.creation = host, name, flags, 7
        self.me = Pid((name, 1, 0, self.creation))
        self.socket = dial(port, source)
        self.rest = b""
        self.socket.sendall(name_message(name, flags))
        status = hear(self.socket)
        if status == b"salive":
            self.socket.sendall(shake(b"strue"))
        elif status not in (b"sok", b"sok_simultaneous"):
            raise ConnectionError(status)
        challenge = hear(self.socket)
        theirs, self.theirs = struct.unpack(">I", challenge[9:13])[0], struct.unpack(">I", challenge[13:17])[0]
        ours = 0x12345678
        self.socket.sendall(shake(b"r" + struct.pack(">I", ours) + digest(cookie, theirs)))
        if hear(self.socket) != b"a" + digest(cookie, ours):
            raise ConnectionError("its digest is wrong")

    def send(self, data):
        """False: the other side has hung up."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def frame(self, control, payload=None, end=b""):
        """A message. `payload` None: none."""
        body = term(control) + end, b"" if payload is None else term(payload)
        if self.flags & (1 << 13 | 1 << 23):
            return framed(b"\x83D\0" + body[0] + body[1])
        return framed(b"p\x83" + body[0] + (b"\x83" + body[1] if body[1] else b""))

    def named(self, name, message):
        return self.frame((6, self.me, Atom(""), Atom(name)), message)

    def waits_for(self, pattern, seconds=PATIENCE):
        """Reads until bytes match; None: it hangs up before."""
        until = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.rest, re.DOTALL)
            if found:
                self.rest = self.rest[found.end():]
                return found
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError(f"{self.name} waits for {pattern!r}")
            try:
                more = self.socket.recv(1 << 20)
            except OSError:
                more = b""
            if not more:
                return None
            self.rest = self.rest[-65536:] + more

    def echo(self, mark, to="servant"):
        """Whether a process answers, with how long that took; None: it hangs up."""
        begin = time.monotonic()
        mark = mark.encode() if isinstance(mark, str) else mark
        if not self.send(self.named(to, (self.me, Atom("echo"), mark))):
            return None
        return time.monotonic() - begin if self.waits_for(re.escape(mark)) else None

    def close(self):
        self.socket.close()
