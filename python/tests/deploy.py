#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The recipes of docs/deploy.md, as far as this machine can: examples/deploy on several hosts, which are network namespaces, and under mpirun.

  deploy.py PYTHON PACKAGE     PACKAGE: the folder that the package mote is in

Prints TAP. What is not to be had here (root, ip, mpirun, systemd-analyze) is left out, and why is said. All that it starts it ends, by number; the namespaces are its own, and go with it.
"""
import contextlib
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile

from netns import PATIENCE, Network, Skip, run
from ports import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPES = ROOT / "examples" / "deploy"
NET = "10.213.77"  # of namespaces without a way out
HOSTS = 3


class Hosts(Network):
    """Machines 1 to HOSTS with addresses and names n1 ..., and app-headless, which is all of them."""

    def __init__(self, work, stack):
        super().__init__(NET, HOSTS, stack)
        self.file = work / "hosts"
        self.file.write_text("".join(f"{NET}.{i} n{i} app-headless\n" for i in range(1, HOSTS + 1)) + "127.0.0.1 localhost\n")

    def on(self, i, *command):
        return super().on(i, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(self.file), *command)


class Recipes:
    def __init__(self, python, package, work, stack):
        self.python, self.work, self.stack = python, work, stack
        self.environment = {**os.environ, "HOME": str(work), "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment.pop("ERL_EPMD_PORT", None)
        self.hosts = None

    def need_hosts(self):
        if self.hosts is None:
            self.hosts = Hosts(self.work, self.stack)
        return self.hosts

    def cookie(self):
        run(self.python, "-m", "mote", "cookie", env=self.environment)

    def start(self, command, **more):
        process = subprocess.Popen(command, env={**self.environment, **more}, stdout=subprocess.PIPE, bufsize=0)  # what select() does not see is not there
        self.stack.callback(end, process)
        return process

    def kubernetes(self):
        """Three pods of a headless service; one is killed, and another is started in its place."""
        hosts = self.need_hosts()
        self.cookie()

        def pod(i):
            return self.start([*hosts.on(i), self.python, str(RECIPES / "service.py")], NODE_ADDRESS=f"{NET}.{i}", NODES_DNS="app@app-headless", NODES_LOOK="0.2", NODE_PORT="9100")

        pods = [pod(i) for i in range(1, HOSTS + 1)]
        everybody = " ".join(f"app@{NET}.{i}" for i in range(1, HOSTS + 1))
        for one in pods:
            says(one, f": 3 workers: {everybody}\n")
        pods[2].kill()
        for one in pods[:2]:
            says(one, f": 2 workers: app@{NET}.1 app@{NET}.2\n")
        pods[2] = pod(3)
        for one in pods:
            says(one, f": 3 workers: {everybody}\n")
        for one in pods:
            one.send_signal(signal.SIGTERM)
        codes = [one.wait(PATIENCE) for one in pods]
        assert codes == [0, 0, 0], codes

    def names(self):
        """Two machines that know each other by name, as the units of systemd have it."""
        hosts = self.need_hosts()
        self.cookie()
        units = [self.start([*hosts.on(i), self.python, str(RECIPES / "service.py")], NODE_ADDRESS=f"{NET}.{i}", NODES=f"app@{NET}.{3 - i}", NODE_PORT="9100") for i in (1, 2)]
        for one in units:
            says(one, f": 2 workers: app@{NET}.1 app@{NET}.2\n")

    def slurm(self):
        """What srun starts: six tasks on three machines."""
        hosts = self.need_hosts()
        self.cookie()
        tasks = [self.start([*hosts.on(rank % HOSTS + 1), self.python, str(RECIPES / "job.py")], SLURM_PROCID=str(rank), SLURM_NTASKS="6", SLURM_JOB_ID="77", SLURMD_NODENAME=f"n{rank % HOSTS + 1}", HOSTS="n1 n2 n3") for rank in range(6)]
        says(tasks[0], "6 processes: 499999500000\n")
        codes = [one.wait(PATIENCE) for one in tasks]
        assert codes == [0] * 6, codes

    def mpirun(self):
        """Four processes on this machine; the port mapper is one of them."""
        if not shutil.which("mpirun"):
            raise Skip("mpirun (openmpi-bin) is not installed")
        self.cookie()
        root = [] if os.geteuid() else ["--allow-run-as-root"]
        out = run("mpirun", *root, "--oversubscribe", "-np", "4", self.python, str(RECIPES / "job.py"), env={**self.environment, "ERL_EPMD_PORT": str(free_port())})
        assert out == "4 processes: 499999500000\n", out

    def systemd(self):
        if not shutil.which("systemd-analyze"):
            raise Skip("systemd-analyze is not installed")
        unit = self.work / "app.service"
        unit.write_text((RECIPES / "app.service").read_text(encoding="utf-8").replace("/usr/bin/python3", self.python).replace("/opt/app/service.py", str(RECIPES / "service.py")), encoding="utf-8")
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=PATIENCE, check=False)
        wrong = [line for line in (done.stdout + done.stderr).splitlines() if "app.service" in line]
        assert not wrong, wrong

    def pages(self):
        """docs/deploy.md shows the files as they are."""
        page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
        for name in ("app.service", "kubernetes.yaml", "job.sbatch"):
            assert f"\n{(RECIPES / name).read_text(encoding='utf-8')}```\n" in page, f"docs/deploy.md has not all of {name}"


def says(process, wanted):
    """Reads until a line ends so."""
    said = []
    while not (said and said[-1].endswith(wanted)):
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        line = process.stdout.readline().decode() if ready else ""
        assert line, f"it has not said {wanted!r}, but {said!r}"
        said.append(line)


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


def main(python, package):
    recipes = [name for name in vars(Recipes) if name in ("kubernetes", "names", "slurm", "mpirun", "systemd", "pages")]
    bad = 0
    print(f"1..{len(recipes)}", flush=True)
    for number, name in enumerate(recipes, 1):
        with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
            result, note = "ok", ""
            try:
                getattr(Recipes(python, package, pathlib.Path(work), stack), name)()
            except Skip as skip:
                note = f" # SKIP {skip}"
            except (AssertionError, RuntimeError, subprocess.TimeoutExpired) as error:
                result, bad = "not ok", 1
                print("# " + str(error).replace("\n", "\n# "))
            print(f"{result} {number} - {name}{note}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
