#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mote node under attack: clients of bytes say what no honest node would, while an honest peer goes on being served.

  tests/dist_attack.py PROGRAM [NAME ...]     PROGRAM: tests/dist/node.c, built. NAME: of groups below; all of them without

The names of the cases are those of docs/design/dist-security.md. MOTE_TEST_LONG: as many bad handshakes, atoms and random frames as are asked for there.
"""
import math
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import dist_wire as wire
from dist_erlang import free_port
from dist_wire import Atom, Pid, Raw, Ref, framed, term

COOKIE = "a_cookie_of_these_tests"
HOST = "victim@127.0.0.1"
LONG = bool(os.environ.get("MOTE_TEST_LONG"))
UNDER_TOOL = bool(os.environ.get("MOTE_TEST_UNDER"))
HANDSHAKES = 100_000 if LONG else 1_000 if UNDER_TOOL else 10_000
MIB = 1 << 20


class Victim:
    def __init__(self, program, work, *limits):
        self.program, self.work = program, work
        self.epmd = free_port()
        environment = dict(os.environ, HOME=work, ERL_EPMD_PORT=str(self.epmd))
        self.log_file = pathlib.Path(work, f"log{self.epmd}")
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen([program, HOST, COOKIE, "0", "60000", "hidden", *map(str, limits)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        if self.process.stdout.readline() != b"ready\n":
            raise SystemExit(f"the node does not start: {self.log()}")
        with socket.create_connection(("127.0.0.1", self.epmd)) as s:
            s.sendall(wire.shake(b"zvictim"))
            self.port = struct.unpack(">H", wire.exactly(s, 4)[2:])[0]
        self.count = 0
        self.honest = wire.Node(self.port, HOST, "honest@127.0.0.1", COOKIE, wire.PLAIN)
        self.servant = self.new("servant")
        self.honest.send(self.honest.named("servant", Atom("trap")))  # anybody may link with it, and be lost

    def new(self, name):
        """One more servant."""
        self.honest.send(self.honest.named("keeper", (self.honest.me, Atom("new"), Atom(name))))
        found = self.honest.waits_for(b"servantXw." + re.escape(HOST.encode()) + b"(.{12})")
        return Pid((HOST, *struct.unpack(">III", found.group(1))))

    def tells(self, name, done, *what):
        """Has a servant do something."""
        self.honest.send(self.honest.named(name, (self.honest.me, *what)))
        assert self.honest.waits_for(done)

    def has_ended(self, pid):
        self.honest.send(self.honest.named("keeper", (self.honest.me, Atom("alive"), pid)))
        return self.honest.waits_for(b"alivew.(true|false)").group(1) == b"false"

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def peer(self, name=None, flags=wire.OFFERED, **how):
        self.count += 1
        return wire.Node(self.port, HOST, name or f"evil{self.count}@127.0.0.1", COOKIE, flags, **how)

    def rss(self):
        """Bytes of memory."""
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")).group(1)) * 1024

    def atoms(self):
        self.honest.send(self.honest.named("servant", (self.honest.me, Atom("atoms"))))
        return int(self.honest.waits_for(rb"atoms=(\d+)\.").group(1))

    def until_atoms(self, most):
        """Waits until no more are left: the end of a connection may be about to be heard."""
        until = time.monotonic() + wire.PATIENCE
        while self.atoms() > most:
            assert time.monotonic() < until, f"{self.atoms() - most} atoms more are left"

    def serves(self):
        """The honest peer is, and who it is served by has not ended: seconds."""
        self.count += 1
        took = self.honest.echo(f"honest mark {self.count}.")
        assert took is not None, "the honest peer's connection is lost"
        return took

    def says(self, text, seconds=wire.PATIENCE):
        """Waits for words in its log."""
        until = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < until, f"its log does not say {text!r}: ...{self.log()[-600:]}"
            threading.Event().wait(0.005)

    def end(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(wire.PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            code = self.process.wait()
        assert code == 0, f"it has ended with {code}: ...{self.log()[-2000:]}"


def same_memory(victim, before, most, what):
    if not UNDER_TOOL:
        grown = victim.rss() - before
        assert grown < most, f"{what}: {grown / MIB:.1f} MiB more"


# ------------------------------------------------------------------------------------------------ after the cookie: frames
# Each: name, whether the connection is CUT or KEPT, and what is said by `n`, a peer, to `v`.

CUT, KEPT = True, False


def to_servant(n, what=b"x"):
    return (6, n.me, Atom(""), Atom("servant")), (n.me, Atom("echo"), what)


def header(refs, body):
    return framed(b"\x83D" + refs + body)


def first(n, sequence, fragment, part, control=None, tag=b"E"):
    return framed(b"\x83" + tag + struct.pack(">QQ", sequence, fragment) + b"\0" + (term(to_servant(n)[0]) if control is None else control) + part)


def following(sequence, fragment, part=b""):
    return framed(b"\x83F" + struct.pack(">QQ", sequence, fragment) + part)


def slot(index, text, new=True, size=None):
    """The references of a header that has one atom."""
    return b"\x01" + bytes([8 if new else 0]) + bytes([index]) + (struct.pack("B", len(text) if size is None else size) + text if new else b"")


def frames(n):
    control, payload = (term(t) for t in to_servant(n))
    whole = control + payload
    yield "frame_len_max", CUT, b"\xff\xff\xff\xff"
    yield "frame_len_2g", CUT, struct.pack(">I", 0x7FFFFF00)
    yield "frame_len_300m", CUT, struct.pack(">I", 300 * MIB)
    yield "frame_one_byte", CUT, framed(b"\x83")
    yield "frame_garbage", CUT, framed(bytes(range(200)))
    yield "frame_pass_through", CUT, framed(b"p\x83" + control + b"\x83" + payload)
    yield "frame_inner_version", CUT, framed(b"\x83D\0\x83" + control + b"\x83" + payload)
    yield "frame_truncated_control", CUT, framed(b"\x83D\0" + control[:-3])
    yield "hdr_truncated", CUT, framed(b"\x83D\x05")
    yield "hdr_unknown_slot", CUT, header(slot(9, b"", new=False), whole)
    yield "hdr_bad_utf8", CUT, header(slot(9, b"\xff\xfe"), whole)
    yield "hdr_long_atom", CUT, header(b"\x01\x18\x09" + struct.pack(">H", 256) + b"a" * 256, whole)
    yield "hdr_text_lies", CUT, header(slot(9, b"abc", size=200), b"")
    yield "hdr_many_lie", CUT, header(b"\xff" + b"\x88" * 128, b"")
    yield "ref_beyond_header", CUT, framed(b"\x83D\0" + struct.pack(">BB", 104, 4) + term(6) + term(n.me) + b"R\x05" + term(Atom("servant")) + payload)
    yield "ref_keep", KEPT, header(slot(9, b"servant"), struct.pack(">BB", 104, 4) + term(6) + term(n.me) + term(Atom("")) + b"R\0" + payload)


def fragments(n):
    control, payload = (term(t) for t in to_servant(n))
    a, b = payload[:5], payload[5:]
    yield "frag_no_start", CUT, following(5, 1, a)
    yield "frag_start_id_0", CUT, first(n, 1, 0, payload)
    yield "frag_start_id_max", CUT, first(n, 1, (1 << 64) - 1, payload)
    yield "frag_start_id_2^32", CUT, first(n, 1, 1 << 32, payload)
    yield "frag_start_id_2^31", CUT, first(n, 1, 1 << 31, payload)
    yield "frag_sequence_0", CUT, first(n, 0, 1, payload)
    yield "frag_truncated_cont", CUT, first(n, 1, 2, a) + framed(b"\x83F" + b"\0" * 9)
    yield "frag_truncated_start", CUT, framed(b"\x83E" + b"\0" * 9)
    yield "frag_wrong_order", CUT, first(n, 1, 3, a) + following(1, 1, b)
    yield "frag_dup_start", CUT, first(n, 1, 3, a) + first(n, 1, 3, a)
    yield "frag_split_control", CUT, first(n, 1, 2, b"", control=term(to_servant(n)[0])[:7]) + following(1, 1, b)
    yield "frag_empty_1001", CUT, lambda: first(n, 1, 5000, a) + b"".join(following(1, 4999 - i) for i in range(1001))
    yield "frag_many_open", CUT, lambda: b"".join(first(n, 1 + i, 1000, b"x" * 100, control=control) for i in range(20_000))
    yield "frag_single", KEPT, first(n, 1, 1, payload)
    yield "frag_empty_parts", KEPT, first(n, 1, 4, b"") + following(1, 3, a) + following(1, 2) + following(1, 1, b)
    yield "frag_interleaved", KEPT, first(n, 1, 2, a) + first(n, 2, 2, a) + following(2, 1, b) + following(1, 1, b)
    yield "frag_huge_count", KEPT, first(n, 1, (1 << 31) - 1, a) + following(1, (1 << 31) - 2, b)


# ------------------------------------------------------------------------------------------------------------ terms


def words(n, tag, count):
    return Raw(bytes([tag]) + struct.pack(">I", count))


def new_fun(node, free=0, size=None, captured=b""):
    body = b"\0" + b"u" * 16 + struct.pack(">II", 0, free) + wire.atom("m") + term(0) + term(0) + term(Pid((node, 1, 0, 7))) + captured
    return Raw(b"p" + struct.pack(">I", 4 + len(body) if size is None else size) + body)


def spoilt_terms(n):
    yield "etf_tuple_arity_max", words(n, 105, 0xFFFFFFFF)
    yield "etf_list_len_max", words(n, 108, 0xFFFFFFFF)
    yield "etf_map_size_max", words(n, 116, 0xFFFFFFFF)
    yield "etf_map_size_lies", Raw(b"t" + struct.pack(">I", 5) + term(1) + term(2))
    yield "etf_binary_lies", Raw(b"m" + struct.pack(">I", 0x7FFFFFFF) + b"abc")
    yield "etf_big_lies", Raw(b"o" + struct.pack(">I", 0x7FFFFFFF) + b"\0abc")
    yield "etf_empty", Raw(b"")
    yield "etf_fun_many_free", new_fun(n.name, free=0xFFFFFFFF)
    yield "etf_compressed", Raw(b"P" + struct.pack(">I", 1000) + zlib.compress(term(b"a" * 995)))
    yield "etf_nan", Raw(b"F" + struct.pack(">d", math.nan))
    yield "etf_inf", Raw(b"F" + struct.pack(">d", math.inf))
    yield "etf_atom_utf8", Raw(b"w\x02\xff\xfe")
    yield "etf_atom_overlong", Raw(b"w\x02\xc0\xaf")
    yield "etf_atom_surrogate", Raw(b"w\x03\xed\xa0\x80")
    yield "etf_atom_256", Raw(b"v" + struct.pack(">H", 256) + b"a" * 256)
    yield "etf_bits_0", Raw(b"M" + struct.pack(">IB", 1, 0) + b"a")
    yield "etf_bits_9", Raw(b"M" + struct.pack(">IB", 1, 9) + b"a")
    yield "etf_ref_6_words", Ref((n.name, 7, 1, 2, 3, 4, 5, 6))
    yield "etf_pid_node_not_atom", Raw(b"X" + term(5) + struct.pack(">III", 1, 2, 3))
    yield "etf_map_dup_keys", Raw(b"t" + struct.pack(">I", 2) + term(1) * 4)
    yield "etf_map_dup_keys_100", Raw(b"t" + struct.pack(">I", 101) + b"".join(term(i) + term(i) for i in range(100)) + term(55) + term(0))
    yield "etf_fun_old_tag", Raw(b"u" + struct.pack(">I", 0) + term(n.me) + wire.atom("m") + term(0) + term(0))
    yield "etf_local_ext", Raw(b"y" + b"\0" * 8 + term(1))
    yield "etf_unknown_tag_67", Raw(b"C" + b"\0" * 8)
    yield "etf_unknown_tag_200", Raw(b"\xc8\0\0")
    yield "etf_export_bad_arity", Raw(b"q" + wire.atom("m") + wire.atom("f") + term(-1))


def odd_terms(n):
    deep, nils = 1_000_000, (16 if LONG else 4) * MIB
    yield "etf_big_1mb", lambda: Raw(b"o" + struct.pack(">I", MIB) + b"\0" + b"\x7f" * MIB)
    yield "etf_list_0_of_0", lambda: Raw(b"l\0\0\0\0j")
    yield "etf_deep_list", lambda: Raw(b"l\0\0\0\x01" * deep + b"j" * (deep + 1))
    yield "etf_deep_tuple", lambda: Raw(b"h\x01" * deep + b"j")
    yield "etf_amplification", lambda: Raw(b"l" + struct.pack(">I", nils) + b"j" * (nils + 1))
    yield "etf_odd_refs", lambda: [Raw(b"t" + struct.pack(">I", 2) + term(Ref((n.name, 7, *range(k)))) + term(1) + term(Ref((n.name, 7, *range(1, k + 1)))) + term(2)) for k in range(1, 6)]
    yield "etf_funs", lambda: new_fun(n.name, free=1, captured=term(b"captured"))
    yield "etf_atoms_cache", lambda: [Atom(f"honest_atom_{i}") for i in range(5000)]


def terms(n):
    for name, bad in spoilt_terms(n):
        yield name, CUT, n.frame((6, n.me, Atom(""), Atom("servant")), bad if name == "etf_empty" else (n.me, Atom("ignore"), bad))
    for name, odd in odd_terms(n):
        yield name, KEPT, lambda odd=odd: n.frame((6, n.me, Atom(""), Atom("servant")), (n.me, Atom("ignore"), odd()))


# ------------------------------------------------------------------------------------------------------------ signals


def signals(n, v):
    alien = Pid(("third@127.0.0.1", 1, 0, 7))
    ref, own = Ref((n.name, n.creation, 1, 2, 3)), Ref((HOST, v.servant[3], 1, 2, 3))
    kill, s, f = Atom("kill"), v.servant, n.frame
    yield "sig_exit_unlinked", KEPT, f((24, n.me, s), kill)
    yield "sig_unlinked_exit_has_no_effect", KEPT, f((3, n.me, s, kill))
    yield "sig_exit2_without_right", KEPT, f((26, n.me, s), kill)
    yield "sig_exit_from_alien", CUT, f((24, alien, s), kill)
    yield "sig_exit2_from_alien", CUT, f((26, alien, s), kill)
    yield "sig_link_from_alien", CUT, f((1, alien, s))
    yield "sig_monitor_by_alien", CUT, f((19, alien, s, ref))
    yield "sig_down_unknown", KEPT, f((28, n.me, s, own), kill)
    yield "sig_spawn_reply_unknown", KEPT, f((31, own, s, 0, n.me))
    yield "sig_alias_unknown", KEPT, f((33, n.me, own), kill)
    yield "sig_unlink_id_0", CUT, f((35, 0, n.me, s))
    yield "sig_unlink_id_2^64", CUT, f((35, 1 << 64, n.me, s))
    yield "sig_unlink_ack_unknown", KEPT, f((36, 77, n.me, s))
    yield "sig_unknown_op", CUT, f((99, n.me, s))
    yield "sig_ctl_empty", CUT, f(())
    yield "sig_ctl_list", CUT, f([1, n.me, s])
    yield "sig_ctl_atom_op", CUT, f((Atom("link"), n.me, s))
    yield "sig_ctl_big_op", CUT, f((1 << 70, n.me, s))
    yield "sig_ctl_negative_op", CUT, f((-1, n.me, s))
    yield "sig_ctl_short", CUT, f((1, n.me))
    yield "sig_ctl_long", CUT, f((1, n.me, s, s))
    yield "sig_ctl_no_pid", CUT, f((1, n.me, 5))
    yield "sig_ctl_old_unlink", CUT, f((4, n.me, s))
    yield "sig_send_no_payload", CUT, f((2, Atom(""), s))
    yield "sig_monitor_twice", KEPT, f((19, n.me, s, ref)) * 2
    yield "sig_link_twice", KEPT, f((1, n.me, s)) * 2 + f((35, 1, n.me, s))
    yield "sig_send_unknown_name", KEPT, n.named("nobody_here", 1) * 1000
    yield "sig_send_longest_name", KEPT, n.named("\U0001f600" * 255, 1)
    yield "sig_group_leader", KEPT, f((7, n.me, s))
    yield "sig_earlier_life", KEPT, f((24, n.me, Pid((*s[:3], s[3] + 1))), kill) + f((2, Atom(""), Pid((*s[:3], s[3] + 1))), (n.me, Atom("echo"), b"x"))
    yield "sig_guessed_pids", KEPT, b"".join(f((2, Atom(""), Pid((HOST, i, k, s[3]))), (Atom("dial"), Atom("x@y"), 4096)) for i in range(64) for k in range(3) if (i, k) != s[1:3])
    yield "sig_spawn_denied", KEPT, f((29, ref, n.me, n.me, (Atom("os"), Atom("cmd"), 1), []), [b"id"])
    yield "sig_rex_denied", KEPT, n.named("rex", (n.me, (Atom("call"), Atom("os"), Atom("cmd"), [b"id"], n.me)))


# ---------------------------------------------------------------------------------------------------- running a table


def attack(v, make):
    """One connection for each case. What is wrong ends that one, and is told with the peer's name; what is only odd ends nothing."""
    for name in [name for name, _, _ in make(v.peer("counts@127.0.0.1"))]:
        n = v.peer(f"{re.sub('[^a-z0-9_]', '_', name)}@127.0.0.1")
        cut, data = next((cut, data) for other, cut, data in make(n) if other == name)
        before = v.rss()
        sent = n.send(data() if callable(data) else data)
        if cut:
            assert wire.closes(n.socket), f"{name}: its connection is kept"
            v.says(f"given up to {n.name}: ")
        else:
            assert sent and n.echo(f"mark after {name}.") is not None, f"{name}: its connection is cut: {v.log()[-300:]}"
        n.close()
        v.serves()
        same_memory(v, before, 1024 * MIB if name == "etf_amplification" else 256 * MIB if "deep" in name else 64 * MIB, name)
        print(f"# {name}", flush=True)


def test_frames(v):
    attack(v, frames)


def test_fragments(v):
    attack(v, fragments)


def test_terms(v):
    attack(v, terms)


def test_signals(v):
    attack(v, lambda n: signals(n, v))
    log = v.log()
    assert "sig_exit2_without_right@127.0.0.1 may not end processes" in log and "sig_spawn_denied@127.0.0.1 may not start" in log and "sig_rex_denied@127.0.0.1 may not call" in log
    before, n, began = len(re.findall("may not", log)), v.peer(), time.monotonic()
    n.send(n.frame((26, n.me, v.servant), Atom("kill")) * 5000)
    n.echo("after 5000 refusals.")
    assert len(re.findall("may not", v.log())) - before <= 3 + time.monotonic() - began, "refusals are logged more than once a second"


def test_random_frames(v):
    """Frames of all kinds, spoilt at random; each connection ends or goes on."""
    seed = int(os.environ.get("MOTE_TEST_SEED", random.randrange(1 << 32)))
    print(f"# MOTE_TEST_SEED={seed}", flush=True)
    chance = random.Random(seed)
    for _ in range(5000 if LONG else 200):
        n = v.peer()
        good = [data for make in (frames, fragments, lambda n: signals(n, v)) for _, _, data in make(n) if not callable(data)]
        for _ in range(20):
            data = bytearray(chance.choice(good))
            for _ in range(chance.randrange(1, 5)):
                data[chance.randrange(4, len(data)) if len(data) > 4 else 0] = chance.randrange(256)
            if not n.send(bytes(data)):
                break
        n.close()
        v.serves()


# ----------------------------------------------------------------------------------------------------------- floods


def test_atom_floods(v):
    """Atoms that a peer makes go when its messages have."""
    atoms, before = v.atoms(), v.rss()
    total, each = (2_000_000, 1000) if LONG else (200_000, 1000)
    n = v.peer()
    for i in range(0, total, each):
        n.send(n.named("servant", (n.me, Atom("ignore"), [Atom(f"flood_{i + k}") for k in range(each)])))
    assert n.echo("after the flood.") is not None
    n.close()
    n = v.peer()
    control = struct.pack(">BB", 104, 4) + term(6) + term(n.me) + term(Atom("")) + term(Atom("servant"))
    for i in range(total // 20):
        text = f"cached_{i}".encode()
        n.send(header(b"\x01" + bytes([8 | i // 256 % 8]) + bytes([i % 256]) + bytes([len(text)]) + text, control + struct.pack(">BB", 104, 2) + term(n.me) + b"R\0"))
    assert n.echo("after the second.") is not None
    n.close()
    v.serves()
    same_memory(v, before, 256 * MIB, "atoms")
    v.until_atoms(atoms + 100)


def test_monitor_flood(v):
    before, n = v.rss(), v.peer()
    for i in range(0, 200_000, 1000):
        n.send(b"".join(n.frame((19, n.me, v.servant, Ref((n.name, n.creation, i + k, 7, 7)))) for k in range(1000)))
    assert n.echo("after monitors.") is not None
    same_memory(v, before, 128 * MIB, "200,000 monitors")
    n.close()
    v.serves()


# ----------------------------------------------------------------------------------------------------- before the cookie


def ends_early(v, data, seconds=6):
    with wire.dial(v.port) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR) if not data else None
        return wire.closes(s, seconds)


def test_bad_beginnings(v):
    name = wire.name_message
    bad = {
        "pre_garbage": b"\0\x05GET /",
        "pre_garbage_http": b"GET / HTTP/1.0\r\n\r\n",
        "pre_too_long": struct.pack(">H", 2049),
        "pre_longest": b"\xff\xff",
        "pre_empty": b"\0\0",
        "pre_old": wire.shake(b"n" + struct.pack(">HI", 5, 0) + b"old@127.0.0.1"),
        "pre_short_name": wire.shake(b"N" + struct.pack(">QIH", wire.OFFERED, 7, 200) + b"a@b"),
        "pre_no_name": name(b""),
        "pre_flags_none": name("flags@127.0.0.1", 0),
        "pre_flags_no_unlink_id": name("flags@127.0.0.1", wire.OFFERED & ~(1 << 25)),
        "pre_flags_no_v4_nc": name("flags@127.0.0.1", wire.OFFERED & ~(1 << 34)),
        "pre_own_name": name(HOST),
    }
    for i, wrong in enumerate((b"noat", b"@host", b"a@", b"a@b@c", b"a b@c", b"a\n@b", b"\xc3\xa4@b", b"a\0@b", b"x" * 254 + b"@b")):
        bad[f"pre_bad_names_{i}"] = name(wrong)
    for what, data in bad.items():
        assert ends_early(v, data), f"{what}: it is not refused"
    v.serves()
    fine = wire.OFFERED | 1 << 63 | 1 << 60  # pre_flags: unknown bits mean nothing
    v.peer(flags=fine).close()
    with wire.dial(v.port) as s:
        s.sendall(wire.shake(name("trailing@127.0.0.1")[2:] + b"of a later release"))  # pre_trailing_bytes
        assert wire.hear(s) == b"sok"
    with wire.dial(v.port) as s:  # pre_wrong_digest: nothing is said of it
        s.sendall(name("wrong@127.0.0.1"))
        wire.hear(s), wire.hear(s)
        s.sendall(wire.shake(b"r" + b"\0" * 20))
        assert s.recv(100) == b""
    v.serves()
    assert COOKIE not in v.log()


def test_names_that_are_held(v):
    with wire.dial(v.port) as s:  # pre_pending_slot
        s.sendall(wire.name_message("wanted@127.0.0.1"))
        wire.hear(s)
        begin = time.monotonic()
        wanted = v.peer("wanted@127.0.0.1")
        assert time.monotonic() - begin < 6
    with wire.dial(v.port) as s:  # pre_alive_unauthenticated
        s.sendall(wire.name_message("wanted@127.0.0.1"))
        assert wire.hear(s) == b"salive"
        s.sendall(wire.shake(b"strue"))
        wire.hear(s)
        s.sendall(wire.shake(b"r" + b"\0" * 20))
        assert wire.closes(s)
    assert wanted.echo("the connection that somebody claimed.") is not None
    again = v.peer("wanted@127.0.0.1")  # with the cookie it is replaced: hs_dup_alive
    assert wire.closes(wanted.socket) and again.echo("the new one.") is not None
    again.close()


def test_challenges_differ(v):
    seen = set()
    for i in range(200):
        with wire.dial(v.port) as s:
            s.sendall(wire.name_message(f"differs{i}@127.0.0.1"))
            wire.hear(s)
            seen.add(wire.hear(s)[9:13])
    assert len(seen) >= 199


def test_reflection(v):
    """pre_reflection: who is dialled by the victim hands its own challenge back."""
    name = "mirror@127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(("127.0.0.1", v.epmd)) as epmd:
        port = server.getsockname()[1]
        epmd.sendall(wire.shake(b"x" + struct.pack(">HBBHHH", port, 77, 0, 6, 5, 6) + b"mirror" + b"\0\0"))
        assert wire.exactly(epmd, 2)[1] == 0
        v.honest.send(v.honest.named("servant", (v.honest.me, Atom("connect"), Atom(name))))
        server.settimeout(wire.PATIENCE)
        dialled, _ = server.accept()
        with dialled, wire.dial(v.port) as s:
            dialled.settimeout(wire.PATIENCE)
            wire.hear(dialled)
            s.sendall(wire.name_message("other@127.0.0.1"))
            wire.hear(s)
            challenge = wire.hear(s)[9:13]
            dialled.sendall(wire.shake(b"sok") + wire.shake(b"N" + struct.pack(">Q", wire.OFFERED) + challenge + struct.pack(">IH", 7, len(name)) + name.encode()))
            assert dialled.recv(100) == b"", "it answers its own challenge"
    v.says("hands a challenge of our own back")
    v.honest.waits_for(b"false")
    v.serves()


def test_slow_ones(v):
    """pre_silent, pre_dribble: both at once, while the honest one is served."""
    with wire.dial(v.port, "127.0.0.9") as silent, wire.dial(v.port, "127.0.0.9") as dribbles:
        begin, ended, message = time.monotonic(), {}, wire.name_message("x" * 200 + "@127.0.0.1")
        at = 0
        while len(ended) < 2 and time.monotonic() < begin + 60:
            for s, what in ((silent, "silent"), (dribbles, "dribble")):
                if what not in ended and wire.closes(s, 0.25):
                    ended[what] = time.monotonic() - begin
            if "dribble" not in ended:
                try:
                    dribbles.sendall(message[at : at + 1])
                except OSError:
                    pass
                at += 1
        v.serves()
        assert ended.get("silent", 99) < 40 and ended.get("dribble", 99) < 40, ended  # all that the second has to say takes 53
        print(f"# pre_silent {ended['silent']:.1f} s, pre_dribble {ended['dribble']:.1f} s", flush=True)


def test_many_half_open(v):
    """pre_many_half_open: the oldest give way, so who is honest is let in at once; from the same address, too."""
    before, idle = v.rss(), [wire.dial(v.port, f"127.0.0.{2 + i % 20}") for i in range(400)]
    begin = time.monotonic()
    n = v.peer()
    took = time.monotonic() - begin
    more = [wire.dial(v.port) for _ in range(100)]
    begin = time.monotonic()
    other = v.peer()
    took = max(took, time.monotonic() - begin)
    assert took < 30 and n.echo("among 400.") is not None
    grown = v.rss() - before
    until = time.monotonic() + wire.PATIENCE
    while sum(wire.closes(s, 0) for s in idle) < 144:
        assert time.monotonic() < until, "more than 256 are open"
    for s in idle + more:
        s.close()
    n.close(), other.close()
    print(f"# in after {took * 1000:.0f} ms among 500 half-open ones, which take {grown / MIB:.1f} MiB", flush=True)


def bad_handshake(v, i):
    """One of four kinds, each with a name of its own."""
    source, name = f"127.0.1.{1 + i % 200}", f"stranger_{i}@127.0.0.1"
    with wire.dial(v.port, source) as s:
        s.sendall((wire.name_message(name), wire.name_message(name, 0), wire.name_message(f"{name}@x"), wire.name_message(name))[i % 4])
        if i % 4 == 0:  # a wrong digest
            wire.hear(s), wire.hear(s)
            s.sendall(wire.shake(b"r" + struct.pack(">I", i) + b"\0" * 16))
        elif i % 4 == 3:  # goes away
            wire.hear(s)
        else:
            assert wire.closes(s)


def test_bad_handshakes(v):
    """pre_name_flood_memory: nothing is left of them, and the honest peer is served meanwhile."""
    for i in range(2000):
        bad_handshake(v, i)
        if i % 100 == 0:
            v.serves()
    atoms, before, worst, begin = v.atoms(), v.rss(), 0, time.monotonic()
    for i in range(HANDSHAKES):
        bad_handshake(v, i)
        if i % 100 == 0:
            worst = max(worst, v.serves())
    took = time.monotonic() - begin
    print(f"# {HANDSHAKES} bad handshakes, {HANDSHAKES / took:.0f} a second; {(v.rss() - before) / MIB:+.2f} MiB, {v.atoms() - atoms:+d} atoms; the honest peer waited {worst * 1000:.0f} ms at most", flush=True)
    v.until_atoms(atoms)
    same_memory(v, before, 8 * MIB, "bad handshakes")
    lines = v.log().count("refused a connection")
    assert lines < 15 * (time.monotonic() - v.began), f"{lines} lines of refusals"


def test_wrong_cookies(v):
    """100 wrong ones are held up; who has the right one, and comes from the same address, is not."""
    waiting, begin = [], time.monotonic()
    for i in range(100):
        s = wire.dial(v.port, "127.0.3.1")
        s.sendall(wire.name_message(f"guess{i}@127.0.0.1"))
        wire.hear(s), wire.hear(s)
        s.sendall(wire.shake(b"r" + b"\0" * 20))
        waiting.append(s)
    late = time.monotonic()
    n = v.peer(source="127.0.3.1")
    assert time.monotonic() - late < 6 and n.echo("the right one.") is not None
    assert not wire.closes(waiting[-1], 0) or time.monotonic() - begin > 1, "wrong cookies are not held up"
    assert wire.closes(waiting[-1])
    for s in waiting:
        s.close()
    n.close()
    with wire.dial(v.port, "127.0.3.1") as s:  # in another second: those of the first were told one by one
        s.sendall(wire.name_message("guess@127.0.0.1"))
        wire.hear(s), wire.hear(s)
        s.sendall(wire.shake(b"r" + b"\0" * 20))
        v.says("more connections from 127.0.3.1 with a wrong cookie")


# -------------------------------------------------------------------------------------------------- rights and limits


def test_rights(v):
    """By the name that is proved; from the next signal on."""
    a, b = v.peer("a@127.0.0.1", wire.PLAIN), v.peer("b@127.0.0.1")

    def exits(who, pid):
        who.send(who.frame((26, who.me, pid), Atom("please")))

    pid = v.new("mortal")
    v.tells("servant", b"granted", Atom("rights"), Atom(a.name), 1)
    exits(b, pid)
    assert b.echo("b has spoken.") is not None and not v.has_ended(pid)
    v.says("b@127.0.0.1 may not end processes that it is not linked with here: it has no MOTE_RIGHT_EXIT")
    exits(a, pid)
    assert a.echo("a has spoken.") is not None
    assert v.has_ended(pid)
    pid = v.new("protected")
    v.tells("protected", b"reached", Atom("reach"), 1)
    exits(a, pid)
    a.send(a.frame((1, a.me, pid)))  # to link, and be lost, is another way to end it
    assert a.waits_for(b"noproc") and not v.has_ended(pid)
    v.says("a@127.0.0.1 may not end a process that is protected here: it has no MOTE_RIGHT_SYSTEM")
    assert a.echo("messages come.", to="protected") is not None
    v.tells("servant", b"granted", Atom("rights"), Atom(a.name), 9)
    exits(a, pid)
    assert a.echo("a has all rights.") is not None
    assert v.has_ended(pid)
    v.tells("servant", b"granted", Atom("rights"), Atom(a.name), 0)
    for n in (a, b):
        n.close()


def test_what_is_not_reached(v):
    """A process that is hidden, and a name that is for this node alone, are to others as those that there are not."""
    n, pid = v.peer(flags=wire.PLAIN), v.new("named_here_not")
    v.tells("named_here_not", b"reached", Atom("reach"), 2)
    ref = Ref((n.name, n.creation, 9, 9, 9))
    for data in (n.frame((1, n.me, pid)), n.frame((19, n.me, pid, ref)), n.frame((19, n.me, Atom("named_here_not"), ref))):
        n.send(data)
        assert n.waits_for(b"noproc")
    n.send(n.frame((2, Atom(""), pid), (Atom("die"), 1)) + n.named("named_here_not", (Atom("die"), 1)) + n.frame((22, n.me, pid), (Atom("die"), 1)) + n.named("rex", (n.me, (Atom("send"), Atom("named_here_not"), (Atom("die"), 1)))))
    assert n.echo("it was told to die.") is not None and not v.has_ended(pid)
    pid = v.new("none")
    n.send(n.frame((22, n.me, pid), (n.me, Atom("here"), Atom("our_own_name"))))
    assert n.waits_for(b"named")
    n.send(n.named("our_own_name", (Atom("die"), 1)) + n.frame((19, n.me, Atom("our_own_name"), ref)))
    assert n.waits_for(b"noproc")
    n.send(n.frame((22, n.me, pid), (n.me, Atom("echo"), b"by its pid.")))
    assert n.waits_for(rb"by its pid\.")
    n.close()


def test_forged_answers(v):
    """sig_down_forged: what a reference of ours stands for, only the node says that was asked."""
    a, b = v.peer(flags=wire.PLAIN), v.peer(flags=wire.PLAIN)
    v.tells("servant", b"echoed", Atom("echo"), b"echoed")
    v.honest.send(v.honest.named("servant", (v.honest.me, Atom("watch"))))
    for whom in (a.me, v.new("to_be_watched")):
        v.honest.send(v.honest.named("servant", (v.honest.me, Atom("monitor"), whom)))
        creation, *words = struct.unpack(">IIII", v.honest.waits_for(b"Z\\0\\x03w." + re.escape(HOST.encode()) + b"(.{16})").group(1))
        ref = Ref((HOST, creation, *words))
        b.send(b.frame((28, b.me, v.servant, ref), Atom("forged")) + b.frame((31, ref, v.servant, 3, b.me)) + b.frame((28, Atom("some_name"), v.servant, ref), Atom("forged")))
        assert b.echo("b has forged.") is not None
        if whom is a.me:
            a.send(a.frame((28, a.me, v.servant, ref), Atom("true_one")))
        else:
            v.honest.send(v.honest.named("to_be_watched", (Atom("die"), Atom("true_one"))))
        assert v.honest.waits_for(b"(forged|true_one)").group(1) == b"true_one"
    a.close(), b.close()


def asks(v, n):
    """The servant calls a process of `n`, and waits: the reference of its call."""
    v.honest.send(v.honest.named("servant", (v.honest.me, Atom("call"), n.me, b"question")))
    found = n.waits_for(b"aliasZ\\0\\x03w." + re.escape(HOST.encode()) + b"(.{16})m")
    return Ref((HOST, *struct.unpack(">IIII", found.group(1))))


def reply(n, to, ref, what):
    """What answers a call: by its alias, and by the caller's pid."""
    answer = (Raw(b"l\0\0\0\x01" + wire.atom("alias") + term(ref)), Atom(what))
    return n.frame((33, n.me, ref), answer) + n.frame((2, Atom(""), to), answer)


def near(ref, count):
    """References that a counter would give before and after this one, or that differ in one bit."""
    host, creation, *words = ref
    value = words[0] | words[1] << 18 | words[2] << 50
    guesses = {value + sign * step * unit for unit in map((1).__lshift__, range(64)) for step in range(1, count) for sign in (1, -1)}
    guesses |= {value ^ 1 << i for i in range(64)}
    return [Ref((host, creation, g & 0x3FFFF, g >> 18 & 0xFFFFFFFF, g >> 50)) for g in guesses if 0 <= g < 1 << 64]


def test_guessed_references(v):
    """Who has seen references of ours does not find the one of a call to somebody else; who was told it could answer."""
    a, b = v.peer(flags=wire.PLAIN), v.peer(flags=wire.PLAIN)
    seen = []
    for i in range(20):
        seen.append(asks(v, b))
        b.send(reply(b, v.servant, seen[-1], f"answer_{i}"))
        assert v.honest.waits_for(f"replyw.answer_{i}".encode())
    differ = [bin((x[2] | x[3] << 18 | x[4] << 50) ^ (y[2] | y[3] << 18 | y[4] << 50)).count("1") for x, y in zip(seen, seen[1:])]
    assert 20 < sum(differ) / len(differ) < 44, f"references that follow each other differ in {differ} bits"
    v.new("other")
    guesses = [g for ref in seen[-8:] for g in near(ref, 20)]
    said = [b"".join(reply(b, v.servant, g, "forged") for g in guesses[i:i + 500]) for i in range(0, len(guesses), 500)]
    asked = asks(v, a)
    assert asked not in guesses
    for some in said:
        b.send(some)
    assert b.echo("b has guessed.", to="other") is not None  # while the servant waits
    a.send(reply(a, v.servant, asked, "true_one"))
    assert v.honest.waits_for(b"replyw.(forged|true_one)").group(1) == b"true_one"
    asked = asks(v, a)
    b.send(reply(b, v.servant, asked, "told"))
    assert v.honest.waits_for(b"replyw.(told)")
    a.close(), b.close()


DANGEROUS = (("os", "cmd", [b"id"]), ("erlang", "halt", []), ("erl_eval", "eval_str", [b"1."]), ("code", "load_binary", [1, 2, 3]), ("builtins", "eval", [b"1"]), ("posix", "system", [b"id"]),
             ("mote", "__import__", [b"os"]), ("erlang", "apply", [Atom("os"), Atom("cmd"), [b"id"]]), ("erlang", "spawn", [1]))


def test_three_doors(v):
    """What is not exported is undef by spawn, erpc and rex, with all rights; and of 10,000 spawns at once no more than 1,200 begin."""
    n, erpc = v.peer("caller@127.0.0.1", wire.PLAIN), (Atom("erpc"), Atom("execute_call"), 4)
    v.tells("servant", b"granted", Atom("rights"), Atom(n.name), 15)
    for i, (module, function, args) in enumerate(DANGEROUS):
        what, ref = (Atom(module), Atom(function), len(args)), Ref((n.name, n.creation, i, 2, 2))
        n.send(n.frame((29, ref, n.me, n.me, what, [Atom("monitor")]), args))
        assert n.waits_for(b"undef"), what
        ref = Ref((n.name, n.creation, i, 3, 3))
        n.send(n.frame((29, ref, n.me, n.me, erpc, [Atom("monitor")]), [ref, *what[:2], args]))
        assert n.waits_for(b"errorw.undef"), what
        n.send(n.named("rex", (n.me, (Atom("call"), *what[:2], args, n.me))))
        assert n.waits_for(b"badrpc.*undef"), what
    n.send(n.frame((29, ref, n.me, n.me, (Atom("erlang"), Atom("node"), 0), [Atom("nonsense")]), []))
    assert n.waits_for(b"badopt")
    begin = time.monotonic()
    requests = b"".join(n.frame((29, Ref((n.name, n.creation, i, 4, 4)), n.me, n.me, (Atom("os"), Atom("cmd"), 1), []), [b"id"]) for i in range(10_000))
    n.send(requests + n.named("servant", (n.me, Atom("echo"), b"behind all of them.")))
    answers = b""
    while b"behind all of them." not in answers:
        more = n.socket.recv(1 << 20)
        assert more, "its connection is cut"
        answers += more
    begun = 10_000 - answers.count(b"system_limit")
    assert 900 <= begun <= 1_200 + 200 * (time.monotonic() - begin), begun
    v.says("caller@127.0.0.1 may not start more processes here")
    n.close()


def to_wait(n, i):
    return n.frame((29, Ref((n.name, n.creation, i, 1, 1)), n.me, n.me, (Atom("test"), Atom("wait"), 0), []), [])


def test_limits(v):
    """Each at its limit, and at one more: who is beyond it is given up, or refused a process; nobody else notices."""
    atoms, relations, message, processes = 1000, 50, 100_000, 20
    small = Victim(v.program, v.work, atoms, relations, message, processes)
    small.serves()  # what its own program knows is there now

    def at_and_beyond(what, says, fits, more):
        n, other = small.peer(f"at_{what}@127.0.0.1"), small.peer(f"beyond_{what}@127.0.0.1")
        n.send(fits(n))
        assert n.echo(f"at the limit of {what}.") is not None, f"{what}: it is given up at its limit"
        other.send(more(other))
        assert wire.closes(other.socket), f"{what}: it is not given up beyond its limit"
        small.says(f"given up to {other.name}: {says}")
        small.serves()
        n.close()

    def many(n, count):
        return n.named("servant", (n.me, Atom("echo"), [Atom(f"{n.name[:2]}{i}") for i in range(count)]))

    def related(n, count):
        links = b"".join(n.frame((1, Pid((n.name, 100 + i, 0, n.creation)), small.servant)) for i in range(count // 2))
        return links + b"".join(n.frame((19, n.me, small.servant, Ref((n.name, n.creation, i, 1, 1)))) for i in range(count - count // 2))

    def sized(n, count):
        empty = n.named("servant", (n.me, Atom("echo"), b""))
        return n.named("servant", (n.me, Atom("echo"), b"x" * (count - (len(empty) - 7))))  # what is counted begins behind length, 131, 68 and 0

    try:
        at_and_beyond("atoms", "its messages have made more atoms", lambda n: many(n, atoms), lambda n: many(n, atoms + 1))
        at_and_beyond("relations", "it has more links and monitors", lambda n: related(n, relations), lambda n: related(n, relations + 1))
        at_and_beyond("message", "a message is larger", lambda n: sized(n, message), lambda n: sized(n, message + 1))
        n = small.peer("starts@127.0.0.1", wire.PLAIN)
        small.tells("servant", b"granted", Atom("rights"), Atom(n.name), 2)
        for again in range(3):  # links that are over count no more
            n.send(b"".join(n.frame((1, Pid((n.name, 100 + i, 0, n.creation)), small.servant)) + n.frame((35, 1 + i, Pid((n.name, 100 + i, 0, n.creation)), small.servant)) for i in range(relations)))
        for i in range(processes):
            n.send(to_wait(n, i))
        assert n.echo("all of them.") is not None and b"system_limit" not in n.rest
        n.send(to_wait(n, processes))
        assert n.waits_for(b"system_limit")
        small.says("starts@127.0.0.1 may not start more processes here")
        n.close()
    finally:
        small.end()


TESTS = [test_rights, test_forged_answers, test_guessed_references, test_three_doors, test_what_is_not_reached, test_limits, test_frames, test_fragments, test_terms, test_signals, test_random_frames, test_atom_floods, test_monitor_flood, test_bad_beginnings, test_names_that_are_held, test_challenges_differ,
         test_reflection, test_many_half_open, test_wrong_cookies, test_bad_handshakes, test_slow_ones]


def main():
    program, names = str(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2:]
    tests = [test for test in TESTS if not names or test.__name__[5:] in names]
    print(f"1..{len(tests)}")
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        v = Victim(program, work)
        v.began = time.monotonic()
        for i, test in enumerate(tests, 1):
            begin, fine = time.monotonic(), True
            try:
                test(v)
                v.serves()
            except (AssertionError, OSError, EOFError, AttributeError) as e:  # the others go on
                fine = False
                print(f"# {type(e).__name__}: {e}", flush=True)
            failed += not fine
            print(f"{'ok' if fine else 'not ok'} {i} - {test.__name__[5:]} # {time.monotonic() - begin:.2f} s", flush=True)
        v.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
