#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our distribution and Erlang's: tests/dist/peer.c meets an Erlang node with an epmd of its own, on loopback and a free port.

  tests/dist_erlang.py PROGRAM [--record FILE]     PROGRAM: peer.c, built. FILE: gets what came, for tests/fuzz/record_dist

Where Erlang is not installed it is left out.
"""
import argparse
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "python/tests"))  # last: a folder and files of ours have the same names
from ports import free_port

SOURCE = pathlib.Path(__file__).resolve().parent / "dist" / "dist_probe.erl"
COOKIE = "labcookie1234567890"
SECONDS_MAX = 250
TITLE = "mote's distribution and Erlang's"


def start_epmd(port, environment):
    """An epmd of our own; it is there once it can be reached."""
    epmd = subprocess.Popen(["epmd", "-port", str(port), "-address", "127.0.0.1"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + SECONDS_MAX
    while time.monotonic() < until and epmd.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return epmd
        select.select([], [], [], 0.01)
    raise SystemExit(f"epmd on port {port}: it does not start")


def start_erlang(work, environment, node):
    """A node; it is there once it says so."""
    flags = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "net_ticktime", "40", "-start_epmd", "false", "-setcookie", COOKIE]
    command = ["erl", "+S", "1", "-noinput", "-sname", node, *flags, "-pa", work, "-s", "dist_probe", "start"]
    erl = subprocess.Popen(command, env=environment, cwd=work, stdout=subprocess.PIPE, start_new_session=True)
    said = b""
    while b"ready" not in said:
        ready, _, _ = select.select([erl.stdout], [], [], SECONDS_MAX)
        more = os.read(erl.stdout.fileno(), 4096) if ready else b""
        if not more:
            raise SystemExit(f"erl does not start: {said.decode(errors='replace')}")
        said += more
    return erl


def end(process, group):
    """Ends what was started here, by its number."""
    if process and process.poll() is None:
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
    if process and process.stdout:
        process.stdout.close()


def run(program, work, record):
    port = free_port()
    environment = dict(os.environ, HOME=work, ERL_EPMD_PORT=str(port), ERL_EPMD_ADDRESS="127.0.0.1")
    epmd = erl = None
    try:
        done = subprocess.run(["erlc", "-o", work, str(SOURCE)], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"erlc: {done.stdout}{done.stderr}")
        epmd = start_epmd(port, environment)
        node = "probe@localhost"
        erl = start_erlang(work, environment, node)
        command = [program, str(port), COOKIE, node, *([record] if record else [])]
        code = subprocess.run(command, timeout=SECONDS_MAX, check=False).returncode
        if code == 0:
            code = erl.wait(SECONDS_MAX)
        return code
    finally:
        end(erl, True)
        end(epmd, False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--record")
    options = parser.parse_args()
    if not all(shutil.which(tool) for tool in ("erl", "erlc", "epmd")):
        print(f"1..1\nok 1 - {TITLE} # SKIP it is not installed")
        return 0
    with tempfile.TemporaryDirectory() as work:
        return run(options.program, work, options.record)


if __name__ == "__main__":
    sys.exit(main())
