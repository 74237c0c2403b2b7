#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random terms through Erlang and back, and Erlang's through mote: tests/external/peer.c and external_peer.erl, joined by pipes.

  tests/external_erlang.py PROGRAM [--rounds N] [--seed N]     PROGRAM: peer.c, built. MOTE_TEST_LONG: ten times the rounds

Where Erlang is not installed it is left out.
"""
import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent / "external" / "external_peer.erl"
ROUNDS = 100_000
SECONDS_MAX = 500
TESTS = 2


def erlang(work):
    """The command that runs our module; None: there is no Erlang."""
    environment = dict(os.environ, HOME=work)
    if not (shutil.which("erl") and shutil.which("erlc")):
        return None, environment
    done = subprocess.run(["erlc", "-o", work, str(SOURCE)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"erlc: {done.stdout}{done.stderr}")
    return ["erl", "+S", "1", "-noinput", "-pa", work, "-s", "external_peer", "main"], environment


def run(program, rounds, seed, seconds, work, command, environment):
    """What our side reports, and faults."""
    to_us, to_them = os.pipe(), os.pipe()
    them = subprocess.Popen(command, stdin=to_them[0], stdout=to_us[1], env=environment, cwd=work, start_new_session=True)
    us = subprocess.Popen([program, str(rounds), str(seed)], stdin=to_us[0], stdout=to_them[1], stderr=subprocess.PIPE, text=True)
    for end in (*to_us, *to_them):
        os.close(end)
    faults = []
    try:
        _, said = us.communicate(timeout=seconds)
        them.wait(60)
        faults += [f"{name} ended with {one.returncode}" for name, one in (("our side", us), ("Erlang", them)) if one.returncode]
    except subprocess.TimeoutExpired:
        us.kill()
        said = us.communicate()[1] + f"# it has taken more than {seconds} s\n"
        faults.append("it was too slow")
    finally:
        if them.poll() is None:
            os.killpg(them.pid, signal.SIGKILL)
            them.wait()
    return said, faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=20260101)
    options = parser.parse_args()
    rounds = options.rounds * (10 if os.environ.get("MOTE_TEST_LONG") else 1)
    with tempfile.TemporaryDirectory() as work:
        command, environment = erlang(work)
        print(f"1..{TESTS}")
        if command is None:
            for n in range(1, TESTS + 1):
                print(f"ok {n} - terms through Erlang # SKIP it is not installed")
            return 0
        said, faults = run(options.program, rounds, options.seed, SECONDS_MAX * max(1, rounds // ROUNDS), work, command, environment)
    print(said, end="")
    passed = said.count("\nok ") + said.startswith("ok ")
    for n in range(passed + 1, TESTS + 1):
        print(f"not ok {n} - seed {options.seed}")
    for fault in faults:
        print(f"# {fault}")
    return 0 if passed == TESTS and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
