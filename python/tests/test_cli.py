# SPDX-License-Identifier: Apache-2.0
"""The command `mote`, as a person calls it: nodes of `mote run`, of this test and, where it is installed, Erlang's. The test's own node is the port mapper."""
import contextlib
import io
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import mote
import quick
from ports import free_port
from test_cluster import PATIENCE, ended

quick.for_the_ends()

SECRET = "a_secret_of_this_test"
APP = """
import sys
import mote

class Counter(mote.Server):
    def init(self):
        self.n = 0

    @mote.call
    def add(self, k):
        self.n += k
        return self.n

    @mote.call
    def who(self):
        return mote.self()

    @mote.call
    def never(self):
        return mote.NoReply

if __name__ == "__main__":
    Counter.options(name="counter").start()
    mote.register("main")
    print(mote.node(), *sys.argv[1:], flush=True)
    mote.receive("stop")
    print("stopped")
    sys.exit(7)
"""

OWN = """
import os
import mote

def place():
    return os.getpid()

if __name__ == "__main__":
    before = mote.self(), mote.node()
    with mote.Node("other@127.0.0.1", cookie="another", port=1, workers=2) as node:
        print((mote.self(), node.name) == before, node.name, node.port)
        with mote.pool() as pool:
            print(pool.submit(place).result() != os.getpid())
    with mote.Node() as node:
        print(node.name)
"""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.cookie = self.folder / "cookie"
        self.cookie.write_text(SECRET)
        self.cookie.chmod(0o400)
        self.port = free_port()
        self.env = {name: value for name, value in os.environ.items() if name != "MOTE_COOKIE_FILE"}
        self.env.update(HOME=folder.name, MOTE_COOKIE_FILE=str(self.cookie), ERL_EPMD_PORT=str(self.port), COLUMNS="200",
                        PYTHONPATH=str(pathlib.Path(mote.__file__).parents[1]))
        self.write("app.py", APP)
        log = contextlib.redirect_stderr(io.StringIO())
        log.__enter__()
        self.addCleanup(log.__exit__, None, None, None)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def node(self, name="test@127.0.0.1", **how):
        """This program as a node and the port mapper."""
        node = mote.Node(name, cookie=SECRET, epmd=self.port, **how)
        self.addCleanup(node.stop)
        return node

    def mote(self, *args, code=0):
        """What a command prints, in both streams."""
        if args and args[0] in ("ping", "call") and "--timeout" not in args:
            args = (*args, "--timeout", "60")
        done = subprocess.run([sys.executable, "-m", "mote", *args], capture_output=True, text=True, timeout=PATIENCE, env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for text in (done.stdout, done.stderr):
            self.assertNotIn(SECRET, text)
        return done.stdout, done.stderr

    def start(self, *args, says):
        """A node by `mote run`, which is there once it says so."""
        with open(self.folder / "log", "w+") as log:
            process = subprocess.Popen([sys.executable, "-m", "mote", "run", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=self.env, cwd=self.folder)
        self.addCleanup(ended, process)
        self.assertEqual(process.stdout.readline(), says, (self.folder / "log").read_text())
        return process

    def fails(self, why, *args, code=1):
        """An error is one for people: it says what, and no traceback."""
        out, err = self.mote(*args, code=code)
        self.assertEqual(out, "")
        self.assertRegex(err, why)
        self.assertNotIn("Traceback", err)
        self.assertIn(f"mote {args[0]}: ", err)


class Help(Case):
    def test_help(self):
        out, _ = self.mote("--help")
        for word in ("run", "ping", "call", "names", "cookie", "cert", "Exit codes"):
            self.assertRegex(out, rf"\b{word}\b")
        for command in ("run", "ping", "call", "names", "cookie", "cert"):
            self.assertIn(f"usage: mote {command}", self.mote(command, "--help")[0])
        self.assertEqual(self.mote("--version")[0], f"mote {mote.__version__}\n")

    def test_wrong_use(self):
        self.assertIn("COMMAND", self.mote(code=2)[1])
        self.mote("dance", code=2)
        for why, *args in (("'a b' is no name of a node: it is alive@host", "ping", "a b"), ("no name of a node", "ping", "@host"), ("no name of a node", "ping", "ä@b"),
                           ("'0' is no number from 1 to 63", "run", "--workers", "0", "app.py"), ("'99999' is no number", "ping", "--epmd-port", "99999", "x"),
                           ("'-1' is no number of seconds|expected one argument", "ping", "--timeout", "-1", "x"), ("'all' is no right: they are exit", "run", "--allow", "all", "app.py"),
                           ("no file and no Python module is called nothing", "run", "nothing"), ("nothing.py cannot be read: No such file", "run", "nothing.py"),
                           ("'a b' is no host's name", "cert", "certs", "a b"), ("'../x' is no host's name", "cert", "certs", "../x"), ("'0' is no number from 1 to 3650", "cert", "--days", "0", "certs", "x"),
                           ("--no-epmd leaves out", "run", "--no-epmd", "--connect", "x", "app.py")):
            self.fails(why, *args, code=2)
        self.env["ERL_EPMD_PORT"] = "here"
        self.fails("ERL_EPMD_PORT of the environment: 'here' is no number", "names", code=2)


class Cookie(Case):
    def test_where_it_is(self):
        self.assertEqual(self.mote("cookie")[0], f"{self.cookie} (MOTE_COOKIE_FILE of the environment): there is one; --show prints it\n")
        other = self.folder / "other"
        self.assertIn(f"{other} (--cookie-file): made now", self.mote("cookie", "--cookie-file", str(other))[0])
        self.assertEqual(other.stat().st_mode & 0o777, 0o400)
        made = other.read_text()
        self.assertRegex(made, "^[0-9a-f]{64}$")
        self.assertEqual(self.mote("cookie", "--show", "--cookie-file", str(other)), (made + "\n", ""))
        self.assertNotIn(made, self.mote("cookie", "--cookie-file", str(other))[0])
        del self.env["MOTE_COOKIE_FILE"]
        self.assertIn(f"{self.folder}/.erlang.cookie (the default, which Erlang has, too): made now", self.mote("cookie")[0])
        del self.env["HOME"]
        self.fails("set HOME or MOTE_COOKIE_FILE", "cookie")

    def test_others_may_not_read_it(self):
        self.cookie.chmod(0o644)
        self.fails(r"nobody else may read \(chmod 400\)", "cookie")
        self.fails(r"nobody else may read \(chmod 400\)", "run", "app.py")


class Tls(Case):
    def certificates(self, *names, folder="certs"):
        return self.mote("cert", folder, *names)[0]

    def mode(self, name):
        return (self.folder / name).stat().st_mode & 0o777

    def test_certificates(self):
        """A folder for each node, an authority beside them; nothing is overwritten unless that is wanted."""
        told = self.certificates("127.0.0.1", "app@127.0.0.1")
        self.assertRegex(told, "^certs: a new authority; who has certs/ca-key.pem can make nodes, so no node should\ncerts/127.0.0.1: for all nodes of 127.0.0.1, 365 days; .*--tls certs/127.0.0.1\n"
                               "certs/app@127.0.0.1: for the node app@127.0.0.1, 365 days; ")
        self.assertEqual([self.mode(f"certs/{name}") for name in ("", "ca-key.pem", "ca.pem", "127.0.0.1", "127.0.0.1/key.pem", "127.0.0.1/cert.pem", "127.0.0.1/ca.pem")],
                         [0o700, 0o400, 0o444, 0o700, 0o400, 0o444, 0o444])
        before = (self.folder / "certs/127.0.0.1/cert.pem").read_bytes()
        self.fails("certs/127.0.0.1: it is there already: --renew makes a new certificate in its place", "cert", "certs", "127.0.0.1")
        self.assertEqual((self.folder / "certs/127.0.0.1/cert.pem").read_bytes(), before)
        self.assertNotIn("authority", self.mote("cert", "certs", "--renew", "--days", "7", "127.0.0.1")[0])
        self.assertNotEqual((self.folder / "certs/127.0.0.1/cert.pem").read_bytes(), before)
        self.fails("/proc/nothing: No such file or directory", "cert", "/proc/nothing", "x")
        (self.folder / "certs/ca.pem").unlink()
        self.fails("certs/ca.pem: it is missing: an authority is ca.pem and ca-key.pem", "cert", "certs", "x")

    def test_nodes(self):
        """With TLS and with nothing else; an address that is not loopback, without `insecure`."""
        self.certificates("127.0.0.1", "app@127.0.0.1", "localhost")
        self.certificates("127.0.0.1", folder="others")
        self.node(tls=self.folder / "certs/127.0.0.1")
        app = self.start("--tls", "certs/app@127.0.0.1", "--address", "0.0.0.0", "--connect", "test", "app.py", says="app@127.0.0.1\n")
        self.assertEqual(mote.call(("counter", "app@127.0.0.1"), (mote.Atom("add"), 5)), 5)
        self.assertIn("app@127.0.0.1 is there", self.mote("ping", "app", "--tls", "certs/127.0.0.1")[0])
        self.assertEqual(self.mote("call", "app", "counter", "{add, 5}", "--tls", "certs/localhost")[0], "10\n")
        self.fails("cannot connect to app@127.0.0.1: .* or it has TLS, and wants --tls$", "ping", "app")
        self.fails("cannot connect to app@127.0.0.1: its certificate is refused: .*self-signed certificate", "ping", "app", "--tls", "others/127.0.0.1")
        self.fails("its certificate is for app@127.0.0.1 alone; this needs one of a host", "ping", "app", "--tls", "certs/app@127.0.0.1")
        self.fails("--tls nowhere: a certificate cannot be read: nowhere/cert.pem: No such file", "ping", "app", "--tls", "nowhere")
        self.wait_for_log("it ends TLS, and says why: unknown CA")
        self.assertIsNone(app.poll())

    def test_what_cannot_be_a_node(self):
        self.certificates("127.0.0.1", "x@127.0.0.1")
        self.fails("without TLS a node listens on loopback alone", "run", "--address", "0.0.0.0", "app.py")
        self.fails("this certificate is not for app@localhost", "run", "--tls", "certs/127.0.0.1", "--name", "app@localhost", "app.py")
        self.fails("this certificate is not for y@127.0.0.1", "run", "--tls", "certs/x@127.0.0.1", "--name", "y", "app.py")
        (self.folder / "certs/127.0.0.1/key.pem").chmod(0o440)
        self.fails(r"key.pem: a private key has to be in a file of your own that nobody else may read \(chmod 400\)", "run", "--tls", "certs/127.0.0.1", "app.py")

    def test_reload(self):
        """By the program, and by SIGHUP; what is connected stays so, unless the other's certificate does not hold by the new files."""
        self.certificates("127.0.0.1")
        node = self.node(tls=self.folder / "certs/127.0.0.1")
        app = self.start("--tls", "certs/127.0.0.1", "--connect", "test", "app.py", says="app@127.0.0.1\n")
        mote.monitor_node("app@127.0.0.1")
        self.certificates("--renew", "127.0.0.1")
        app.send_signal(signal.SIGHUP)
        self.wait_for_log("the certificates are read again")
        node.reload_tls()
        self.assertEqual(mote.call(("counter", "app@127.0.0.1"), (mote.Atom("add"), 5)), 5)
        self.assertIsNone(mote.receive(mote.NodeDown, timeout=0, default=None))
        (self.folder / "certs").rename(self.folder / "old")
        with self.assertRaisesRegex(ValueError, "ca.pem: no certificate of an authority can be used"):
            node.reload_tls()
        self.certificates("127.0.0.1")
        app.send_signal(signal.SIGHUP)
        self.assertEqual(mote.receive(mote.NodeDown, timeout=PATIENCE).node, "app@127.0.0.1")
        self.assertIn("app@127.0.0.1 is there", self.mote("ping", "app", "--tls", "certs/127.0.0.1")[0])
        self.fails("its certificate is refused", "ping", "test", "--tls", "certs/127.0.0.1")
        self.wait_for_log("the connection is given up to test@127.0.0.1: its certificate does not hold any more: ", connected=False)
        node.reload_tls()
        self.assertIn("test@127.0.0.1 is there", self.mote("ping", "test", "--tls", "certs/127.0.0.1")[0])
        (self.folder / "certs/127.0.0.1/key.pem").unlink()
        app.send_signal(signal.SIGHUP)
        self.wait_for_log("the certificates stay as they were: .*key.pem: there is no private key")
        self.assertEqual(mote.call(("counter", "app@127.0.0.1"), (mote.Atom("add"), 5)), 10)

    def wait_for_log(self, text, *, connected=True):
        """The program does it when it next looks: its answers tell that it runs."""
        until = time.monotonic() + PATIENCE
        while not re.search(text, (self.folder / "log").read_text()):
            self.assertLess(time.monotonic(), until, (self.folder / "log").read_text())
            if connected:
                mote.call(("counter", "app@127.0.0.1"), (mote.Atom("add"), 0))
            mote.sleep(0.001)

    def test_without(self):
        with self.assertRaisesRegex(ValueError, "are of a node with a name"):
            mote.Node(tls="certs")
        node = self.node()
        with self.assertRaisesRegex(mote.MoteError, "this node has no TLS"):
            node.reload_tls()


class Nodes(Case):
    def test_nobody_is_there(self):
        for args in (("names",), ("ping", "x"), ("call", "x", "y", "z")):
            self.fails(f"no port mapper at 127.0.0.1:{self.port}: no node runs there", *args)
        self.node()
        self.fails("no node 'x' at 127.0.0.1: the port mapper at .* knows test$", "ping", "x")
        self.fails("the host 'nowhere.invalid' is not found", "ping", "x@nowhere.invalid")

    def test_what_is_no_port_mapper(self):
        answers = [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\0garbage\n", bytes(2_000_000)]

        def serve():
            for answer in answers:
                with listener.accept()[0] as one, contextlib.suppress(OSError):
                    one.recv(100)
                    one.sendall(answer)

        with socket.create_server(("127.0.0.1", self.port)) as listener:
            thread = threading.Thread(target=serve)
            thread.start()
            for _ in answers:
                self.fails("is no port mapper: give the right --epmd-port", "names")
            thread.join()

    def test_ping_and_names(self):
        self.assertEqual(self.node().name, "test@127.0.0.1")
        self.start("--visible", "app.py", says="app@127.0.0.1\n")
        self.assertRegex(self.mote("ping", "app")[0], r"^app@127.0.0.1 is there: connected in [\d.]+ ms, round trip [\d.]+ ms\n$")
        out, err = self.mote("names")
        self.assertRegex(out, r"^app   port \d+ +visible\ntest  port \d+ +hidden\n$")
        self.assertEqual(err, "")
        self.assertEqual(mote.nodes(hidden=True), [])  # nobody was asked who was not meant

    def test_wrong_cookie(self):
        self.node()
        other = self.folder / "other"
        self.mote("cookie", "--cookie-file", str(other))
        self.fails("cannot connect to test@127.0.0.1: .*most often the cookie is another", "ping", "test", "--cookie-file", str(other))

    def test_silence(self):
        """A node that takes connections, and says nothing."""
        self.node()
        name = b"dumb"
        with socket.create_server(("127.0.0.1", 0)) as dumb, socket.create_connection(("127.0.0.1", self.port)) as mapper:
            request = b"x" + dumb.getsockname()[1].to_bytes(2, "big") + b"\x4d\x00\x00\x06\x00\x05" + len(name).to_bytes(2, "big") + name + b"\0\0"
            mapper.sendall(len(request).to_bytes(2, "big") + request)
            self.assertEqual(mapper.recv(2)[1], 0)
            self.fails("dumb@127.0.0.1 has not answered within 0.2 s", "ping", "dumb", "--timeout", "0.2")

    def test_calls(self):
        self.node()
        self.start("app.py", says="app@127.0.0.1\n")
        self.assertEqual(self.mote("call", "app", "counter", "{add, 5}"), ("5\n", ""))
        self.assertEqual(self.mote("call", "app@127.0.0.1", "counter", "{add, 16#10}")[0], "21\n")
        self.fails("app@127.0.0.1 has no process of the name nobody", "call", "app", "nobody", "x")
        for seconds in ("0.2", "2", "20"):  # which is the limit for connecting, too
            _, err = self.mote("call", "app", "counter", "{never}", "--timeout", seconds, code=1)
            if "has not answered within" not in err:
                break
        self.assertIn(f"no answer from counter at app@127.0.0.1 within {seconds} s: it may still be at work", err)
        self.fails("counter at app@127.0.0.1 has ended before it answered: {bad_call,nonsense}", "call", "app", "counter", "nonsense")
        for why, *args in ((r"no term of Erlang's, from the mark on:\n  {'ä', >>>}", "counter", "{'ä', }"), (r"from the mark on:\n  {add >>>5}", "counter", "{add 5}"), ("a server takes one message, not 0", "counter"),
                           ("a server takes one message, not 2", "counter", "a", "b"), ("'erlang:' is no function: it is module:function", "erlang:")):
            self.fails(why, "call", "app", *args, code=2)

    def test_every_term_comes_back(self):
        class Echo(mote.Server):
            @mote.call
            def echo(self, x):
                return x

        self.node()
        Echo.options(name="echo").start()
        for term in ("atom", "'with blanks'", "-12345678901234567890", "1.5", '<<"binary">>', "[1,two,{three}]", "#{a => [b]}", "nil", "true", "[]", "<<1:3>>"):
            self.assertEqual(self.mote("call", "test", "echo", f"{{echo,{term}}}")[0].rstrip("\n").replace(" ", ""), term.replace(" ", ""))


class Run(Case):
    def test_a_file_with_arguments(self):
        self.node()
        app = self.start("app.py", "--name", "x", says="app@127.0.0.1 --name x\n")
        mote.send(("main", "app@127.0.0.1"), mote.Atom("stop"))
        self.assertEqual((app.stdout.read(), app.wait(PATIENCE)), ("stopped\n", 7))

    def test_a_module_and_a_package(self):
        self.node()
        self.write("tools/__init__.py", "")
        self.write("tools/__main__.py", APP)
        self.write("tools/one.py", APP)
        self.start("--name", "one", "tools.one", says="one@127.0.0.1\n")
        self.start("--name", "two@127.0.0.1", "tools", "--", "--x", says="two@127.0.0.1 --x\n")
        self.write("empty/__init__.py", "")
        self.fails("empty is a package without __main__.py", "run", "empty", code=2)

    def test_connect(self):
        self.node()
        mote.monitor_nodes()
        self.start("--connect", "test", "app.py", says="app@127.0.0.1\n")
        self.assertEqual(mote.receive(timeout=PATIENCE), mote.NodeUp(mote.Atom("nodeup"), mote.Atom("app@127.0.0.1")))
        mote.disconnect("app@127.0.0.1")
        for class_ in (mote.NodeDown, mote.NodeUp):
            self.assertIs(type(mote.receive(timeout=PATIENCE)), class_)  # it has come again by itself
        self.fails("--connect nobody@127.0.0.1: ", "run", "--name", "b", "--connect", "nobody", "app.py")
        self.fails("another node of this host has it", "run", "app.py")

    def test_a_node_in_the_program_is_that_one(self):
        """Its processes from before, its name and port; with what it says of workers. The next one is its own."""
        self.write("own.py", OWN)
        port = free_port()
        out, err = self.mote("run", "--port", str(port), "own.py")
        self.assertEqual(out, f"True own@127.0.0.1 {port}\nTrue\nnonode@nohost\n", err)

    def test_what_comes_too_late_is_told(self):
        self.write("late.py", "import mote\nwith mote.Node(hog=1): print(mote.node())\n")
        out, err = self.mote("run", "late.py")
        self.assertEqual(out, "late@127.0.0.1\n")
        self.assertIn("processes_max, hog and stack are what they are by default", err)

    def test_workers(self):
        self.write("work.py", "import mote, os\ndef place(_):\n    return os.getpid()\nif __name__ == '__main__':\n    print(os.getpid() in set(mote.pmap(place, range(4))), mote.node())\n")
        self.assertEqual(self.mote("run", "--workers", "2", "work.py")[0], "False work@127.0.0.1\n")

    def test_a_program_that_fails(self):
        self.write("fault.py", "def f():\n    1 / 0\nf()\n")
        _, err = self.mote("run", "fault.py", code=1)
        self.assertRegex(err, r'^Traceback \(most recent call last\):\n  File ".*fault.py", line 3, in <module>')
        self.assertNotIn("__main__.py", err)
        self.write("syntax.py", "def f(:\n")
        _, err = self.mote("run", "syntax.py", code=1)
        self.assertIn("SyntaxError", err)
        self.assertNotIn("__main__.py", err)

    def test_a_program_in_c(self):
        """It is in this one's place: all that is said reaches it, its arguments, and its exit code ours."""
        program = pathlib.Path(mote.__file__).parents[2] / "tests/dist_node"
        self.assertTrue(program.is_file(), "it is built with the tests")
        self.mote("cert", "certs", "127.0.0.1")
        self.node(tls=self.folder / "certs/127.0.0.1")
        mote.monitor_nodes()
        app = self.start("--name", "c", "--tls", "certs/127.0.0.1", "--connect", "test", "--visible", str(program), "--", "--x", "y", says="c@127.0.0.1 --x y\n")
        self.assertEqual((app.stdout.read(), app.wait(PATIENCE)), ("ready\n", 0))  # its input has ended
        self.assertEqual([mote.receive(timeout=PATIENCE).tag for _ in range(2)], ["nodeup", "nodedown"])
        self.assertIn(f"{program}: cannot connect to nobody@127.0.0.1: the log says why", self.mote("run", "--connect", "nobody", str(program), code=1)[1])
        copy = self.folder / "copy"
        copy.write_bytes(program.read_bytes()[:4096])
        self.fails("copy cannot be run: Permission denied", "run", str(copy))

    def test_ctrl_c(self):
        app = self.start("app.py", says="app@127.0.0.1\n")
        app.send_signal(signal.SIGINT)
        self.assertIn(app.wait(PATIENCE), (130, -signal.SIGINT))

    def test_rights(self):
        self.node()
        for allow, dies in (([], False), (["--allow", "exit"], True), (["--allow", f"{mote.node()}=exit"], True), (["--allow", "other@127.0.0.1=exit"], False)):
            app = self.start(*allow, "app.py", says="app@127.0.0.1\n")
            mote.monitor_node("app@127.0.0.1")
            ref = mote.monitor(("counter", "app@127.0.0.1"))
            mote.exit(mote.call(("counter", "app@127.0.0.1"), mote.Atom("who")), mote.Atom("away"))
            if dies:
                self.assertEqual(mote.receive(timeout=PATIENCE).reason, "away")
            else:
                self.assertEqual(mote.call(("counter", "app@127.0.0.1"), (mote.Atom("add"), 1)), 1)
                mote.demonitor(ref, flush=True)
            ended(app)
            self.assertEqual(mote.receive(timeout=PATIENCE), mote.NodeDown(mote.Atom("nodedown"), mote.Atom("app@127.0.0.1")))


if shutil.which("erl") and shutil.which("erlc"):

    @quick.once
    class Erlang(Case):
        def setUp(self):
            super().setUp()
            self.node(visible=True)
            here = pathlib.Path(__file__).resolve().parent
            subprocess.run(["erlc", "-o", self.folder, here / "cluster_probe.erl"], check=True)
            flags = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-start_epmd", "false", "-setcookie", SECRET]
            erl = subprocess.Popen(["erl", "+S", "1", "-noinput", "-name", "erl@127.0.0.1", *flags, "-pa", self.folder, "-s", "cluster_probe", "start"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, env=self.env, cwd=self.folder, start_new_session=True)
            self.addCleanup(ended, erl)
            self.assertEqual(erl.stdout.readline(), b"ready\n")

        def test_all(self):
            self.assertIn("erl@127.0.0.1 is there", self.mote("ping", "erl")[0])
            self.assertRegex(self.mote("names")[0], r"(?m)^erl +port \d+ +visible$")
            self.assertEqual(self.mote("call", "erl", "probe", "{add, 5}")[0], "5\n")
            self.assertEqual(self.mote("call", "erl", "erlang:node")[0], "'erl@127.0.0.1'\n")
            self.assertEqual(self.mote("call", "erl", "lists:seq", "1", "3")[0], "[1,2,3]\n")
            self.assertEqual(self.mote("call", "erl", "erlang:nodes")[0], "[]\n")  # who asks is hidden
            self.fails("lists:nothing at erl@127.0.0.1 has failed: {badrpc,{'EXIT',{undef,", "call", "erl", "lists:nothing")


if __name__ == "__main__":
    unittest.main()
