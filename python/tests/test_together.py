# SPDX-License-Identifier: Apache-2.0
"""Clusters: groups over several nodes, nodes that are found and come again, functions started there, and calls to groups. All on loopback; the test's own node is the port mapper."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import mote
import quick
from mote import ANY, Atom
from test_cluster import PATIENCE, SECRET, Case

SELF = "together"


# ------------------------------------------------------------------------------------------------ what runs in the peer


def greets(to, text):
    mote.send(to, (Atom("hello"), mote.self(), text))
    mote.receive("stop")


@mote.export
def adds(a, b):
    return a + b


def fails():
    raise ValueError("on purpose")


def lasts():
    mote.receive("stop")


async def coroutine():
    pass


async def adds_later(a, b):
    await mote.aio.sleep(0.001)
    return a + b


async def fails_later():
    await mote.aio.sleep(0.001)
    raise ValueError("on purpose")


async def echoes(to):
    """Sends back what it gets, and last why it is ended."""
    try:
        while True:
            to.send(("echo", await mote.aio.receive()))
    finally:
        to.send(("cleans", mote.self().node))


@mote.export(place="dedicated")
def process_id(to):
    to.send(("working", os.getpid()))
    return os.getpid()


def gives_up(to):
    to.send(("linked", mote.self()))
    mote.receive("stop")


class Worker(mote.Server):
    def init(self, name):
        self.name = name
        mote.pg.join("workers")

    @mote.call
    def who(self):
        return Atom(self.name)

    @mote.call
    def never(self):
        return mote.NoReply

    @mote.call
    def halt(self):
        raise mote.Exit("on_purpose")


def peer(name, port, rights):
    """The program of another node: does what it is told, and says what came of it."""
    mote.export(greets, f"{SELF}:greets")
    with mote.Node(name, cookie=SECRET, epmd=int(port), rights=filter(None, rights.split(",")), tick=240), mote.Cluster():
        mote.export(adds, f"{SELF}:adds")
        mote.export(fails, f"{SELF}:fails")
        mote.export(lasts, f"{SELF}:lasts")
        mote.export(adds_later, f"{SELF}:adds_later")
        mote.export(fails_later, f"{SELF}:fails_later")
        mote.export(echoes, f"{SELF}:echoes")
        mote.export(process_id, f"{SELF}:process_id", place="dedicated")
        mote.export(gives_up, f"{SELF}:gives_up", place="dedicated")
        worker = Worker.start(name)
        print("ready", flush=True)
        for line in sys.stdin:
            print(eval(line, globals(), {"worker": worker}), flush=True)


# -------------------------------------------------------------------------------------------------------- the tests' side


class Together(Case):
    def setUp(self):
        self.begin()

    def start(self, name="peer@127.0.0.1", rights=""):
        return self.run_peer([sys.executable, __file__, "peer", name, str(self.port), rights])

    def tell(self, process, what):
        process.stdin.write(what.encode() + b"\n")
        process.stdin.flush()
        return process.stdout.readline().decode().strip()

    def until(self, wanted, look):
        """Looks until it is so."""
        end = time.monotonic() + PATIENCE
        while look() != wanted:
            self.assertLess(time.monotonic(), end, f"{look()!r} is not {wanted!r}")
            mote.sleep(0.005)

    def cluster(self, *args, **how):
        made = mote.Cluster(*args, **how)
        self.addCleanup(made.stop)
        return made


class Groups(Together):
    def test_members_on_other_nodes(self):
        cluster = self.cluster("peer@127.0.0.1")
        self.assertEqual(mote.pg.members("workers"), [])
        mote.pg.join("workers")
        ref, members = mote.pg.monitor("workers")
        self.assertEqual(members, [mote.self()])
        process = self.start()
        cluster.wait(1, PATIENCE)
        got = self.hears((ref, ANY, ANY, ANY))
        self.assertEqual(got[:3], (ref, "join", "workers"))  # by the name that it has here
        (there,) = got[3]
        self.assertEqual(there.node, "peer@127.0.0.1")
        self.assertEqual(mote.pg.members("workers"), [mote.self(), there])
        self.assertEqual(mote.pg.members(b"workers"), [mote.self(), there])
        self.assertEqual(mote.pg.local_members("workers"), [mote.self()])
        self.assertEqual(mote.pg.names(), ["workers"])
        self.until("2", lambda: self.tell(process, "len(mote.pg.members('workers'))"))
        self.assertEqual(self.tell(process, "mote.pg.local_members('workers') == [worker.pid]"), "True")
        self.assertEqual(mote.call(there, "who"), "peer@127.0.0.1")
        with self.assertRaises(mote.MoteError):
            mote.pg.join("workers", there)  # each node has its own
        self.tell(process, "mote.pg.leave('workers', worker.pid)")
        self.assertEqual(self.hears((ref, ANY, ANY, ANY)), (ref, "leave", "workers", [there]))
        self.tell(process, "mote.pg.join('workers', worker.pid)")
        self.assertEqual(self.hears((ref, ANY, ANY, ANY)), (ref, "join", "workers", [there]))
        process.kill()
        self.assertEqual(self.hears((ref, ANY, ANY, ANY)), (ref, "leave", "workers", [there]))
        self.assertEqual(mote.pg.members("workers"), [mote.self()])

    def test_broadcast_and_coroutines(self):
        cluster = self.cluster("peer@127.0.0.1")
        self.start()
        cluster.wait(1, PATIENCE)
        self.until(1, lambda: len(mote.pg.members("workers")))
        self.assertEqual(mote.pg.broadcast("workers", "anything"), 1)

        async def asks(to):
            members = await cluster.groups.aio.members("workers")
            here = await cluster.groups.aio.local_members("workers")
            answers = await cluster.aio.call("workers", "who", to="all")
            to.send((members == list(answers), here, list(answers.values()), await cluster.aio.call("workers", "who"), list(await cluster.aio.wanted())))

        mote.spawn(asks, mote.self())
        self.assertEqual(self.hears(), (True, [], ["peer@127.0.0.1"], "peer@127.0.0.1", ["peer@127.0.0.1"]))


class Clusters(Together):
    def test_life(self):
        cluster = self.cluster(["peer@127.0.0.1", self.name])
        self.assertEqual(cluster.wanted(), {"peer@127.0.0.1": False})
        with self.assertRaises(TimeoutError):
            cluster.wait(1, 0.01)
        for _ in range(2):
            process = self.start()
            cluster.wait(1, PATIENCE)
            self.assertEqual((cluster.nodes(), cluster.wanted()), (["peer@127.0.0.1"], {"peer@127.0.0.1": True}))
            process.kill()
            self.until([], cluster.nodes)
        with self.assertRaises(ConnectionError):
            cluster.connect("other@127.0.0.1")
        self.start("other@127.0.0.1")
        cluster.wait(1, PATIENCE)  # it is tried again
        cluster.connect("other@127.0.0.1")
        cluster.forget("other@127.0.0.1")
        with self.assertRaises(LookupError):
            cluster.forget("other@127.0.0.1")

    def test_found(self):
        self.start()
        self.start("else@127.0.0.1")
        with mote.Cluster(hosts="127.0.0.1", prefix="pe", look=0.02) as cluster:
            cluster.wait(1, PATIENCE)
            self.assertEqual(cluster.wanted(), {"peer@127.0.0.1": True})
        with mote.Cluster(dns=["else@localhost", "else@no-such-host.invalid"], look=0.02) as cluster:
            cluster.wait(1, PATIENCE)
            self.assertTrue(cluster.wanted()["else@127.0.0.1"])

    def test_refusals(self):
        for how in ({"nodes": "peer"}, {"dns": "localhost"}, {"hosts": "a@b"}, {"look": 0}):
            with self.assertRaises(ValueError):
                mote.Cluster(**how)
        cluster = self.cluster()
        with self.assertRaises(ValueError):
            cluster.call("workers", "who", to="some")
        with self.assertRaises(LookupError):
            cluster.call("workers", "who")
        self.assertEqual(cluster.call("workers", "who", to="all"), {})
        self.assertIsInstance(cluster, mote.Cluster)

        async def waits():
            cluster.wait(0)

        mote.monitor(mote.spawn(waits))
        self.assertEqual(self.hears().reason[1][0], "RuntimeError")  # it has to be awaited there

    def test_no_name(self):
        self.node.stop()
        with mote.Node(), self.assertRaises(mote.MoteError):
            mote.Cluster()

    def test_calls(self):
        cluster = self.cluster(["peer@127.0.0.1", "other@127.0.0.1"])
        Worker.start(self.name)
        self.start()
        process = self.start("other@127.0.0.1")
        names = sorted([self.name, "peer@127.0.0.1", "other@127.0.0.1"])
        self.until(3, lambda: len(mote.pg.members("workers")))
        self.assertEqual(sorted(cluster.call("workers", "who", to="all").values()), names)
        self.assertEqual({cluster.call("workers", "who") for _ in range(100)}, set(names))
        with self.assertRaises(TimeoutError):
            cluster.call("workers", "never", 0.01)
        self.assertEqual({type(answer) for answer in cluster.call("workers", "never", 0.01, to="all").values()}, {TimeoutError})
        self.tell(process, "mote.spawn(lambda: Worker.start('third'))")
        self.until(4, lambda: len(mote.pg.members("workers")))
        answers = cluster.call("workers", "halt", to="all")
        self.assertEqual([(type(answer), answer.reason) for answer in answers.values()], [(mote.NoProc, "on_purpose")] * 4)
        self.until([], lambda: mote.pg.members("workers"))


class Functions(Together):
    def test_spawn(self):
        self.start(rights="spawn,exit")
        cluster = self.cluster("peer@127.0.0.1")
        pid, ref = cluster.spawn(f"{SELF}:greets", mote.self(), "text", on="peer@127.0.0.1", monitor=True)
        self.assertEqual(pid.node, "peer@127.0.0.1")
        self.assertEqual(self.hears((Atom("hello"), ANY, ANY)), ("hello", pid, "text"))
        pid.send(Atom("stop"))
        down = self.hears((Atom("DOWN"), ANY, ANY, ANY, ANY))
        self.assertEqual((down.ref, down.process, down.reason), (ref, pid, "normal"))
        with mote.trap_exit():
            pid = cluster.spawn(f"{SELF}:greets", mote.self(), 1, on="peer@127.0.0.1", link=True)
            self.hears((Atom("hello"), pid, 1))
            mote.exit(pid, "over")
            self.assertEqual(self.hears((Atom("EXIT"), pid, ANY)).reason, "over")
        pid, ref = cluster.spawn(f"{SELF}:fails", on="peer@127.0.0.1", monitor=True)
        self.assertEqual(self.hears().reason[1][0], "ValueError")
        for unknown in (f"{SELF}:coroutine", "os:getpid", "mote:kill"):
            pid, ref = cluster.spawn(unknown, on="peer@127.0.0.1", monitor=True)
            self.assertEqual(self.hears((Atom("DOWN"), ref, ANY, ANY, ANY)).reason[0], "undef")

    def test_spawn_is_refused(self):
        self.start()
        cluster = self.cluster("peer@127.0.0.1")
        with self.assertRaises(PermissionError):
            cluster.spawn(f"{SELF}:greets", mote.self(), 1, on="peer@127.0.0.1")
        with self.assertRaises(ConnectionError):
            cluster.spawn("a:b", on="nobody@127.0.0.1")
        for wrong in ("greets", lambda: 1):
            with self.assertRaises(ValueError):
                cluster.spawn(wrong, on="peer@127.0.0.1")

    def test_spawn_is_given_up(self):
        """Where nobody answers: a process that starts after all is not known to anybody."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            mote.node_at("silent@127.0.0.1", "127.0.0.1", silent.getsockname()[1])
            with self.assertRaises(TimeoutError):
                self.cluster().spawn("a:b", on="silent@127.0.0.1", timeout=0.05)

    def test_own_node(self):
        mote.export(adds)
        mote.export(greets, "here:greets")
        self.node.stop()
        self.begin(rights=["spawn"])  # what was exported before is exported there, too
        cluster = self.cluster()
        pid = cluster.spawn("here:greets", mote.self(), [1], on=self.name)
        self.assertEqual(self.hears(), ("hello", pid, [1]))
        pid.send("stop")
        with self.assertRaises(ValueError):
            mote.export(greets, f"{adds.__module__}:adds")
        with self.assertRaises(ValueError):
            mote.export(lambda: 1)
        self.assertIs(mote.export(adds), adds)
        for wrong in (self.test_own_node, 5, len.__call__):
            with self.assertRaises(ValueError):
                mote.export(wrong)

    def test_rpc(self):
        peer = "peer@127.0.0.1"
        self.start(rights="rpc")
        self.assertEqual(mote.rpc(peer, f"{SELF}:adds", 1, 2, timeout=PATIENCE), 3)
        self.assertEqual(mote.rpc(peer, f"{SELF}:adds", "text", " and more", timeout=PATIENCE), "text and more")
        with self.assertRaisesRegex(mote.RpcError, "together:fails at peer@127.0.0.1 has ended with exit: ValueError: on purpose") as got:
            mote.rpc(peer, f"{SELF}:fails")
        self.assertEqual((got.exception.kind, got.exception.reason[0]), ("exit", "error"))
        with self.assertRaisesRegex(mote.RpcError, "no function together:nothing of so many arguments") as got:
            mote.rpc(peer, f"{SELF}:nothing", 1)
        self.assertEqual((got.exception.kind, got.exception.reason), ("error", "undef"))
        with self.assertRaises(mote.RpcError):
            mote.rpc(peer, f"{SELF}:adds", 1)  # one too few
        with self.assertRaises(TimeoutError):
            mote.rpc(peer, f"{SELF}:lasts", timeout=0.05)
        with self.assertRaises(ConnectionError):
            mote.rpc("nobody@127.0.0.1", f"{SELF}:adds", 1, 2)
        with self.assertRaisesRegex(ValueError, "module:name"):
            mote.rpc(peer, "adds", 1, 2)
        with self.assertRaises(mote.NotSendable):
            mote.rpc(peer, f"{SELF}:adds", lambda: 1, 2)
        self.assertIsNone(mote.receive(timeout=0, default=None))

        async def calls(to):
            try:
                await mote.aio.rpc(peer, f"{SELF}:fails")
            except mote.RpcError as e:
                to.send((await mote.aio.rpc(peer, f"{SELF}:adds", 1, 2), e.kind))

        mote.spawn(calls, mote.self())
        self.assertEqual(self.hears((3, ANY)), (3, "exit"))
        self.start("mean@127.0.0.1")
        with self.assertRaisesRegex(PermissionError, "mean@127.0.0.1 gives no right to call functions"):
            mote.rpc("mean@127.0.0.1", f"{SELF}:adds", 1, 2)
        name = mote.node()
        mote.export(adds, f"{SELF}:adds_here")
        self.assertEqual(mote.rpc(name, f"{SELF}:adds_here", 1, 2), 3)
        with self.assertRaisesRegex(mote.RpcError, "undef"):
            mote.rpc(name, f"{SELF}:nothing")

    def test_done_by_tasks(self):
        peer = "peer@127.0.0.1"
        process = self.start(rights="rpc,spawn,exit")
        self.assertEqual(mote.rpc(peer, f"{SELF}:adds_later", 1, 2, timeout=PATIENCE), 3)
        with self.assertRaisesRegex(mote.RpcError, "ValueError: on purpose") as got:
            mote.rpc(peer, f"{SELF}:fails_later", timeout=PATIENCE)
        self.assertEqual(got.exception.kind, "exit")
        others = {mote.rpc(peer, f"{SELF}:process_id", mote.self(), timeout=PATIENCE) for _ in range(2)}
        self.assertEqual({self.hears(("working", ANY))[1] for _ in range(2)}, others)
        self.assertEqual(len(others), 2)
        self.assertNotIn(process.pid, others)
        cluster = self.cluster(peer)
        pid, ref = cluster.spawn(f"{SELF}:gives_up", mote.self(), on=peer, monitor=True, timeout=PATIENCE)
        there = self.hears(("linked", ANY))[1]
        self.assertNotEqual(there, pid)
        ended = mote.monitor(there)
        there.send("stop")
        self.assertEqual(self.hears((Atom("DOWN"), ref, ANY, ANY, ANY)).reason, "normal")
        self.assertEqual(self.hears((Atom("DOWN"), ended, ANY, ANY, ANY)).reason, "normal")
        to = mote.self()
        caller = mote.spawn(lambda: (cluster.spawn(f"{SELF}:gives_up", to, on=peer, link=True, timeout=PATIENCE), mote.receive("never")))
        there = self.hears(("linked", ANY))[1]
        ended = mote.monitor(there)
        mote.kill(caller)
        self.assertEqual(self.hears((Atom("DOWN"), ended, ANY, ANY, ANY)).reason, "killed")
        pid, ref = cluster.spawn(f"{SELF}:gives_up", mote.self(), on=peer, monitor=True, timeout=PATIENCE)
        self.hears(("linked", ANY))
        pid.send("stop")  # for the process that was started: the one that does it gets it
        self.assertEqual(self.hears((Atom("DOWN"), ref, ANY, ANY, ANY)).reason, "normal")
        pid, ref = cluster.spawn(f"{SELF}:echoes", mote.self(), on=peer, monitor=True, timeout=PATIENCE)
        for i in range(100):
            pid.send(i)
        pid.send(("EXIT", pid, "not a signal"))
        self.assertEqual([self.hears(("echo", ANY))[1] for _ in range(101)], [*range(100), ("EXIT", pid, "not a signal")])
        mote.exit(pid, "normal")  # ends nobody
        pid.send("again")
        self.assertEqual(self.hears(("echo", ANY))[1], "again")
        mote.exit(pid, "enough")
        self.assertEqual(self.hears(("cleans", ANY))[1], peer)
        self.assertEqual(self.hears((Atom("DOWN"), ref, ANY, ANY, ANY)).reason, "enough")

    def test_called_by_rpc(self):
        self.start(rights="rpc")
        me = ("rex", "peer@127.0.0.1")

        def rpc(name, *args):
            return mote.call(me, (Atom("call"), Atom(SELF), Atom(name), list(args), Atom("user")), PATIENCE)

        self.assertEqual(rpc("adds", 1, 2), 3)
        self.assertEqual(rpc("adds", [1, ("a", None)], [2.5]), [1, ("a", None), 2.5])
        self.assertEqual(rpc("fails")[0], "badrpc")
        self.assertEqual(rpc("adds", 1)[0], "badrpc")  # one too few
        self.assertEqual(rpc("nothing")[0], "badrpc")
        for _ in range(300):
            self.assertEqual(rpc("adds", 1, 2), 3)


@unittest.skipUnless(shutil.which("erl"), "Erlang is not installed")
@quick.once
class WithErlang(Together):
    def setUp(self):
        self.begin(cookie="plain", rights=["rpc", "spawn"], visible=True)

    @quick.once
    def test_groups_and_calls(self):
        mote.export(adds, f"{SELF}:adds")
        mote.Group.start("pg")
        mote.pg.join("g")
        code = f"""{{ok, _}} = pg:start_link(), N = '{self.name}', pong = net_adm:ping(N),
            F = fun F() -> case pg:get_members(<<"g">>) of [P] -> P; _ -> receive after 5 -> F() end end end, P = F(),
            pg:join(<<"g">>, self()), P ! {{erpc:call(N, {SELF}, adds, [40, 2]), rpc:call(N, {SELF}, adds, [1, 2.5]), self()}},
            receive done -> pg:leave(<<"g">>, self()), P ! left end, receive done -> halt(0) end."""
        with tempfile.TemporaryDirectory() as home:
            environment = {**self.environment(), "HOME": home}
            erl = subprocess.Popen(["erl", "+S", "1", "-noinput", "-name", "erl@127.0.0.1", "-setcookie", "plain", "-start_epmd", "false", "-eval", code], env=environment, start_new_session=True)
            try:
                answer, other, pid = self.hears((ANY, ANY, ANY))
                self.assertEqual((answer, other), (42, 3.5))
                self.until([mote.self(), pid], lambda: mote.pg.members("g"))
                self.assertEqual(mote.rpc("erl@127.0.0.1", "lists:reverse", [1, 2, 3]), [3, 2, 1])
                for kind in ("error", "exit", "throw"):
                    with self.assertRaises(mote.RpcError) as got:
                        mote.rpc("erl@127.0.0.1", f"erlang:{kind}", Atom("boom"))
                    self.assertEqual((got.exception.kind, got.exception.reason), (kind, "boom"))
                with self.assertRaisesRegex(mote.RpcError, "no function lists:nothing"):
                    mote.rpc("erl@127.0.0.1", "lists:nothing", 1)
                pid.send(Atom("done"))
                self.assertEqual(self.hears(), "left")
                self.until([mote.self()], lambda: mote.pg.members("g"))
                pid.send(Atom("done"))
                self.assertEqual(erl.wait(PATIENCE), 0)
            finally:
                erl.kill()
                erl.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(*sys.argv[2:])
    else:
        unittest.main()
