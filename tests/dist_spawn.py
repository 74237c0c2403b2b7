#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processes and calls between an Erlang node and mote nodes (tests/dist/spawn_node.c), both ways; with an epmd of our own, on loopback and a free port.

  tests/dist_spawn.py PROGRAM     PROGRAM: spawn_node.c, built

One mote node lets its peers start and call what it exports, the other nothing. Where Erlang is not installed it is left out.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import dist_erlang

SOURCE = pathlib.Path(__file__).resolve().parent / "dist" / "dist_spawn.erl"
RIGHTS = "7"

PRINTED = "chars Ä\ntext and Ö are {a,\"b\"}, [1,2] ~ 7\n\n"

def start_mote(program, port, name, rights, log):
    """A mote node; it is there once it says so."""
    node = subprocess.Popen([program, str(port), dist_erlang.COOKIE, name, rights], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    if node.stdout.readline() != b"ready\n":
        raise SystemExit(f"{name} does not start")
    return node


def stop_mote(node):
    """Ends it as it ends by itself; its exit code, so that a sanitizer's word counts, and what it has printed."""
    try:
        said, _ = node.communicate(b"end\n", dist_erlang.SECONDS_MAX)
    finally:
        dist_erlang.end(node, False)
    return node.returncode, said.decode()


def run(program, work):
    port = dist_erlang.free_port()
    environment = dict(os.environ, HOME=work, ERL_EPMD_PORT=str(port), ERL_EPMD_ADDRESS="127.0.0.1")
    names = ("open@localhost", "closed@localhost")
    epmd, nodes = None, []
    logs = [pathlib.Path(work) / "open.log", pathlib.Path(work) / "closed.log"]
    try:
        subprocess.run(["erlc", "-o", work, str(SOURCE)], env=environment, check=True)
        epmd = dist_erlang.start_epmd(port, environment)
        for name, rights, log in zip(names, (RIGHTS, "0"), logs):
            with log.open("wb") as file:
                nodes.append(start_mote(program, port, name, rights, file))
        flags = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-start_epmd", "false", "-setcookie", dist_erlang.COOKIE]
        command = ["erl", "+S", "1", "-noinput", "-sname", "caller@localhost", *flags, "-pa", work, "-run", "dist_spawn", "start"]
        command[command.index("-run"):] = ["-eval", f"dist_spawn:start(['{names[0]}', '{names[1]}'])"]
        began = time.monotonic()
        said = subprocess.run(command, env=environment, cwd=work, stdout=subprocess.PIPE, timeout=240, check=False)
        took = time.monotonic() - began
        ends = [stop_mote(node) for node in nodes]
        codes = [code for code, _ in ends]
    finally:
        for node in nodes:
            dist_erlang.end(node, False)
        dist_erlang.end(epmd, False)
    out = said.stdout.decode()
    last = re.search(r"^1\.\.(\d+)$", out, re.MULTILINE)
    count = int(last.group(1)) if last else 0
    out = out.replace(last.group(0) + "\n", "") if last else out
    told = re.findall(r"caller@localhost may not (start processes|call functions) here", logs[1].read_text())
    more = [
        ("the nodes have ended well", codes == [0, 0], f"exit codes {codes}"),
        ("refusals are logged with the peer's name, not each of them", 1 <= len(told) <= 6 + took, logs[1].read_text()),
        ("what Erlang's process prints that ours has started comes out here", ends[0][1] == PRINTED, repr(ends[0][1])),
        ("who may is refused nothing", "may not" not in logs[0].read_text(), logs[0].read_text()),
    ]
    for n, (what, fine, why) in enumerate(more, count + 1):
        out += f"{'ok' if fine else 'not ok'} {n} - {what}\n"
        out += "" if fine else "".join(f"# {line}\n" for line in why.splitlines())
    if said.returncode or not last:
        out += f"# erl ended with {said.returncode} before all was done\n"
    print(out + f"1..{count + len(more)}" if last else out + "Bail out!")
    return said.returncode or not last or "not ok" in out


def main():
    if not all(shutil.which(tool) for tool in ("erl", "erlc", "epmd")):
        print("1..1\nok 1 - processes and calls between Erlang and mote # SKIP it is not installed")
        return 0
    with tempfile.TemporaryDirectory() as work:
        return run(sys.argv[1], work)


if __name__ == "__main__":
    sys.exit(main())
