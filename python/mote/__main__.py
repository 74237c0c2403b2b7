# SPDX-License-Identifier: Apache-2.0
"""The command: `mote run` makes a program a node, the others ask nodes something. `mote --help`; `python3 -m mote` is the same.

Exit codes: 0 it is done; 1 it failed (no such node, no answer), and stderr says why; 2 it was called wrongly.
"""
from __future__ import annotations

import argparse
import os
import re
import socket
import sys

import mote
from mote import _mote, _node
from mote._cluster import RIGHTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Optional

_HOST = "127.0.0.1"
_EPMD_PORT = 4369
_EPMD_SECONDS = 5.0
_ANSWER_MAX = 1 << 20


class Failed(Exception):
    """What has failed, in words; exit code 1."""


class Wrong(Exception):
    """How it was called wrongly; exit code 2."""


# ---------------------------------------------------------------------------------------------------- names, ports


def _node_name(text: str) -> str:
    """alive@host; without a host it is of this machine."""
    name = text if "@" in text else f"{text}@{_HOST}"
    alive, _, host = name.partition("@")
    if not (alive and host and name.isascii() and name.isprintable()) or "@" in host or re.search(r"\s", name) or len(name) > 255:
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a node: it is alive@host, as erl@{_HOST}, in ASCII and without blanks")
    return name


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
    return int(text)


def _port(text: str) -> int:
    return _number(text, 1, 65535)


def _workers(text: str) -> int:
    return _number(text, 1, 63)


def _allow(text: str) -> tuple[str, str]:
    """A node, or "*" for all that no other names, and a right."""
    node, named, right = text.rpartition("=")
    if right not in RIGHTS:
        raise argparse.ArgumentTypeError(f"{right!r} is no right: they are {', '.join(RIGHTS)}")
    return _node_name(node) if named else "*", right


def _given(allowed: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {node: [right for whose, right in allowed if whose == node] for node, _ in allowed}


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _epmd_port(given: Optional[int]) -> int:
    if given is not None:
        return given
    text = os.environ.get("ERL_EPMD_PORT") or str(_EPMD_PORT)
    try:
        return _port(text)
    except argparse.ArgumentTypeError:
        raise Wrong(f"ERL_EPMD_PORT of the environment: {text!r} is no number of a port: set it to one, or unset it") from None


def _certified(text: str) -> str:
    """Whom a certificate may be for: a node, or all of a host."""
    if len(text) > 255 or not re.fullmatch(r"([\w.~-]+@)?[A-Za-z0-9_:][\w.:-]*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no host's name, no IP address, and no node's name, alive@host")
    return text


def _days(text: str) -> int:
    return _number(text, 1, 3650)


# ---------------------------------------------------------------------------------------------------- certificates


def _certificate_names(folder: str) -> tuple[list[str], list[str]]:
    """Hosts, and nodes: of those alone, if there are any."""
    try:
        names = _mote.cert_names(os.path.join(folder, "cert.pem"))
    except (ValueError, mote.MoteError, OSError) as error:
        raise Failed(f"--tls {folder}: {error}") from None
    nodes = [name.partition(":")[2] for name in names if name.startswith("erlnode:")]
    hosts = [name for name in names if not name.startswith(("erlnode:", "*"))]
    if not hosts and not nodes:
        raise Failed(f"--tls {folder}: its certificate names no host: `mote cert` makes one that does")
    return hosts, nodes


def _host(tls: Optional[str]) -> str:
    """Where a node for a moment says that it is: the certificate has to be for it."""
    if tls is None:
        return _HOST
    hosts, nodes = _certificate_names(tls)
    if nodes:
        raise Failed(f"--tls {tls}: its certificate is for {', '.join(nodes)} alone; this needs one of a host, as `mote cert DIR {hosts[0] if hosts else _HOST}` makes it")
    return hosts[0]


# ----------------------------------------------------------------------------------------------- the port mapper


class Mapper:
    """The port mapper of a host, asked by its own protocol: no node is needed for that."""

    def __init__(self, host: str, port: int):
        self.host, self.port = host, port

    def _ask(self, request: bytes) -> tuple[bytes, str]:
        """Its answer, and the address that it has given it at."""
        try:
            with socket.create_connection((self.host, self.port), _EPMD_SECONDS) as connection:
                connection.sendall(len(request).to_bytes(2, "big") + request)
                answer = b""
                while len(answer) < _ANSWER_MAX:
                    more = connection.recv(65536)
                    if not more:
                        break
                    answer += more
                return answer, connection.getpeername()[0]
        except ConnectionRefusedError:
            raise Failed(f"no port mapper at {self.host}:{self.port}: no node runs there, or one at another --epmd-port (the default is ERL_EPMD_PORT, or {_EPMD_PORT})") from None
        except socket.gaierror as error:
            raise Failed(f"the host {self.host!r} is not found: {error.strerror}") from None
        except OSError as error:
            raise Failed(f"no answer from the port mapper at {self.host}:{self.port}: {error.strerror or error}") from None

    def _strange(self) -> Failed:
        return Failed(f"what answers at {self.host}:{self.port} is no port mapper: give the right --epmd-port")

    def names(self) -> list[tuple[str, int]]:
        """The nodes of the host: alive, and the port where it listens."""
        answer, _ = self._ask(b"n")
        text = answer[4:].decode("ascii", "replace")
        lines = re.findall(r"^name (\S+) at port (\d{1,5})$", text, re.M)
        if len(answer) < 4 or len(lines) != len(text.splitlines()):
            raise self._strange()
        return [(alive, int(port)) for alive, port in lines]

    def find(self, alive: str) -> Optional[tuple[str, int, bool]]:
        """Address, port, whether others see it; None: there is none of this name."""
        answer, address = self._ask(b"z" + alive.encode())
        if len(answer) >= 2 and answer[0] == 119 and answer[1] != 0:
            return None
        if len(answer) < 10 or answer[0] != 119:
            raise self._strange()
        return address, int.from_bytes(answer[2:4], "big"), answer[4] == 77


# ------------------------------------------------------------------------------------------------ a node for a moment


class Visitor:
    """A hidden node of a random name, that nobody finds, to ask another."""

    def __init__(self, options: argparse.Namespace):
        """Finds the other node before: it tells the most usual fault best."""
        import logging

        self.told: list[str] = []
        self.target: str = options.node
        alive, _, host = self.target.partition("@")
        mapper = Mapper(host, _epmd_port(options.epmd_port))
        found = mapper.find(alive)
        if found is None:
            known = ", ".join(name for name, _ in mapper.names()) or "none"
            raise Failed(f"no node {alive!r} at {host}: the port mapper at {mapper.host}:{mapper.port} knows {known}")
        told = self.told

        class Listener(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                told.append(record.getMessage())

        logging.getLogger("mote").addHandler(Listener())
        self.where = found[:2]
        self.tls: Optional[str] = options.tls
        name = f"mote-{os.getpid()}-{os.urandom(4).hex()}@{_host(self.tls)}"
        self.node = _started(lambda: mote.Node(name, cookie_file=options.cookie_file, epmd=False, tls=self.tls))
        mote.node_at(self.target, *self.where)

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.node.stop()

    def connect(self, seconds: float) -> None:
        try:
            mote.connect(self.target, seconds)
        except TimeoutError:
            raise Failed(f"{self.target} has not answered within {seconds:g} s") from None
        except ConnectionError:
            why = next((text for text in reversed(self.told) if self.target in text), f"no connection to {self.target}")
            if "certificate" in why or "TLS, and says" in why:
                raise Failed(why) from None
            other = "it has no TLS" if self.tls else "it has TLS, and wants --tls"
            raise Failed(f"{why}. It is there, at port {self.where[1]}: most often the cookie is another one (`mote cookie` says which is used here), or {other}") from None


def _started(make: Any) -> Any:
    """A node, or why there is none."""
    try:
        return make()
    except (ValueError, mote.MoteError, OSError, TimeoutError) as error:
        raise Failed(str(error)) from None


# ------------------------------------------------------------------------------------------------------- commands


def names(options: argparse.Namespace) -> int:
    mapper = Mapper(options.host, _epmd_port(options.epmd_port))
    known = mapper.names()
    if not known:
        print(f"mote names: the port mapper at {mapper.host}:{mapper.port} knows no node", file=sys.stderr)
    width = max((len(alive) for alive, _ in known), default=0)
    for alive, port in sorted(known):
        found = mapper.find(alive)
        if found is not None:  # else it has ended just now
            print(f"{alive:{width}}  port {port:<5}  {'visible' if found[2] else 'hidden'}")
    return 0


def ping(options: argparse.Namespace) -> int:
    import time

    with Visitor(options) as visitor:
        since = time.perf_counter()
        visitor.connect(options.timeout)
        connected = time.perf_counter()
        ref = mote.monitor(("mote ping", visitor.target))  # of nobody: its answer is the shortest there is
        mote.receive((mote.ANY, ref, mote.ANY, mote.ANY, mote.ANY), timeout=options.timeout)
        back = time.perf_counter()
    print(f"{visitor.target} is there: connected in {(connected - since) * 1000:.1f} ms, round trip {(back - connected) * 1000:.2f} ms")
    return 0


def _term(text: str) -> Any:
    try:
        return _mote.term_parse(text)
    except SyntaxError as error:
        at = len(text.encode()[: (error.offset or 1) - 1].decode(errors="ignore"))
        raise Wrong(f"this is no term of Erlang's, from the mark on:\n  {text[:at]}>>>{text[at:]}\nA term is an atom, 42, 1.5, \"list\", <<\"binary\">>, {{a, tuple}}, [a, list] or #{{a => map}}") from None


def call(options: argparse.Namespace) -> int:
    terms = [_term(text) for text in options.terms]
    module, colon, function = options.what.partition(":")
    if colon and not (module and function):
        raise Wrong(f"{options.what!r} is no function: it is module:function, as erlang:node")
    if not colon and len(terms) != 1:
        raise Wrong(f"a server takes one message, not {len(terms)}: quote it for the shell, as in: mote call {options.node} {options.what} '{{add, 5}}'")
    server = "rex" if colon else options.what  # rpc's own server
    request = (mote.Atom("call"), mote.Atom(module), mote.Atom(function), terms, mote.Atom("user")) if colon else terms[0]
    with Visitor(options) as visitor:
        visitor.connect(options.timeout)
        try:
            answer = mote.call((mote.Atom(server), mote.Atom(visitor.target)), request, options.timeout)
        except TimeoutError:
            raise Failed(f"no answer from {options.what} at {visitor.target} within {options.timeout:g} s: it may still be at work (--timeout gives it longer)") from None
        except mote.NoProc as error:
            if error.reason == "noproc":
                raise Failed(f"{visitor.target} has no process of the name {server}" + (": it answers no rpc" if colon else "")) from None
            raise Failed(f"{options.what} at {visitor.target} has ended before it answered: {_mote.term_text(error.reason)}") from None
        text = _mote.term_text(answer)
    if colon and isinstance(answer, tuple) and len(answer) == 2 and answer[0] == "badrpc":
        raise Failed(f"{options.what} at {visitor.target} has failed: {text}")
    print(text)
    return 0


def _cookie_place(given: Optional[str]) -> tuple[str, str]:
    """The file, and who says so."""
    if given:
        return given, "--cookie-file"
    of_environment = os.environ.get("MOTE_COOKIE_FILE")
    if of_environment:
        return of_environment, "MOTE_COOKIE_FILE of the environment"
    if "HOME" not in os.environ:
        raise Failed("there is no cookie file: set HOME or MOTE_COOKIE_FILE, or name one with --cookie-file")
    return os.path.join(os.environ["HOME"], ".erlang.cookie"), "the default, which Erlang has, too"


def cookie(options: argparse.Namespace) -> int:
    path, who = _cookie_place(options.cookie_file)
    made = not os.path.exists(path)
    _started(lambda: mote.Node(f"mote-{os.getpid()}@{_HOST}", cookie_file=path, epmd=False)).stop()  # a node reads it with all care, and makes it
    if options.show:
        with open(path, encoding="ascii") as file:
            print(file.read().rstrip("\r\n"))
    else:
        print(f"{path} ({who}): {'made now, of random digits' if made else 'there is one'}; --show prints it")
    return 0


def cert(options: argparse.Namespace) -> int:
    folder: str = options.folder
    new = not os.path.exists(os.path.join(folder, "ca-key.pem"))
    for name in options.names:
        try:
            _mote.cert_make(folder, name, options.days, options.renew)
        except FileExistsError as error:
            raise Failed(f"{str(error).partition(': ')[2].rpartition(';')[0]}: --renew makes a new certificate in its place") from None
        except (ValueError, mote.MoteError, OSError) as error:
            raise Failed(str(error).partition(": ")[2] or str(error)) from None
        if new:
            print(f"{folder}: a new authority; who has {os.path.join(folder, 'ca-key.pem')} can make nodes, so no node should")
        new = False
        made = os.path.join(folder, name)
        print(f"{made}: for {'the node' if '@' in name else 'all nodes of'} {name}, {options.days} days; copy the folder there, and start with --tls {made}")
    return 0


# ------------------------------------------------------------------------------------------------------ mote run


def _reloads(node: mote.Node) -> None:
    """SIGHUP has it read its certificates again, as it is with servers; not at a terminal, where it means that nobody is there any more."""
    import signal

    def again(*_: object) -> None:
        from mote import _log

        try:
            node.reload_tls()
            _log.tell(20, "mote run: the certificates are read again")
        except (ValueError, mote.MoteError, OSError) as error:
            _log.tell(40, f"mote run: the certificates stay as they were: {error}")

    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL and not (sys.stdin and sys.stdin.isatty()):
        signal.signal(signal.SIGHUP, again)


def _run_name(options: argparse.Namespace, text: str) -> str:
    """What the node is called by default: its certificate says where it is, or even who."""
    if options.name:
        return str(options.name)
    hosts, nodes = _certificate_names(options.tls) if options.tls else ([_HOST], [])
    stem = re.sub(r"\W", "_", os.path.splitext(os.path.basename(text))[0], flags=re.ASCII) or "mote"
    return nodes[0] if nodes else f"{stem[:200]}@{hosts[0]}"


def _file_code(path: str) -> tuple[Any, ModuleType]:
    import importlib.machinery
    import types

    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise Wrong(f"{path} cannot be read: {error.strerror}") from None
    main = types.ModuleType("__main__")
    main.__file__ = path
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    return compile(source, path, "exec", dont_inherit=True), main


def _module_code(name: str) -> tuple[Any, ModuleType]:
    import importlib.util
    import types

    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
            if spec is None:
                raise Wrong(f"{name} is a package without __main__.py: name one of its modules")
    except (ImportError, ValueError) as error:
        raise Wrong(f"no module {name}: {error}") from None
    code = getattr(spec.loader, "get_code", lambda _: None)(spec.name) if spec is not None else None
    if spec is None or code is None:
        raise Wrong(f"no file and no Python module is called {name}: name a .py file, or a module that can be imported from here")
    main = types.ModuleType("__main__")
    main.__file__, main.__spec__, main.__loader__, main.__package__ = spec.origin, spec, spec.loader, spec.parent
    return code, main


def _show(error: BaseException) -> None:
    """As if Python had run the program itself."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _is_binary(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _run_binary(options: argparse.Namespace, path: str, args: list[str]) -> int:
    """A program in C: it takes our place, and is told by the environment what mote_node_start() without options does."""
    said = {"MOTE_NODE_NAME": _run_name(options, path), "MOTE_NODE_TLS": options.tls and os.path.abspath(options.tls), "MOTE_NODE_ADDRESS": options.address, "MOTE_NODE_PORT": options.port,
            "MOTE_NODE_VISIBLE": options.visible or None, "MOTE_NODE_NO_EPMD": options.no_epmd or None, "MOTE_NODE_RIGHTS": sum(RIGHTS[right] for right in _given(options.allow).get("*", ())),
            "MOTE_NODE_CONNECT": " ".join(options.connect), "MOTE_COOKIE_FILE": options.cookie_file, "MOTE_SCHEDULERS": options.workers}
    if not options.no_epmd:
        said["ERL_EPMD_PORT"] = _epmd_port(options.epmd_port)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MOTE_NODE_")}
    given = {name: str(value) for name, value in said.items() if value is not None and value != ""}
    sys.stdout.flush()
    try:
        os.execve(path, [path, *args], {**kept, **given})
    except OSError as error:
        raise Failed(f"{path} cannot be run: {error.strerror}") from None


def _keep_connected(node: mote.Node, others: list[str]) -> None:
    """With the program's first step they are connected; then, as long as the node runs, again and again."""
    if not others:
        return
    cluster = mote.Cluster(others, scope=None)
    for other in others:
        try:
            cluster.connect(other)
        except (ConnectionError, TimeoutError) as error:
            node.stop()
            raise Failed(f"--connect {other}: {error}") from None


def run(options: argparse.Namespace) -> int:
    text: str = options.program
    of_file = text.endswith(".py") or os.sep in text or os.path.isfile(text)
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.abspath(text)) if of_file else os.getcwd()
    args = options.args[1:] if options.args[:1] == ["--"] else options.args
    if options.connect and options.no_epmd:
        raise Wrong("--connect looks for the node at the port mapper, which --no-epmd leaves out: in the program mote.node_at() says where a node is")
    if _is_binary(text):
        return _run_binary(options, os.path.abspath(text), args)
    try:
        code, main = _file_code(text) if of_file else _module_code(text)
    except SyntaxError as error:
        _show(error)
        return 1
    sys.argv[:] = [main.__file__ or text, *args]
    sys.modules["__main__"] = main  # before the node: its workers ask for it
    name = _run_name(options, text)
    epmd = False if options.no_epmd else _epmd_port(options.epmd_port)
    node = _started(lambda: mote.Node(name, workers=options.workers or 1, cookie_file=options.cookie_file, address=options.address, port=options.port or 0, epmd=epmd, visible=options.visible, rights=_given(options.allow), tls=options.tls))
    if options.tls:
        _reloads(node)
    _keep_connected(node, options.connect)
    _node.of_command = node
    try:
        exec(code, main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        _show(error)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


# ------------------------------------------------------------------------------------------------------ the command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mote", description="Programs as nodes, and questions to nodes, of mote and of Erlang.",
                                     epilog="Exit codes: 0 done; 1 it failed, and the last line says why; 2 called wrongly. `mote COMMAND --help` tells more.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)

    def command(function: Any, help: str, more: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(function.__name__, help=help, description=f"{help[0].upper()}{help[1:]}. {more}".rstrip(), allow_abbrev=False)
        made.set_defaults(function=function)
        return made

    def cookie_file(to: argparse.ArgumentParser) -> None:
        to.add_argument("--cookie-file", metavar="FILE", help="where the secret is that all nodes share (default: MOTE_COOKIE_FILE of the environment, or ~/.erlang.cookie)")

    def epmd_port(to: argparse.ArgumentParser) -> None:
        to.add_argument("--epmd-port", type=_port, metavar="PORT", help=f"of the port mapper (default: ERL_EPMD_PORT of the environment, or {_EPMD_PORT})")

    def tls(to: argparse.ArgumentParser) -> None:
        to.add_argument("--tls", metavar="DIR", help="ca.pem, cert.pem and key.pem, as `mote cert` makes them: connections are TLS, and nothing else")

    def visitor(to: argparse.ArgumentParser) -> None:
        to.add_argument("node", type=_node_name, metavar="NODE", help=f"alive@host; without @host it is of this machine, {_HOST}")
        to.add_argument("--timeout", type=_seconds, default=5.0, metavar="SECONDS", help="how long to wait (default: 5)")
        cookie_file(to)
        tls(to)
        epmd_port(to)

    to = command(run, "run a program as a node", "What stands behind the program is for it. A mote.Node(...) in the program is the node that runs: what is said here counts, and not what it says of the cluster. In a program in C it is that of mote_node_start() without options.")
    to.add_argument("--name", type=_node_name, metavar="NODE", help=f"alive@host (default: the program's name @{_HOST}; with --tls what the certificate is for)")
    cookie_file(to)
    tls(to)
    to.add_argument("--connect", type=_node_name, action="append", default=[], metavar="NODE", help="connect to it before the program runs, and again whenever that ends; may be given again")
    to.add_argument("--workers", type=_workers, metavar="N", help="how many interpreters, each an OS process, or schedulers in C (default: 1, or what the program says; in C one for each core)")
    to.add_argument("--visible", action="store_true", help="Erlang's nodes() shows it")
    to.add_argument("--allow", type=_allow, action="append", default=[], metavar="[NODE=]RIGHT", help=f"what other nodes, or one, may do besides sending, linking and monitoring: {', '.join(RIGHTS)}; may be given again")
    to.add_argument("--address", metavar="ADDRESS", help=f"where it listens (default: {_HOST}; others need --tls)")
    to.add_argument("--port", type=_port, metavar="PORT", help="where it listens (default: one that is free)")
    epmd_port(to)
    to.add_argument("--no-epmd", action="store_true", help="without a port mapper: others have to be told where it is")
    to.add_argument("program", metavar="PROGRAM", help="a .py file, a module, or a program in C")
    to.add_argument("args", nargs=argparse.REMAINDER, metavar="...", help="its arguments")

    visitor(command(ping, "see whether a node is there", "Tells how long it takes, too."))

    to = command(call, "call a server of a node, or a function", "mote call NODE NAME MESSAGE is gen_server:call/2; mote call NODE MODULE:FUNCTION [ARGUMENT ...] is rpc:call/4. Terms are written as in Erlang, and so is the answer.")
    visitor(to)
    to.add_argument("what", metavar="NAME|MODULE:FUNCTION", help="a registered name, or a function")
    to.add_argument("terms", nargs="*", metavar="TERM", help="the message, or each argument: '{add, 5}'")

    to = command(names, "list the nodes of a host", "It asks the port mapper, so the nodes need not be of one cluster.")
    to.add_argument("host", nargs="?", default=_HOST, metavar="HOST", help=f"default: {_HOST}")
    epmd_port(to)

    to = command(cookie, "say where the cookie is, and make it where it is missing")
    cookie_file(to)
    to.add_argument("--show", action="store_true", help="print the cookie itself: who has it may do everything a node may")

    to = command(cert, "make certificates for --tls", "DIR gets an authority, if it has none, and for each NAME a folder with what --tls wants. For a start: an organisation has an authority of its own.")
    to.add_argument("folder", metavar="DIR", help="where the authority is, or is to be")
    to.add_argument("names", type=_certified, nargs="+", metavar="NAME", help="a host's name or IP address, for all nodes there; or alive@host, for that node alone")
    to.add_argument("--days", type=_days, default=365, metavar="N", help="how long they are valid (default: 365; at most 3650)")
    to.add_argument("--renew", action="store_true", help="make new ones in the place of those that are there")
    return parser


def _version() -> str:
    return f"mote {mote.__version__}"


def main(args: Optional[list[str]] = None) -> int:
    options = _parser().parse_args(args)
    try:
        return options.function(options)  # type: ignore[no-any-return]
    except Failed as error:
        print(f"mote {options.command}: {error}", file=sys.stderr)
        return 1
    except Wrong as error:
        print(f"mote {options.command}: {error}\n`mote {options.command} --help` says how it is called.", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
