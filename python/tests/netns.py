# SPDX-License-Identifier: Apache-2.0
"""Several hosts on one machine: network namespaces without a way out, on one wire or several. They are the test's own, and go with it."""
import os
import shutil
import subprocess

PATIENCE = 120


class Skip(Exception):
    pass


def run(*command, **how):
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, **how)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Network:
    """Hosts 1 to `count` with addresses net.1 ...; who is on one wire does not reach who is on another. Skip: there are no namespaces here."""

    def __init__(self, net, count, stack, wires=1):
        if os.geteuid() or not shutil.which("ip"):
            raise Skip("root and ip (iproute2) are needed for network namespaces")
        self.net = net
        self.names = [f"mote-{os.getpid()}-{i}" for i in range(count + 1)]  # the first has the wires
        try:
            for name in self.names:
                run("ip", "netns", "add", name)
                stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
            for wire in range(wires):
                run("ip", "-n", self.names[0], "link", "add", "name", f"wire{wire}", "type", "bridge")
                run("ip", "-n", self.names[0], "link", "set", f"wire{wire}", "up")
            for i in range(1, count + 1):
                self.connect(i)
            run("ip", "netns", "exec", self.names[1], "true")
        except RuntimeError as error:
            raise Skip(f"no network namespaces here: {error}".replace("\n", " ")) from None

    def connect(self, i):
        name = self.names[i]
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", f"port{i}", "netns", self.names[0])
        self.put(i, 0)
        run("ip", "-n", name, "addr", "add", f"{self.net}.{i}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")

    def put(self, i, wire):
        """Has a host on this wire from now on."""
        run("ip", "-n", self.names[0], "link", "set", f"port{i}", "master", f"wire{wire}", "up")

    def on(self, i, *command):
        """What runs a command there."""
        return ["ip", "netns", "exec", self.names[i], *command]
