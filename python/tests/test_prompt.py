# SPDX-License-Identifier: Apache-2.0
"""At a prompt: Python's own in a terminal, and cells of a notebook, which run within asyncio's loop in the main thread."""
import importlib.util
import os
import pty
import select
import subprocess
import sys
import time
import unittest

PATIENCE = 60


class Terminal(unittest.TestCase):
    def setUp(self):
        self.text = ""
        self.master, slave = pty.openpty()
        env = {**os.environ, "PYTHON_BASIC_REPL": "1", "TERM": "dumb", "PYTHONSTARTUP": ""}
        self.python = subprocess.Popen([sys.executable, "-i", "-q"], stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
        os.close(slave)
        self.addCleanup(os.close, self.master)
        self.addCleanup(self.python.wait)
        self.addCleanup(self.python.kill)
        self.read(">>> ")

    def read(self, end):
        """What comes until a text, with it; what comes behind is for the next."""
        deadline = time.monotonic() + PATIENCE / 2
        while end not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, f"no {end!r} in {self.text!r}")
            self.text += os.read(self.master, 4096).decode()
        head, end, self.text = self.text.partition(end)
        return head + end

    def enter(self, line, end=">>> "):
        os.write(self.master, line.encode() + b"\n")
        return self.read(end)

    def test_processes_live_while_it_waits(self):
        self.enter("import mote")
        self.enter("def echo():", "... ")
        self.enter("    for _ in range(2): mote.send(*mote.receive()); print('ran at the prompt\\n', end='', flush=True)", "... ")
        self.enter("")
        self.enter("pid = mote.spawn(echo)")
        os.write(self.master, b"mote.send(pid, (mote.self(), 'one'))\n")
        self.read("ran at the prompt\r\n")  # it may come before or after the next prompt
        self.assertIn("'one'", self.enter("mote.receive(timeout=60)", "'one'\r\n"))
        self.assertIn("TimeoutError", self.enter("mote.receive(timeout=0.01)", "in time\r\n"))
        os.write(self.master, b"mote.send_after(0.05, pid, (mote.self(), 'two'))\n")
        self.read("ran at the prompt\r\n")  # while nobody enters anything
        self.assertIn("'two'", self.enter("mote.receive(timeout=60)", "'two'\r\n"))

    def test_ctrl_c_interrupts_a_receive(self):
        self.enter("import mote")
        os.write(self.master, b"print('wait' + 'ing', flush=True); mote.receive()\n")
        self.read("waiting\r\n")
        os.killpg(self.python.pid, 2)
        self.read("KeyboardInterrupt\r\n>>> ")
        self.assertIn("<0.", self.enter("mote.self()", ">\r\n"))

    def test_its_end(self):
        self.enter("import mote")
        self.enter("async def waits(): await mote.aio.receive()", "... ")
        self.enter("")
        self.enter("pids = [mote.spawn(waits) for _ in range(100)]")
        os.write(self.master, b"\x04")
        self.assertEqual(self.python.wait(PATIENCE), 0)


CELLS = """
import asyncio, mote
def echo():
    while True: mote.send(*mote.receive())
CELL = '''
pid = mote.spawn(echo)
mote.send(pid, (mote.self(), "cell"))
print(mote.receive(timeout=60), mote.receive(timeout=0.01, default=None), mote.self() == me)
mote.kill(pid)
'''
AWAITS = '''
import asyncio, mote
async def cell():
    pid = mote.spawn(echo)
    mote.send(pid, (mote.self(), "awaited"))
    print(await mote.aio.receive(timeout=60))
    await asyncio.sleep(0)
'''
async def kernel():
    names = {"mote": mote, "echo": echo, "me": mote.self()}
    for _ in range(2):
        await asyncio.sleep(0)
        exec(compile(CELL, "cell", "exec"), names)
    exec(compile(AWAITS, "cell", "exec"), names)
    await names["cell"]()
asyncio.run(kernel())
"""


class Notebook(unittest.TestCase):
    def test_cells_as_a_kernel_runs_them(self):
        done = subprocess.run([sys.executable, "-c", CELLS], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stdout.splitlines()[:2]), (0, ["cell None True"] * 2), done.stderr)
        self.assertEqual(done.stdout.splitlines()[2:], ["awaited"], done.stderr)

    @unittest.skipUnless(importlib.util.find_spec("ipykernel") and importlib.util.find_spec("jupyter_client"), "there is no ipykernel (Debian: python3-ipykernel)")
    def test_a_kernel(self):
        program = (
            "import sys, jupyter_client\n"
            "manager = jupyter_client.KernelManager(kernel_cmd=[sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}'])\n"
            "manager.start_kernel()\n"
            "client = manager.blocking_client()\n"
            "client.start_channels(); client.wait_for_ready(timeout=60)\n"
            "def show(message):\n"
            "    if message['msg_type'] == 'stream': print(message['content']['text'], end='')\n"
            "    if message['msg_type'] == 'error': print(message['content']['evalue'])\n"
            "for cell in ('import mote\\ndef echo(): mote.send(*mote.receive())', 'pid = mote.spawn(echo)',\n"
            "             'mote.send(pid, (mote.self(), 1)); print(mote.receive(timeout=60), mote.receive(timeout=0.01, default=None))'):\n"
            "    client.execute_interactive(cell, timeout=60, output_hook=show)\n"
            "client.stop_channels(); manager.shutdown_kernel(now=True)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "1 None\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
