# SPDX-License-Identifier: Apache-2.0
"""Every workload of mote-bench, small: prints the names and units that bench.erl prints; wrong usage is refused.

usage: bench_test.py MOTE_BENCH          tests it
       bench_test.py --erlang DIRECTORY  tests the table below against bench.erl, compiled in DIRECTORY
"""
import re
import subprocess
import sys
import unittest

# arguments: the names and units of the lines, in order
WORKLOADS = {
    "boot": "boot ns",
    "pingpong same 100": "pingpong.same ns",
    "pingpong cross 100": "pingpong.cross ns",
    "pingpong free 100": "pingpong.free ns",
    "payload bin 64 100": "payload.bin64 ns",
    "payload list 100 100": "payload.list100 ns",
    "payload map 20 100": "payload.map20 ns",
    "ring 1 10": "ring.1 ns",
    "ring 100 1000": "ring.100 ns",
    "spawn 1000": "spawn.seq ns, spawn.batch1000 ns",
    "spawn_flood 1000": "spawn.flood ns",
    "skynet 1": "skynet ms",
    "skynet 1000": "skynet ms",
    "memory 100": "memory.idle bytes, memory.spawn ns, memory.wake_exit ns",
    "memory_hib 100": "memory.idle_hib bytes",
    "fanin 10 1000 on_heap": "fanin.10.on_heap ns",
    "fanin 10 1000 off_heap": "fanin.10.off_heap ns",
    "mailbox 1000": "mailbox.send ns, mailbox.total ns",
    "big 2 1": "big.2 ns",
    "big 10 3": "big.10 ns",
    "selrecv 0 100": "selrecv.marked.0 ns, selrecv.unmarked.0 ns",
    "selrecv 10 100": "selrecv.marked.10 ns, selrecv.unmarked.10 ns, selrecv.scan_per_msg.10 ns",
    "timers 100": "timer.recv_after_cancel ns, timer.set ns, timer.cancel ns",
    "timers_fire 10": "timer.fire_cpu ns, timer.fire_wall ms",
    "timers_procs 10": "timer.procs_cpu ns, timer.procs_wall ms",
    "late 10": "timer.sleep1ms_p50 us, timer.sleep1ms_p99 us",
    "bigbin 1 2": "bigbin.1MiB.send ns, bigbin.copy GB/s",
    "monitor 100": "monitor.spawn_exit_down ns, link.spawn_exit_EXIT ns, monitor.mon_demon ns, link.link_unlink ns",
    "linkfan 100": "link.fan_exit ns",
    "exits 100": "monitor.exits ns",
    "gencall 100": "gencall ns",
    "nqueens 6 3": "nqueens.6.d3 ms",
    "nqueens 4 4": "nqueens.4.d4 ms",
    "chameneos 100": "chameneos ns",
    "fair 2 10": "fair.h2.p50 us, fair.h2.p99 us",
    "lathog 2 10": "timer.sleep1ms_h2_p50 us, timer.sleep1ms_h2_p99 us",
    "pairs 3 100": "pairs.3 ns",
    "node_pingpong 100": "node.pingpong ns",
    "node_flood 3 1000": "node.flood.3 ns",
    "node_binary 1000000 3": "node.binary.1000000 ns, node.binary.1000000.rate GB/s",
    "node_spawn 10": "node.spawn_reply ns, node.spawn_monitor_down ns, node.call ns",
    "node_connect 3": "node.connect ns",
    "node_mixed 10": "node.mixed.p50 ns, node.mixed.p99 ns",
}
HANDLERS = {"pingpong", "ring", "spawn", "spawn_flood", "skynet", "memory", "fanin", "mailbox", "big", "pairs", "chameneos",
            "nqueens", "monitor", "linkfan", "exits"}

# arguments: a part of the message
REFUSED = {
    "nothing_like_it": "unknown workload 'nothing_like_it'",
    "--schedulers 1": "no workload",
    "skynet": "N is missing",
    "ring 10": "HOPS is missing",
    "skynet 10 10": "one argument too many",
    "skynet ten": "not a number",
    "skynet 1e3": "not a number",
    "skynet -1": "unknown option '-1'",
    "skynet 0": "not a number from 1",
    "skynet 99999999999999999999": "not a number",
    "skynet 12": "power of ten",
    "pingpong twice 10": "none of same|cross|free",
    "payload tuple 1 1": "none of bin|list|map",
    "fanin 10 1000": "on_heap|off_heap is missing",
    "fanin 10 5 on_heap": "fewer messages than senders",
    "nqueens 15 4": "not a number from 1 to 14",
    "nqueens 4 5": "D must not be over N",
    "boot --schedulers": "needs a value",
    "boot --schedulers 0": "not a number from 1",
    "boot --schedulers=many": "not a number",
    "boot --body stack --quiet": "unknown option '--quiet'",
    "skynet 10 --body stick": "none of stack|handler",
    "late 10 --body handler": "no --body handler",
}


def run(arguments):
    return subprocess.run(COMMAND + arguments.split(), capture_output=True, text=True, timeout=600, check=False)


class Lines(unittest.TestCase):
    def check(self, arguments, lines):
        got = run(arguments)
        self.assertEqual((got.returncode, got.stderr), (0, ""), arguments)
        rows = [re.fullmatch(r"(\S+) (-?\d+\.\d{3}) (\S+)", line) for line in got.stdout.splitlines()]
        self.assertNotIn(None, rows, got.stdout)
        self.assertEqual(", ".join(f"{row[1]} {row[3]}" for row in rows), lines)

    def test_workloads(self):
        for arguments, lines in WORKLOADS.items():
            with self.subTest(arguments):
                self.check(arguments, lines)


class MoteBench(Lines):
    def test_handlers(self):
        for arguments, lines in WORKLOADS.items():
            if arguments.split()[0] in HANDLERS:
                with self.subTest(arguments):
                    self.check(arguments + " --body handler", lines)

    def test_schedulers(self):
        for schedulers in ("1", "3"):
            for arguments in ("skynet 1000", "pairs 3 100", "pingpong cross 100"):
                with self.subTest(arguments, schedulers=schedulers):
                    self.check(f"--schedulers={schedulers} {arguments}", WORKLOADS[arguments])

    def test_refused(self):
        for arguments, message in REFUSED.items():
            with self.subTest(arguments):
                got = run(arguments)
                self.assertEqual((got.returncode, got.stdout), (2, ""))
                self.assertIn(message, got.stderr)

    def test_help(self):
        text = run("--help")
        self.assertEqual((text.returncode, text.stderr), (0, ""))
        self.assertEqual(run("").stdout, text.stdout)
        listed = re.findall(r"^  (\w+)", text.stdout, re.M)
        self.assertEqual(sorted(listed), sorted({"node_serve", *(arguments.split()[0] for arguments in WORKLOADS)}))


if __name__ == "__main__":
    if sys.argv[1] == "--erlang":
        COMMAND = ["erl", "+S", "2:2", "-noshell", "-pa", sys.argv[2], "-s", "bench", "main"]
        del MoteBench
    else:
        COMMAND = sys.argv[1:2]
        del Lines
    unittest.main(argv=sys.argv[:1], verbosity=2)
