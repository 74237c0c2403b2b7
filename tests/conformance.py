#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processes behave as Erlang's: compares what the scenarios of tests/conformance/ print here and there.

  tests/conformance.py PROGRAM [PREFIX ...]   all scenarios of the program, or those whose ids have a prefix
      --schedulers N                          of our runtime
      --across N                              with the parties of each in two workers; N scenarios must have been so
      --nodes                                 group L, whose parties are on two nodes; without it, all others
      --recorded                              do not run Erlang, even if it is installed
      --self-test                             takes lines away and changes them, and sees that it is found

The scenarios and what each says stand in conf.erl. Our lines must be those of expected.txt. Erlang's lines, recorded in erlang.txt,
differ from these only for scenarios of the tiers `choice` and `mustdiffer`, and each that differs is explained in docs/design/semantics.md. If Erlang
is installed, it runs too, and its lines of the tier `core` must be what we printed.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import dist_erlang
import dist_node

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "conformance"
SEMANTICS = HERE.parent / "docs" / "design" / "semantics.md"
UNTESTED = "untested"  # a word of a result that this build cannot have
SECONDS_MAX = 540
NODE = ["-sname", "conf@localhost", "-start_epmd", "false", "-connect_all", "false", "-kernel", "net_ticktime", "4",
        "prevent_overlapping_partitions", "false"]


def lines_of(text):
    """{id: result} of `id result` lines; others are not ours."""
    found = re.findall(r"(?m)^([A-Z]\d\d) (.*)$", text)
    return dict(found)


def scenarios():
    """{id: (tier, statement)}, from the table in conf.erl."""
    text = (FOLDER / "conf.erl").read_text(encoding="utf-8")
    return {name: (tier, statement) for name, tier, statement in re.findall(r'(?m)^\{"([A-Z]\d\d)", (\w+), "(.*)", fun', text)}


def agree(got, want):
    """Whether two results are the same, but for words that could not be tested."""
    if got is None:
        return False
    words, wanted = got.split(","), want.split(",")
    return len(words) == len(wanted) and all(a in (b, UNTESTED) for a, b in zip(words, wanted))


def documented(name):
    return re.search(rf"\b{name}\b", SEMANTICS.read_text(encoding="utf-8")) is not None


def run_ours(program, options):
    command = [program] + (["--schedulers", str(options.schedulers)] if options.schedulers else [])
    command += ["--workers", "2"] if options.across else ["--nodes", "2"] if options.nodes else []
    command += options.prefixes
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        try:
            output, reports = started.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            started.kill()
            output, reports = started.communicate()
    for line in reports.splitlines():
        print(f"# {line}")
    for line in re.findall("(?m)^#.*$", output):
        print(line)
    faults = [] if started.returncode == 0 else [f"{program} ended with {started.returncode}"]
    if options.across and f"# in two workers: {options.across} scenarios" not in output.splitlines():
        faults.append(f"not {options.across} scenarios had their parties in two workers")
    return lines_of(output), faults


def same_as_erlang(table, ours, prefixes, nodes):
    """Erlang's lines. Its scenarios wait as long as they say and no longer: on a machine too slow for that, those that differ have another chance."""
    live = run_erlang(prefixes, nodes)
    for _ in range(5):
        differ = [name for name, (tier, _) in table.items() if live is not None and tier == "core" and live.get(name) != ours.get(name)]
        if not differ:
            break
        print(f"# Erlang once more: {' '.join(differ)}")
        live.update(run_erlang(differ, nodes))
    return live


def run_erlang(prefixes, nodes):
    """Erlang's lines, or None when it is not installed. Everything it writes goes to a directory of its own; its nodes have a port mapper of their own."""
    if not all(shutil.which(tool) for tool in ("erl", "erlc", "epmd")):
        return None
    with tempfile.TemporaryDirectory() as work:
        port = dist_erlang.free_port()
        environment = dict(os.environ, HOME=work, ERL_EPMD_PORT=str(port), ERL_EPMD_ADDRESS="127.0.0.1")
        cookie = pathlib.Path(work, ".erlang.cookie")  # for the nodes that it starts, too
        cookie.write_text("of_the_scenarios", encoding="ascii")
        cookie.chmod(0o400)
        epmd = dist_erlang.start_epmd(port, environment) if nodes else None
        try:
            return lines_of_erlang(work, environment, prefixes, nodes)
        finally:
            dist_erlang.end(epmd, False)
            if nodes:
                dist_node.end_all(work)


def lines_of_erlang(work, environment, prefixes, nodes):
    if subprocess.run(["erlc", "-o", work, str(FOLDER / "conf.erl")], env=environment, capture_output=True, check=False).returncode:
        return None
    names = ",".join(f'"{p}"' for p in prefixes)
    command = ["erl", "+S", "2", "+P", "1000000", "-noshell", "-pa", work, *(NODE if nodes else []), "-eval", f"conf:main([{names}])."]
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=work,
                               start_new_session=True)
    try:
        output, _ = started.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        output, _ = started.communicate()
    return lines_of(output)


def faults_of(name, tier, ours, expected, recorded, live):
    """What is wrong with one scenario."""
    got, want, erlang = ours.get(name), expected.get(name), recorded.get(name)
    if want is None or erlang is None:
        yield "it has no line in expected.txt or erlang.txt"
        return
    if not agree(got, want):
        yield f"printed {got}, not {want}"
    if want != erlang and tier not in ("choice", "mustdiffer"):
        yield f"expected.txt has {want}, Erlang says {erlang}, and it is no choice"
    if want != erlang and not documented(name):
        yield f"{want} instead of Erlang's {erlang} is not explained in docs/design/semantics.md"
    if live is not None and tier == "core" and live.get(name) != got:
        yield f"Erlang printed {live.get(name)} just now, and we {got}"


def compare(table, ours, expected, recorded, live):
    """{title: faults}"""
    results = {}
    for name, (tier, statement) in table.items():
        results[f"{name} {statement}"] = list(faults_of(name, tier, ours, expected, recorded, live))
    unknown = sorted((ours.keys() | expected.keys() | recorded.keys()) - table.keys())
    results["there are no other lines"] = [f"{name} is not in conf.erl" for name in unknown]
    return results


def report(results):
    """TAP; gives the exit code."""
    print(f"1..{len(results)}")
    for n, (title, faults) in enumerate(results.items(), 1):
        for fault in faults:
            print(f"# {title.split()[0]}: {fault}")
        print(f'{"not " if faults else ""}ok {n} - {title.replace("#", "")}')
    return 1 if any(results.values()) else 0


def recorded_lines(table):
    both = [lines_of((FOLDER / name).read_text(encoding="utf-8")) for name in ("expected.txt", "erlang.txt")]
    return [{name: line for name, line in lines.items() if name in table} for lines in both]


def self_test():
    """Each planted fault must be found, in that scenario alone."""
    table = scenarios()
    expected, recorded = recorded_lines(table)
    ours, choice, core = dict(expected), "B21", "A01"
    planted = {
        "a line is missing": (core, {k: v for k, v in ours.items() if k != core}, expected, recorded, None),
        "a core line is wrong": (core, {**ours, core: "violations:1"}, expected, recorded, None),
        "a race is one-sided": ("C06", {**ours, "C06": "violations:0:one_sided"}, expected, recorded, None),
        "a choice is not what we chose": (choice, {**ours, choice: recorded[choice]}, expected, recorded, None),
        "a core line is no longer Erlang's": (core, {**ours, core: "x"}, {**expected, core: "x"}, recorded, None),
        "Erlang itself differs": (core, ours, expected, recorded, {**recorded, core: "x"}),
        "a line of an unknown scenario": ("there", {**ours, "Z99": "x"}, expected, recorded, None),
        "a word too few": (choice, {**ours, choice: UNTESTED}, expected, recorded, None),
    }
    results = {}
    for title, (name, *lines) in planted.items():
        found = [key.split()[0] for key, faults in compare(table, *lines).items() if faults]
        results[title] = [] if found == [name] else [f"found {found}, not {name}"]
    clean = [key for key, faults in compare(table, ours, expected, recorded, recorded).items() if faults]
    results["nothing is found where nothing is"] = clean
    return report(results)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", nargs="?")
    parser.add_argument("prefixes", nargs="*")
    parser.add_argument("--schedulers", type=int)
    parser.add_argument("--across", type=int)
    parser.add_argument("--nodes", action="store_true")
    parser.add_argument("--recorded", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    table = {name: row for name, row in scenarios().items() if name.startswith(tuple(options.prefixes or [""])) and name.startswith("L") == options.nodes}
    expected, recorded = recorded_lines(table)
    ours, faults = run_ours(options.program, options)
    live = None if options.recorded else same_as_erlang(table, ours, options.prefixes or (["L"] if options.nodes else sorted({name[0] for name in table})), options.nodes)
    results = compare(table, ours, expected, recorded, live)
    results["the program ended well"] = faults
    return report(results)


if __name__ == "__main__":
    sys.exit(main())
