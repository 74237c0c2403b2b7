#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mote nodes and Erlang's live: tests/dist/dist_live.erl, in an Erlang node, does with tests/dist/node.c what nodes do with each other.

  tests/dist_node.py PROGRAM embedded|epmd     PROGRAM: node.c, built. The port mapper is one of the mote nodes, or Erlang's; the Erlang node is visible, or hidden
  tests/dist_node.py PROGRAM tlsv1.2|tlsv1.3   The same with TLS of that version (Erlang's -proto_dist inet_tls), and what is refused then

All of it on loopback and a free port. Where Erlang is not installed it is left out; erl_call and Elixir are met where they are installed.
"""
import argparse
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile

import dist_erlang

HERE = pathlib.Path(__file__).resolve().parent / "dist"
COOKIE = "a_cookie_of_these_tests"
SECONDS_MAX = 880
HOST = "host@127.0.0.1"


def start_host(program, environment, more):
    """A mote node that is there all the time; it has become the port mapper where there was none."""
    command = [program, HOST, COOKIE, "0", "60000", "hidden", *more]
    host = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    ready, _, _ = select.select([host.stdout], [], [], 30)
    if not ready or host.stdout.readline() != b"ready\n":
        raise SystemExit("the mote node does not start")
    return host


def call_by_erl_call(environment):
    """It is refused, but answered: what it asks for is a call by name, for which nobody has a right here."""
    command = ["erl_call", "-n", HOST, "-c", COOKIE, "-a", "erlang node []"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    fine = "badrpc" in done.stdout + done.stderr or "undef" in done.stdout + done.stderr
    return fine, f"erl_call is answered # {(done.stdout + done.stderr).strip()[:100]!r}"


def meet_elixir(environment):
    code = f"IO.puts(inspect({{:net_adm.ping(:\"{HOST}\"), (send({{:keeper, :\"{HOST}\"}}, {{self(), :new, :none}}); receive do {{:servant, p}} -> node(p) end)}}))\nSystem.halt(0)"
    command = ["elixir", "--name", "elixir@127.0.0.1", "--cookie", COOKIE, "--erl", "-start_epmd false", "-e", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.strip() == f"{{:pong, :\"{HOST}\"}}", f"a node of Elixir's # {done.stdout.strip()[:100]!r}"


def others(environment, module):
    """Programs besides Erlang's own node."""
    results = [call_by_erl_call(environment)] if shutil.which("erl_call") else []
    if module == "dist_live" and shutil.which("elixir"):
        results.append(meet_elixir(environment))
    for fine, text in results:
        print("ok" if fine else "not ok", "-", text, flush=True)
    return all(fine for fine, _ in results), len(results)


def pass_on(erl):
    """Prints what it says, what Erlang reports of itself as comments; how many results that were."""
    count = 0
    for raw in erl.stdout:
        line = raw.decode(errors="replace")
        result = line.startswith(("ok ", "not ok "))
        count += result
        print(line if result or line.startswith(("#", "1..", "Bail out!")) else f"# {line}", end="", flush=True)
    return count


def end_all(work):
    """What a scenario that failed has left, Erlang's and ours: all of this run have its directory as their home."""
    mark = f"HOME={work}".encode()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:  # it has ended, or is another user's
            pass


def certificates(program, work, version):
    """Two authorities, and files of options of Erlang's by what certificate they have; gives the folders of a good one and of one of the other authority."""
    folders = {"good": "ca/127.0.0.1", "other": "other/127.0.0.1", "localhost": "ca/localhost", "bound": "ca/somebody@127.0.0.1"}
    for folder in folders.values():
        subprocess.run([program, "cert", *f"{work}/{folder}".rsplit("/", 1)], check=True)
    for name, folder in {**folders, "none": None}.items():
        own = f'{{certfile, "{work}/{folder}/cert.pem"}}, {{keyfile, "{work}/{folder}/key.pem"}}, ' if folder else ""
        good = f'{{certfile, "{work}/{folders["good"]}/cert.pem"}}, {{keyfile, "{work}/{folders["good"]}/key.pem"}}, '
        both = f'{{cacertfile, "{work}/{(folder or folders["good"])}/ca.pem"}}, {{verify, verify_peer}}, {{versions, [\'{version}\']}}'
        # who has none can be no server: its dialler alone is without
        pathlib.Path(work, f"{name}.conf").write_text(f"[{{server, [{own or good}{both}, {{fail_if_no_peer_cert, true}}]}}, {{client, [{own}{both}]}}].\n", encoding="ascii")
    return f"{work}/{folders['good']}", f"{work}/{folders['other']}"


def run(program, work, mapper, module, others_of, meshed):
    port = dist_erlang.free_port()
    environment = dict(os.environ, HOME=work, ERL_EPMD_PORT=str(port), ERL_EPMD_ADDRESS="127.0.0.1")
    epmd = host = erl = None
    try:
        done = subprocess.run(["erlc", "-o", work, *(str(HERE / f"{name}.erl") for name in (module, *others_of))], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"erlc: {done.stdout}{done.stderr}")
        epmd = dist_erlang.start_epmd(port, environment) if mapper == "epmd" else None
        tls = certificates(program, work, mapper) if mapper.startswith("tls") else ()
        host = start_host(program, environment, [f"tls={tls[0]}"] if tls else [])
        flags = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "net_ticktime", "60", "prevent_overlapping_partitions", str(meshed).lower(), "-start_epmd", "false", "-setcookie", COOKIE]
        ours = ["-mote_program", program, "-mote_cookie", COOKIE, "-run", module, "main", program, COOKIE]
        secure = ["-proto_dist", "inet_tls", "-ssl_dist_optfile", f"{work}/good.conf", "-mote_options", work, "-mote_tls", tls[0], "-mote_other_tls", tls[1], *(["-mote_few"] if mapper == "tlsv1.2" else [])] if tls else []
        command = ["erl", "+S", "2", "-noinput", "-connect_all", str(meshed).lower(), "-name", "tester@127.0.0.1", *(["-hidden"] if epmd else []), *flags, *secure, "-pa", work, *ours]
        erl = subprocess.Popen(command, env=environment, cwd=work, stdout=subprocess.PIPE, start_new_session=True)
        count = pass_on(erl)
        code = erl.wait(SECONDS_MAX)
        fine, more = (True, 0) if tls else others(environment, module)
        print(f"1..{count + more}")
        return code if fine else 1
    finally:
        dist_erlang.end(erl, True)
        dist_erlang.end(host, True)
        dist_erlang.end(epmd, False)
        end_all(work)


def has_ssl():
    probe = 'halt(case code:which(ssl) of non_existing -> 1; _ -> 0 end).'
    return subprocess.run(["erl", "-noinput", "-eval", probe], check=False).returncode == 0


def main(module="dist_live", others_of=(), title="mote nodes and Erlang's", meshed=False):
    """`module` has what the Erlang node does, the others what that needs; `meshed`: its global connects all with all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("mapper", choices=["embedded", "epmd", "tlsv1.2", "tlsv1.3"], nargs="?", default="embedded")
    options = parser.parse_args()
    if not all(shutil.which(tool) for tool in ("erl", "erlc", "epmd")):
        print(f"1..1\nok 1 - {title} # SKIP it is not installed")
        return 0
    if options.mapper.startswith("tls") and not has_ssl():
        print("1..1\nok 1 - mote nodes and Erlang's with TLS # SKIP Erlang's ssl is not installed")
        return 0
    with tempfile.TemporaryDirectory() as work:
        return run(str(pathlib.Path(options.program).resolve()), work, options.mapper, module, others_of, meshed)


if __name__ == "__main__":
    sys.exit(main())
