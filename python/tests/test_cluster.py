# SPDX-License-Identifier: Apache-2.0
"""Nodes: this program with another of mote's, and with Erlang's where that is installed. All listen on loopback; the test's own node is the port mapper."""
import array
import contextlib
import io
import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from typing import NamedTuple

import mote
import quick
from mote import ANY, Atom, Down, ExitSignal, NodeDown, NodeUp
from mote._mote import term_parse as parse
from ports import free_port
from worker_node import Note, WithNode

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 60
SECRET = "a secret of this test"
COUNT = 10_000
FAR_PID, FAR_REF = parse("<a@b.1.2.3>"), parse("#Ref<a@b.1.2.3.4>")
A = {name: Atom(name) for name in ("add", "ask", "count", "counted", "echo", "exit", "flood", "idle", "kill", "killed", "link", "monitor", "n", "never", "ok",
                                  "error", "noconnection", "noproc", "normal", "probe", "saw", "set", "halt", "watch", "watching")}
_numbers = itertools.count(1)


# ------------------------------------------------------------------------------------------- what runs in the peer


def idle():
    while True:
        message = mote.receive()
        if message[0] == "exit":
            mote.exit(message[1])
        message[1].send((A["echo"], mote.self(), message[2]))


def watch(how, target, to):
    mote.trap_exit()
    (mote.link if how == "link" else mote.monitor)(target)
    to.send((A["watching"], mote.self()))
    message = mote.receive()
    to.send((A["saw"], message.sender if type(message) is ExitSignal else message.process, message.reason))


def count(total, to):
    for i in range(1, total + 1):
        got = mote.receive()
        if got != ("n", i):
            to.send((A["counted"], (Atom("expected"), i, got)))
            return
    to.send((A["counted"], A["ok"]))


def flood(to, total):
    for i in range(1, total + 1):
        to.send((A["n"], i))


@mote.message
class Mine(NamedTuple):  # of __main__ in the peer
    text: str
    number: int


class Probe(mote.Server):
    def init(self):
        self.n = 0

    @mote.call
    def add(self, k):
        self.n += k
        return self.n

    @mote.call
    def idle(self):
        return mote.spawn(idle)

    @mote.call
    def watch(self, how, target, to):
        return mote.spawn(watch, how, target, to)

    @mote.call
    def ask(self, where, request):
        try:
            return (A["ok"], mote.call(where, request))
        except mote.NoProc as e:
            return (A["error"], e.reason)

    @mote.call
    def flood(self, to, total):
        mote.spawn(flood, to, total)
        return A["ok"]

    @mote.call
    def count(self, total, to):
        return mote.spawn(count, total, to)

    @mote.call
    def exit(self, pid, reason):
        mote.exit(pid, reason)
        return True

    @mote.call
    def never(self):
        return mote.NoReply

    @mote.call
    def halt(self):
        raise mote.Exit("on_purpose")

    @mote.call
    def named(self, a, *, b):
        return [a, b]

    @mote.cast
    def set(self, k):
        self.n = k

    @mote.info(("echo", ANY, ANY))
    def on_echo(self, message):
        mote.send(message[1], (A["echo"], mote.self(), message[2]))


class AsyncProbe(mote.Server):
    @mote.call
    async def add(self, k):
        await mote.aio.sleep(0)
        return k + 1


def peer(name, port):
    """The program of the other node; it ends when its input does."""
    with mote.Node(name, cookie=SECRET, epmd=int(port), rights=["exit"], tick=240):
        Probe.options(name="probe").start()
        AsyncProbe.options(name="async_probe").start()
        print("ready", flush=True)
        for line in sys.stdin:
            print(mote.ping(line.strip()), flush=True)


# -------------------------------------------------------------------------------------------------- the tests' side


def ended(process):
    """Ends what was started here, by its number."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()


class Case(unittest.TestCase):
    def begin(self, **how):
        self.port = free_port()
        self.name = f"t{next(_numbers)}@127.0.0.1"
        self.node = mote.Node(self.name, **{"cookie": SECRET, "epmd": self.port, "tick": 240, **how})
        self.addCleanup(self.node.stop)

    def environment(self):
        path = os.pathsep.join([str(pathlib.Path(mote.__file__).parents[1]), *filter(None, sys.path)])
        return {**os.environ, "ERL_EPMD_PORT": str(self.port), "PYTHONPATH": path}

    def run_peer(self, command, says=b"ready\n", **how):
        """A program, which is there once it says so."""
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment(), **how)
        self.addCleanup(ended, process)
        self.assertEqual(process.stdout.readline(), says)
        return process

    def start_mote(self, name="peer@127.0.0.1"):
        return name, self.run_peer([sys.executable, __file__, "peer", name, str(self.port)])

    def start_erlang(self, name="erl@127.0.0.1"):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        subprocess.run(["erlc", "-o", work.name, HERE / "cluster_probe.erl"], check=True)
        (pathlib.Path(work.name) / "cookie").write_text(SECRET)
        six = name.endswith("@::1")
        flags = ["-proto_dist", "inet6_tcp" if six else "inet_tcp"]
        flags += ["-kernel", "inet_dist_use_interface", "{0,0,0,0,0,0,0,1}" if six else "{127,0,0,1}", "net_ticktime", "240", "-start_epmd", "false", "-setcookie", SECRET.replace(" ", "_")]
        erl = self.run_peer(["erl", "+S", "1", "-noinput", "-name", name, *flags, "-pa", work.name, "-s", "cluster_probe", "start"], cwd=work.name, start_new_session=True)
        return name, erl

    def hears(self, *wanted):
        return mote.receive(*wanted, timeout=PATIENCE)


class Alone(unittest.TestCase):
    """Without a name nobody else is there, and what is of others cannot be reached."""

    def setUp(self):
        node = mote.Node()
        self.addCleanup(node.stop)
        self.assertEqual((node.name, node.port), ("nonode@nohost", 0))

    def test_messages_are_lost(self):
        for to in (FAR_PID, FAR_REF, ("name", "a@b")):
            self.assertIsNone(mote.send(to, 1))
            self.assertIsNone(mote.cast(to, 1))
            self.assertIsNotNone(mote.send_after(0, to, 1))
        FAR_PID.send(1)

    def test_relations_say_noconnection(self):
        for to, told in ((FAR_PID, FAR_PID), (("name", "a@b"), (Atom("name"), Atom("a@b")))):
            ref = mote.monitor(to)
            self.assertEqual(mote.receive(timeout=PATIENCE), Down(Atom("DOWN"), ref, Atom("process"), told, A["noconnection"]))
            with self.assertRaises(mote.NoProc) as caught:
                mote.call(to, 1)
            self.assertEqual(caught.exception.reason, "noconnection")
        with mote.trap_exit():
            mote.link(FAR_PID)
            self.assertEqual(mote.receive(timeout=PATIENCE), ExitSignal(Atom("EXIT"), FAR_PID, A["noconnection"]))
            mote.unlink(FAR_PID)
        mote.exit(FAR_PID, "reason")
        mote.kill(FAR_PID)

    def test_what_is_done_where_a_process_is(self):
        for does in (mote.is_alive, mote.info, lambda pid: mote.register("name", pid)):
            with self.assertRaisesRegex(ValueError, "<a@b.1.2.3> is a process of the node a@b: ask there"):
                does(FAR_PID)
        for does in (mote.demonitor, mote.unalias, mote.cancel, mote.read_timer):
            with self.assertRaisesRegex(ValueError, "was made by another node"):
                does(FAR_REF)

    def test_in_patterns(self):
        me = mote.self()
        other, ref = parse("<a@b.1.2.4>"), parse("#Ref<a@b.1.2.3.5>")
        for wanted, message in ((FAR_PID, parse("<a@b.1.2.3>")), ((FAR_REF, ANY), (parse("#Ref<a@b.1.2.3.4>"), 1)), ({"k": FAR_PID}, {"k": FAR_PID})):
            me.send(other)
            me.send((ref, 1))
            me.send(message)
            self.assertEqual(mote.receive(wanted, timeout=0), message)
            self.assertEqual([mote.receive(timeout=0), mote.receive(timeout=0)], [other, (ref, 1)])

    def test_no_node(self):
        self.assertEqual((mote.node(), mote.nodes(), mote.nodes(hidden=True)), ("nonode@nohost", [], []))
        for does in (mote.connect, mote.disconnect, mote.monitor_node, lambda node: mote.monitor_nodes(), lambda node: mote.set_cookie(node, "c"),
                     lambda node: mote.node_at(node, "127.0.0.1", 1)):
            with self.assertRaisesRegex(mote.MoteError, "this is no node among others: give it a name"):
                does("a@b")


class Options(Case):
    def test_what_cannot_be(self):
        port = free_port()
        for how, why in (({"name": "x"}, "alive@host"), ({"name": "ä@b"}, "ASCII"), ({"cookie": "ä"}, "cookie is a str of"), ({"cookie": ""}, "cookie is a str of"), ({"cookie": "c\n"}, "cookie is"),
                         ({"address": "localhost"}, "IP address"), ({"address": "0.0.0.0"}, "without TLS"), ({"port": -1}, "port is a number"), ({"epmd": 65536}, "epmd is a number"),
                         ({"rights": ["exit", "all"]}, "rights are of exit, spawn, rpc, system, not 'all'"), ({"tick": 0}, "tick is seconds"), ({"name": None}, "of a node with a name")):
            with self.assertRaisesRegex(ValueError, why) as caught:
                mote.Node(**{"name": "x@127.0.0.1", "cookie": SECRET, "epmd": port, **how})
            self.assertNotIn(SECRET, str(caught.exception))
        self.assertEqual(mote.node(), "nonode@nohost")

    def test_names(self):
        self.begin()
        self.assertEqual((self.node.name, mote.node(), mote.self().node, mote.make_ref().node), (self.name,) * 4)
        self.assertGreater(self.node.port, 0)
        self.assertNotIn(SECRET, repr(self.node))
        for does in (mote.connect, mote.ping, mote.disconnect, mote.monitor_node):
            for name in ("nobody", "@host", "name@", ""):
                with self.assertRaisesRegex(ValueError, "alive@host"):
                    does(name)
            with self.assertRaises(TypeError):
                does(1)
        with self.assertRaisesRegex(ValueError, "an IP address and a port"):
            mote.node_at("a@b", "somewhere", 1)
        with self.assertRaisesRegex(ValueError, "cookie is a str"):
            mote.set_cookie("a@b", "")
        self.assertTrue(mote.ping(self.name))
        mote.connect(self.name)
        me = mote.self()
        for to in (me, ("main", self.name)):
            if to is not me:
                mote.register("main")
            mote.send(to, 1)
            self.assertEqual(mote.receive(timeout=0), 1)
        self.assertEqual(mote.decode(mote.encode(me)), me)
        self.assertIn(self.name.encode(), mote.encode(me))
        refs = [mote.make_ref() for _ in range(10)]
        self.assertEqual(mote.decode(mote.encode(refs)), refs)
        words = [int.from_bytes(mote.encode(ref)[-12:], "big") for ref in refs]
        self.assertTrue(all(bin(a ^ b).count("1") > 10 for a, b in zip(words, words[1:])), words)  # they are counted, and nobody else sees it

    def test_nobody_there(self):
        self.begin()
        with contextlib.redirect_stderr(io.StringIO()) as log:
            with self.assertRaisesRegex(ConnectionError, "no connection to nobody@127.0.0.1: the log says why"):
                mote.connect("nobody@127.0.0.1")
            self.assertFalse(mote.ping("nobody@127.0.0.1"))
        self.assertIn("nobody@127.0.0.1: epmd knows no node of this name", log.getvalue())
        mote.monitor_node("nobody@127.0.0.1")
        self.assertEqual(self.hears(), NodeDown(Atom("nodedown"), Atom("nobody@127.0.0.1")))
        with self.assertRaises(ConnectionError):
            mote.disconnect("nobody@127.0.0.1")

    def test_coroutines(self):
        self.begin()
        name, _ = self.start_mote()
        me = mote.self()

        async def process():
            with self.assertRaisesRegex(RuntimeError, "await"):
                mote.ping(name)
            found = [await mote.aio.ping("nobody@127.0.0.1"), await mote.aio.ping(name)]
            try:
                await mote.aio.connect("nobody@127.0.0.1")
            except ConnectionError as e:
                found.append(str(e))
            found.append(await mote.aio.connect(name))
            found.append(await mote.aio.call(("probe", name), (A["add"], 1)))
            found.append(await Probe.at(("probe", name)).aio.add(1))
            found.append(await AsyncProbe.at(("async_probe", name)).aio.add(1))
            me.send(found)

        def function():
            me.send([mote.ping(name), mote.call(("probe", name), (A["add"], 1))])

        with contextlib.redirect_stderr(io.StringIO()):
            mote.spawn(process)
            self.assertEqual(self.hears(), [False, True, "mote.connect: no connection to nobody@127.0.0.1: the log says why", None, 1, 2, 2])
        mote.spawn(function)
        self.assertEqual(self.hears(), [True, 3])

    def test_a_name_that_is_taken(self):
        self.begin()
        name, _ = self.start_mote()
        program = f"import mote\ntry: mote.Node({name!r}, cookie='{SECRET}', epmd={self.port})\nexcept ValueError as e: print(e, mote.node())"
        found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=self.environment())
        self.assertIn("another node of this host has it", found.stdout)
        self.assertIn("nonode@nohost", found.stdout)

    def test_wrong_cookie(self):
        """Who is asked says so; who asks finds the connection closed."""
        self.begin(cookie="another secret")
        name, program = self.start_mote()
        with contextlib.redirect_stderr(io.StringIO()) as log:
            with self.assertRaises(ConnectionError):
                mote.connect(name)
            self.assertIn(f"cannot connect to {name}", log.getvalue())
            program.stdin.write(f"{self.name}\n".encode())
            program.stdin.flush()
            self.assertEqual(program.stdout.readline(), b"False\n")
        self.assertIn("wrong cookie: give both nodes the same", log.getvalue())
        self.assertNotIn("another secret", log.getvalue())
        mote.set_cookie(name, SECRET)
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertTrue(mote.ping(name))

    def test_large_bytes_are_not_copied(self):
        """Who sends them shares them with the connection until they are written."""
        self.begin()
        name, program = self.start_mote()
        self.assertTrue(mote.ping(name))
        data = os.urandom(20_000_000)
        buffer = mote.buffer(len(data))
        memoryview(buffer)[:] = data
        before = sys.getrefcount(data), sys.getrefcount(buffer)
        WithNode.stop(program.pid)
        try:
            mote.send(("probe", name), (A["echo"], mote.self(), [data, memoryview(data)[1:], buffer]))
            self.assertEqual((sys.getrefcount(data), sys.getrefcount(buffer)), (before[0] + 2, before[1] + 1))
        finally:
            os.kill(program.pid, signal.SIGCONT)
        self.assertEqual(self.hears((A["echo"], ANY, ANY))[2], [data, data[1:], data])
        self.assertEqual((sys.getrefcount(data), sys.getrefcount(buffer)), before)

    def test_who_does_not_want_to_wait(self):
        """Is told instead, and what it says was sent arrives."""
        self.begin()
        name, program = self.start_mote()
        to = ("probe", name)
        self.assertIs(mote.send_nosuspend(to, (A["echo"], mote.self(), 0), noconnect=True), False)
        self.assertTrue(mote.ping(name))
        WithNode.stop(program.pid)
        try:
            sent = 0
            while mote.send_nosuspend(to, (A["echo"], mote.self(), b"x" * 50_000)):
                sent += 1
                self.assertLess(sent, 10_000)
        finally:
            os.kill(program.pid, signal.SIGCONT)
        while not mote.send_nosuspend(to, (A["echo"], mote.self(), b"last"), noconnect=True):
            self.assertEqual(len(self.hears((A["echo"], ANY, ANY))[2]), 50_000)
            sent -= 1
        self.assertEqual([len(self.hears((A["echo"], ANY, ANY))[2]) for _ in range(sent + 1)], [50_000] * sent + [4])
        with self.assertRaises(mote.NoProc):
            mote.send_nosuspend("nobody", 1)

    def test_ipv6(self):
        """A node listens at the address in its name; the port mapper that the first becomes is at both loopback addresses."""
        self.port = free_port()
        for name, other in (("t6@::1", "peer6@::1"), ("t@127.0.0.1", "peer6@::1"), ("t6@::1", "peer@127.0.0.1")):
            with self.subTest(name, peer=other), mote.Node(name, cookie=SECRET, epmd=self.port) as node:
                _, program = self.start_mote(other)
                self.assertEqual(mote.call(("probe", other), (A["add"], 2), PATIENCE), 2)
                socket.create_connection((name.split("@")[1], node.port), PATIENCE).close()
                ended(program)

    def test_where_a_node_is(self):
        """Without port mappers."""
        self.begin(epmd=False)
        mote.node_at("other@127.0.0.1", "127.0.0.1", free_port())
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertFalse(mote.ping("other@127.0.0.1"))


class Page(Case):
    def test_the_two_programs_of_the_page(self):
        page = (HERE.parents[1] / "docs" / "cluster.md").read_text(encoding="utf-8")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, code in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", page, re.M | re.S):
            pathlib.Path(folder.name, name).write_text(code)
        self.port = free_port()
        self.run_peer([sys.executable, "server.py"], b"server@127.0.0.1 is there\n", cwd=folder.name)
        client = subprocess.run([sys.executable, "client.py"], capture_output=True, text=True, timeout=60, cwd=folder.name, env=self.environment())
        self.assertEqual((client.returncode, client.stdout), (0, "5\n"), client.stderr)


class Peers:
    """With whatever node: `start` gives its name and its program."""

    def setUp(self):
        log = contextlib.redirect_stderr(io.StringIO())
        log.__enter__()
        self.addCleanup(log.__exit__, None, None, None)
        self.begin(rights=["exit"], **self.how)
        self.peer, self.program = self.start()
        self.probe = (A["probe"], Atom(self.peer))

    def ask(self, name, *args):
        return mote.call(self.probe, (A[name], *args) if args or name == "never" else A[name], PATIENCE)

    def test_messages(self):
        me = mote.self()
        pid = self.ask("idle")
        self.assertEqual((type(pid), pid.node), (mote.Pid, self.peer))
        self.assertEqual(mote.nodes(hidden=True), [self.peer])
        for value in (1, -(2**100), 1.5, b"bytes", A["ok"], (1, (2,)), [1, [2]], {b"a": {1: 2.5}}, None, True, me, pid, mote.make_ref(), FAR_PID, FAR_REF, [pid, (me, {pid: me})],
                      os.urandom(3_000_000), list(range(1000))):
            for to in (pid, self.probe):
                mote.send(to, (A["echo"], me, value))
                _, sender, back = self.hears((A["echo"], ANY, ANY))
                self.assertTrue(back == value and type(back) is type(value), repr(value)[:100])
                self.assertEqual(sender.node, self.peer)
        pid.send((A["echo"], me, "größe"))
        self.assertEqual(self.hears()[2], "größe".encode() if self.plain else "größe")
        self.assertEqual({pid: 1}[_again(pid)], 1)

    def test_to_names_and_aliases_of_ours(self):
        mote.register("main")
        alias = mote.alias(reply=True)
        for to in ((A["probe"], self.peer), ("probe", self.peer)):
            mote.send(to, (A["echo"], (Atom("main"), Atom(self.name)), 1))
        for value in (2, 3, 4):  # the first alone gets through
            mote.send(self.probe, (A["echo"], alias, value))
        mote.send(self.probe, (A["echo"], mote.self(), 5))
        self.assertEqual([self.hears()[2] for _ in range(4)], [1, 1, 2, 5])

    def test_order(self):
        counter = self.ask("count", COUNT, mote.self())
        for i in range(1, COUNT + 1):
            counter.send((A["n"], i))
        self.assertEqual(self.hears(), ("counted", "ok"))
        self.ask("flood", mote.self(), COUNT)
        for i in range(1, COUNT + 1):
            self.assertEqual(self.hears(), ("n", i))

    def test_monitors(self):
        pid = self.ask("idle")
        ref = mote.monitor(pid)
        pid.send((A["exit"], (Atom("why"), 1)))
        self.assertEqual(self.hears(), Down(Atom("DOWN"), ref, Atom("process"), pid, ("why", 1)))
        ref = mote.monitor(pid)
        self.assertEqual(self.hears(), Down(Atom("DOWN"), ref, Atom("process"), pid, "noproc"))
        ref = mote.monitor(("nobody", self.peer))
        self.assertEqual(self.hears(), Down(Atom("DOWN"), ref, Atom("process"), ("nobody", self.peer), "noproc"))
        ref = mote.monitor(self.probe)
        self.assertTrue(mote.demonitor(ref, flush=True))
        with mote.monitoring(self.probe) as ref:
            with self.assertRaises(mote.NoProc) as caught:
                self.ask("halt")
            self.assertEqual(caught.exception.reason, "on_purpose")
            self.assertEqual(self.hears(), Down(Atom("DOWN"), ref, Atom("process"), self.probe, "on_purpose"))

    def test_they_watch_us(self):
        for how in ("monitor", "link"):
            mine = mote.spawn(idle)
            watcher = self.ask("watch", A[how], mine, mote.self())
            self.assertEqual(self.hears(), ("watching", watcher))
            mine.send((A["exit"], (Atom("why"), [how == "link"])))
            self.assertEqual(self.hears(), ("saw", mine, ("why", [how == "link"])))

    def test_links(self):
        me = mote.self()
        with mote.trap_exit():
            for reason in (Atom("reason"), (1, b"x" * 1000)):
                pid = self.ask("idle")
                mote.link(pid)
                pid.send((A["exit"], reason))
                self.assertEqual(self.hears(), ExitSignal(Atom("EXIT"), pid, reason))
            pid = self.ask("idle")
            mote.link(pid)
            mote.unlink(pid)
            ref = mote.monitor(pid)
            pid.send((A["exit"], A["ok"]))
            self.assertEqual(self.hears(), Down(Atom("DOWN"), ref, Atom("process"), pid, "ok"))
            mote.link(pid)
            self.assertEqual(self.hears(), ExitSignal(Atom("EXIT"), pid, A["noproc"]))
        mine, pid = mote.spawn(_links, me), self.ask("idle")
        ref = mote.monitor(mine)
        mine.send(pid)
        self.assertEqual(self.hears(), "linked")
        pid.send((A["exit"], Atom("down_with_it")))
        self.assertEqual(self.hears()[1:], (ref, "process", mine, "down_with_it"))

    def test_exit_signals(self):
        for send, reason in ((lambda pid: mote.exit(pid, "bye"), "bye"), (mote.kill, "killed")):
            pid = self.ask("idle")
            ref = mote.monitor(pid)
            send(pid)
            self.assertEqual(self.hears(), Down(Atom("DOWN"), ref, Atom("process"), pid, reason))
        for reason, told in ((Atom("bye"), "bye"), (A["kill"], "killed")):
            mine = mote.spawn(idle)
            ref = mote.monitor(mine)
            self.ask("exit", mine, reason)
            self.assertEqual(self.hears()[1:], (ref, "process", mine, told))

    def test_calls(self):
        self.assertEqual(self.ask("add", 5), 5)
        probe = Probe.at(self.probe)
        self.assertEqual([probe.add(1), probe.within(PATIENCE).add(2)], [6, 8])
        probe.cast.set(100)
        self.assertEqual(probe.add(1), 101)
        with self.assertRaises(TimeoutError):
            mote.call(self.probe, (A["never"],), 0.05)
        with self.assertRaises(TimeoutError):
            mote.receive(timeout=0.05)
        with self.assertRaises(mote.NoProc) as caught:
            mote.call(("nobody", self.peer), 1)
        self.assertEqual(caught.exception.reason, "noproc")
        self.assertEqual(mote.get_state(self.probe), 101 if self.plain else {"n": 101})

    def test_they_call_us(self):
        for cls, name in ((Probe, "counter"), (AsyncProbe, "later")):
            server = cls.options(name=name).start()
            for where in (server.pid, (Atom(name), Atom(self.name))):
                self.assertEqual(self.ask("ask", where, (A["add"], 2))[0], "ok")
        counter = mote.whereis("counter")
        self.assertEqual(self.ask("ask", counter, (A["add"], 2)), ("ok", 6))
        self.assertEqual(self.ask("ask", counter, A["halt"]), ("error", "on_purpose"))
        self.assertEqual(self.ask("ask", counter, A["halt"]), ("error", "noproc"))

    def test_nodes(self):
        mote.monitor_nodes()
        self.assertEqual(mote.nodes(hidden=True), [])
        mote.connect(self.peer)
        self.assertEqual(self.hears(), NodeUp(Atom("nodeup"), Atom(self.peer)))
        self.assertEqual((mote.nodes(hidden=True), mote.nodes()), ([self.peer], [self.peer] if self.visible else []))
        mote.monitor_node(self.peer)
        mote.monitor_node(self.peer)
        mote.monitor_node(self.peer, False)
        ref = mote.monitor(self.probe)
        mote.disconnect(self.peer)
        got = [self.hears() for _ in range(3)]
        down = NodeDown(Atom("nodedown"), Atom(self.peer))
        self.assertEqual(sorted(map(type, got), key=str), sorted([Down, NodeDown, NodeDown], key=str))
        self.assertEqual((got.count(down), [m.reason for m in got if type(m) is Down], [m.ref for m in got if type(m) is Down]), (2, ["noconnection"], [ref]))
        mote.monitor_nodes(False)
        self.assertTrue(mote.ping(self.peer))
        self.assertEqual(self.ask("add", 1), 1)
        with self.assertRaises(TimeoutError):
            mote.receive(timeout=0)

    def test_death_is_noticed(self):
        pid = self.ask("idle")
        with mote.trap_exit():
            mote.link(pid)
            ref = mote.monitor(self.probe)
            mote.monitor_node(self.peer)
            self.ask("add", 1)  # all has arrived
            os.kill(self.program.pid, signal.SIGKILL)
            got = [self.hears() for _ in range(3)]  # long before a tick is missed
            self.assertIn(ExitSignal(Atom("EXIT"), pid, A["noconnection"]), got)
            self.assertIn(Down(Atom("DOWN"), ref, Atom("process"), self.probe, A["noconnection"]), got)
            self.assertIn(NodeDown(Atom("nodedown"), Atom(self.peer)), got)
        self.assertEqual(mote.nodes(hidden=True), [])
        with self.assertRaises(mote.NoProc):
            self.ask("add", 1)

    def test_timers(self):
        pid = self.ask("idle")
        for to in (pid, self.probe):
            mote.send_after(0.01, to, (A["echo"], mote.self(), 1))
            self.assertEqual(self.hears()[2], 1)


def _again(pid):
    """An equal Pid that is another object."""
    return mote.decode(mote.encode(pid))


def _links(to):
    mote.link(mote.receive())
    to.send("linked")
    mote.receive()


class WithMote(Peers, Case):
    how = {}
    plain, visible = False, False

    def start(self):
        return self.start_mote()

    def test_named_arguments(self):
        self.assertEqual(Probe.at(self.probe).named(1, b=(2,)), [1, (2,)])

    def test_types(self):
        """What Erlang has not keeps its type between two of mote's nodes, from the first message on."""
        here = mote.spawn(idle)
        values = ["größe", "", "x" * 300, "y" * 100_000, {"a": 1, b"a": 2}, {1, 2}, frozenset({"x"}), float("inf"), 1 + 2j, bytearray(b"bytes"), "\ud800", Atom("true"), Atom("nil"),
                  (A["ok"], "text"), Note("of", [1, None]), [Note("first", 1), {"deep": (Note("second", {here}),)}], parse("<<1:3>>"), parse("[1|2]")]
        for to in (self.probe, self.ask("idle")):
            for value in values:
                mote.send(to, (A["echo"], mote.self(), value))
                back = self.hears((A["echo"], ANY, ANY))[2]
                self.assertTrue(back == value and type(back) is type(value), (value, back))
        numbers = memoryview(array.array("d", range(1000)))
        mote.send(self.probe, (A["echo"], mote.self(), numbers))
        back = self.hears((A["echo"], ANY, ANY))[2]
        self.assertEqual((type(back), back.format, back.tolist(), back.readonly), (memoryview, "d", numbers.tolist(), True))

    def test_large_parts(self):
        """More than are left out of a message, between other things."""
        buffer = mote.buffer(300_000)
        memoryview(buffer)[:3] = b"abc"
        large = os.urandom(400_000)
        value = [0, large, "text", memoryview(large)[5:200_000], (buffer, {}), b"small"] + [large[n:] for n in range(20)]
        for to in (self.probe, self.ask("idle")):
            for one in (value, large, [large], buffer, list(range(300_000)), "x" * 500_000):
                mote.send(to, (A["echo"], mote.self(), one))
                back = self.hears((A["echo"], ANY, ANY))[2]
                wanted = value[:4] + [(bytes(buffer), {})] + value[5:] if one is value else bytes(buffer) if one is buffer else one
                self.assertTrue(back == wanted)

    def test_classes_that_one_side_knows(self):
        """Are tuples there, and again what they were here. What mote itself says, nobody else does."""
        for value in (Mine("text", 1), Down(Atom("DOWN"), mote.make_ref(), Atom("process"), mote.self(), 1)):
            mote.send(self.probe, (A["echo"], mote.self(), [value, [value]]))
            back = self.hears((A["echo"], ANY, ANY))[2]
            self.assertEqual(back, [value, [value]])
            self.assertIs(type(back[0]), Mine if type(value) is Mine else tuple)

    def test_types_of_reasons(self):
        pid = self.ask("idle")
        ref = mote.monitor(pid)
        pid.send((A["exit"], {"why": ["text", b"bytes"]}))
        self.assertEqual(self.hears(), Down(Atom("DOWN"), ref, Atom("process"), pid, {"why": ["text", b"bytes"]}))


if shutil.which("erl") and shutil.which("erlc"):

    @quick.once
    class WithErlangByIpv6(Case):
        def test_both_ways(self):
            self.port = free_port()
            cookie = SECRET.replace(" ", "_")
            with mote.Node("t6@::1", cookie=cookie, epmd=self.port, visible=True):
                name, _ = self.start_erlang("erl@::1")
                self.assertEqual(mote.call(("probe", name), (A["add"], 2), PATIENCE), 2)
                AsyncProbe.options(name="later").start()
                self.assertEqual(mote.call(("probe", name), (A["ask"], (Atom("later"), Atom("t6@::1")), (A["add"], 2)), PATIENCE), (A["ok"], 3))

    @quick.once
    class WithErlang(Peers, Case):
        how = {"cookie": SECRET.replace(" ", "_"), "visible": True}
        plain, visible = True, True

        def start(self):
            return self.start_erlang()

        def test_what_it_has_not(self):
            """Before anybody knows what the other is, it is lost, and told; from then on the sender knows."""
            with contextlib.redirect_stderr(io.StringIO()) as log:
                mote.send(self.probe, (A["echo"], mote.self(), {1}))
                mote.send(self.probe, (A["echo"], mote.self(), {"text": [Note("of", "x")]}))
                self.assertEqual(self.hears()[2], {b"text": [Note(b"of", b"x")]})
            self.assertIn(f"a signal to {self.peer} is lost: it holds what only mote's nodes know", log.getvalue())
            for value in ({1}, 1j, float("nan"), "\ud800", {"a": 1, b"a": 2}):
                with self.assertRaises(mote.NotSendable):
                    mote.send(self.probe, (A["echo"], mote.self(), value))
            mote.send(self.probe, (A["echo"], mote.self(), "text"))
            self.assertEqual(self.hears()[2], b"text")


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(*sys.argv[2:])
    else:
        unittest.main()
