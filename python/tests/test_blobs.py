# SPDX-License-Identifier: Apache-2.0
"""Big binaries between workers: they lie in memory that all of them read, and are given back when nobody has them any more."""
import copy
import gc
import hashlib
import json
import os
import pickle
import signal
import sys
import threading
import time
import unittest

import mote
from mote import ANY, Atom
from worker_node import PATIENCE, SharedNode

BIG = 1 << 20
LEAST = 32768  # smaller ones are copied


def keeps(to):
    """Keeps what it is told to; does with it what it is told."""
    kept = []
    mote.send(to, ("here", os.getpid()))
    while True:
        message = mote.receive()
        if message[0] == "keep":
            kept.append(message[2])
        elif message[0] == "pass":
            mote.send(message[2], ("keep", message[1], kept[-1]))
            del message
            continue
        elif message[0] == "drop":
            kept.clear()
        elif message[0] == "back":
            mote.send(message[1], kept[-1])
            del message
            continue
        elif message[0] == "digest":
            mote.send(message[1], tuple((type(v).__name__, hashlib.sha256(v).hexdigest()) for v in kept))
            continue
        to = message[1]
        del message
        mote.send(to, ("kept", mote._mote.worker_blobs()[2]))


def numpy_sum(to):
    import numpy

    array = numpy.asarray(mote.receive())
    mote.send(to, (float(array.sum()), array.dtype.str, array.shape, array.flags.writeable, array.flags.aligned, array.ctypes.data % 64))


def sends_back(to):
    while True:
        mote.send(to, mote.receive())


def collects(to, count):
    mote.send(to, sum(len(mote.receive()) for _ in range(count)))


class Blobs(SharedNode):
    WORKERS = 3

    def setUp(self):
        super().setUp()
        self.keepers = [self.started(keeps, place) for place in (0, 1, 2)]
        for _ in self.keepers:
            mote.receive(("here", ANY), timeout=PATIENCE)

    def tearDown(self):
        for keeper in self.keepers:
            ref = mote.monitor(keeper)
            mote.kill(keeper)
            mote.receive((Atom("DOWN"), ref, ANY, ANY, ANY), timeout=PATIENCE)
        self.settles(0)

    @staticmethod
    def started(function, place, *args):
        return mote.options(place=place).spawn(function, mote.self(), *args)

    def tell(self, worker, *message):
        mote.send(self.keepers[worker], (message[0], mote.self(), *message[1:]))
        return mote.receive(("kept", ANY), timeout=PATIENCE)[1] if message[0] in ("keep", "pass", "drop") else None

    def settles(self, live):
        """Until so many of ours are anybody's."""
        deadline = time.monotonic() + PATIENCE
        while mote._mote.worker_blobs()[0] != live:
            self.assertLess(time.monotonic(), deadline, mote._mote.worker_blobs())
            gc.collect()
            mote.sleep(0.001)  # others get the interpreter

    def test_as_bytes(self):
        """What comes is bytes to all who ask."""
        echo = self.started(sends_back, 1)
        text = os.urandom(BIG)
        mote.send(echo, text)
        back = mote.receive(bytes, timeout=PATIENCE)
        self.assertIs(type(back), mote.SharedBytes)
        self.assertEqual((back, hash(back), len(back), back[5:9], back[-1], repr(back)[:20]), (text, hash(text), len(text), text[5:9], text[-1], repr(text)[:20]))
        self.assertEqual({back: 1}[text], 1)
        self.assertEqual(back + b"x", text + b"x")
        self.assertEqual(b"".join([back, back]), text * 2)
        self.assertIs(type(back[:10]), bytes)
        self.assertEqual((pickle.loads(pickle.dumps(back)), type(pickle.loads(pickle.dumps(back)))), (text, bytes))
        self.assertTrue(copy.copy(back) is back is copy.deepcopy(back))
        self.assertEqual(memoryview(back)[3], text[3])
        self.assertTrue(memoryview(back).readonly)
        self.assertRaises(TypeError, mote.SharedBytes, b"x")
        self.assertRaises(TypeError, mote.SharedBytes)
        self.assertEqual(json.loads(json.dumps(back.hex()))[:8], text.hex()[:8])
        mote.send(mote.self(), back)
        self.assertIs(mote.receive(timeout=PATIENCE), back)
        self.assertEqual(mote.decode(mote.encode(back)), text)
        part = memoryview(back)
        del back
        self.assertEqual(part[:100], text[:100])
        del part
        mote.kill(echo)

    def test_kinds(self):
        """Each arrives as what it was."""
        echo = self.started(sends_back, 1)
        text = os.urandom(BIG)
        grid = memoryview(text).cast("q", shape=(256, BIG // 8 // 256))
        for value in (text, bytearray(text), memoryview(text), grid, (text, [text, {"x": text}]), {text: 1}, text[: LEAST - 1], text[:LEAST]):
            mote.send(echo, value)
            back = mote.receive(timeout=PATIENCE)
            self.assertEqual(back, value)
            if isinstance(value, memoryview):
                self.assertEqual((back.format, back.shape, back.readonly), (value.format, value.shape, True))
        self.assertIs(type(back), mote.SharedBytes)
        mote.kill(echo)
        del back

    def test_one_object_for_one_blob(self):
        echo = self.started(sends_back, 1)
        mote.send(echo, os.urandom(BIG))
        back = mote.receive(timeout=PATIENCE)
        made = mote._mote.worker_blobs()[3]
        mote.send(echo, (back, back))
        pair = mote.receive(timeout=PATIENCE)
        self.assertTrue(pair[0] is back is pair[1])
        self.assertEqual(mote._mote.worker_blobs()[3], made)
        mote.kill(echo)
        del back, pair

    def test_is_freed(self):
        for _ in range(10):
            self.assertEqual(self.tell(1, "keep", os.urandom(BIG)), 1)
            self.assertEqual(mote._mote.worker_blobs()[0], 1)
            self.tell(1, "drop")
            self.settles(0)

    def test_is_passed_on(self):
        """From one to the next, without copies; each lets go in another order."""
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)):
            text = os.urandom(BIG)
            self.tell(1, "keep", text)
            made = mote._mote.worker_blobs()[3]
            self.tell(1, "pass", self.keepers[2])
            self.tell(2, "pass", self.keepers[0])
            for worker in (0, 1, 2):
                self.tell(worker, "digest")
                self.assertEqual(mote.receive(timeout=PATIENCE), (("SharedBytes", hashlib.sha256(text).hexdigest()),))
            self.assertEqual(mote._mote.worker_blobs()[3], made)
            for worker in order:
                self.settles(1)
                self.tell(worker, "drop")
            self.settles(0)

    def test_holders_that_die(self):
        text = os.urandom(BIG)
        self.tell(1, "keep", text)
        self.tell(1, "pass", self.keepers[2])
        os.kill(self.hub.places[1].pid, signal.SIGKILL)
        self.tell(2, "digest")
        self.assertEqual(mote.receive(timeout=PATIENCE)[0][1], hashlib.sha256(text).hexdigest())
        self.settles(1)
        os.kill(self.hub.places[2].pid, signal.SIGKILL)
        self.settles(0)
        mote._workers.begin()

    def test_owners_that_die(self):
        """What they have sent stays, and can be sent on."""
        text = os.urandom(BIG)
        self.tell(1, "keep", bytearray(text))
        self.tell(1, "back")
        self.assertEqual(mote.receive(bytearray, timeout=PATIENCE), text)
        maker = self.started(makes, 1, text)
        back = mote.receive(bytes, timeout=PATIENCE)
        ref = mote.monitor(maker)
        os.kill(self.hub.places[1].pid, signal.SIGKILL)
        mote.receive((Atom("DOWN"), ref, ANY, ANY, ANY), timeout=PATIENCE)
        mote._workers.begin()
        self.assertEqual(back, text)
        self.assertIs(type(back), mote.SharedBytes)
        self.tell(2, "keep", back)
        self.tell(2, "digest")
        self.assertEqual(mote.receive(timeout=PATIENCE)[0][1], hashlib.sha256(text).hexdigest())
        del back

    def test_executor(self):
        text = os.urandom(BIG)
        with mote.Executor(2) as executor:
            self.assertEqual(executor.submit(hashlib.sha256, b"x").exception() is not None, True)  # a hash object is no message
            self.assertEqual(list(executor.map(digest, [text, text])), [hashlib.sha256(text).hexdigest()] * 2)
            self.assertEqual(executor.submit(reverse, text).result(), text[::-1])
        self.settles(0)

    def test_threads(self):
        """Sent and dropped by many at once."""
        text = os.urandom(1 << 17)
        counts = []

        def work():
            pids = [self.started(collects, place, 50) for place in (1, 2)]
            for _ in range(50):
                for pid in pids:
                    mote.send(pid, text)
            counts.extend(mote.receive(timeout=PATIENCE) for _ in pids)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            mote.blocking(thread.join)
        self.assertEqual(counts, [50 << 17] * 6)

    def test_a_message_that_cannot_go(self):
        """What was loaded for it is unloaded."""
        with self.assertRaises(mote.NotSendable):
            mote.send(self.keepers[1], (os.urandom(BIG), object()))
        self.settles(0)
        mote.send(self.keepers[1], ("keep", mote.self(), os.urandom(BIG)))
        mote.kill(self.keepers[1])
        self.settles(0)
        mote.send(self.keepers[1], os.urandom(BIG))  # nobody is there
        self.settles(0)


def makes(to, text):
    mote.send(to, bytes(text))
    mote.receive("never")


def digest(data):
    return hashlib.sha256(data).hexdigest()


def reverse(data):
    return data[::-1]


class Buffers(unittest.TestCase):
    """mote.buffer(), with workers and without."""

    def fill(self, buffer):
        self.assertEqual(bytes(buffer), bytes(len(buffer)))
        with memoryview(buffer) as view:
            view[:5] = b"hello"
            self.assertFalse(view.readonly)
        self.assertFalse(buffer.readonly)

    def goes(self, pid, size):
        buffer = mote.buffer(size)
        self.assertEqual(len(buffer), size)
        self.fill(buffer)
        mote.send(pid, buffer)
        self.assertTrue(buffer.readonly)
        self.assertIn("read-only", repr(buffer))
        back = mote.receive(memoryview, timeout=PATIENCE)
        self.assertEqual((bytes(back[:6]), back.readonly, len(back)), (b"hello\0", True, size))
        with self.assertRaises(TypeError):
            memoryview(buffer)[0] = 1
        return buffer, back

    def copied(self, pid, size):
        """Somebody could still write: the message gets what is there now."""
        buffer = mote.buffer(size)
        with memoryview(buffer) as view:
            view[:5] = b"first"
            mote.send(pid, buffer)
            view[:5] = b"later"
            back = mote.receive(memoryview, timeout=PATIENCE)
            self.assertEqual(bytes(back[:5]), b"first")
            self.assertFalse(buffer.readonly)
        del back

    def test_here(self):
        mote._mote.stop()
        pid = mote.spawn(sends_back, mote.self())
        for size in (10, BIG):
            buffer, back = self.goes(pid, size)
            self.assertIs(back.obj, buffer)
            self.copied(pid, size)
        mote.send(pid, memoryview(buffer)[:3])
        self.assertIs(mote.receive(timeout=PATIENCE).obj, buffer)
        mote.kill(pid)
        self.assertEqual(mote.decode(mote.encode(buffer))[:5], b"hello")

    def test_in_workers(self):
        mote._mote.stop()
        with mote.Node(workers=2):
            pid = mote.options(place=1).spawn(sends_back, mote.self())
            made = mote._mote.worker_blobs()[3]
            for size in (10, BIG):
                buffer, back = self.goes(pid, size)
                self.assertEqual(mote._mote.worker_blobs()[3], made + (size == BIG))
                self.copied(pid, size)
            mote.kill(pid)
            kept = mote.buffer(BIG)
        with memoryview(kept) as view:
            view[:] = b"x" * BIG  # the node has ended; it is still ours
        self.assertEqual(back[:5], b"hello")

    def test_numpy(self):
        try:
            import numpy
        except ImportError:
            return self.assertFalse(sys.executable.startswith("/usr/bin/python3"))  # Debian's has it
        mote._mote.stop()
        with mote.Node(workers=2):
            for make in (lambda: mote.buffer(BIG), None):
                pid = mote.options(place=1).spawn(numpy_sum, mote.self())
                if make:
                    buffer = make()
                    array = numpy.frombuffer(buffer, dtype="f8")
                    array[:] = 2
                    del array
                    mote.send(pid, buffer)
                    want = ("|u1", (BIG,))
                    total = float(numpy.frombuffer(buffer, dtype="u1").sum())
                else:
                    array = numpy.full((256, BIG // 8 // 256), 2.0)
                    mote.send(pid, array)
                    want, total = ("<f8", array.shape), float(array.sum())
                self.assertEqual(mote.receive(timeout=PATIENCE), (total, *want, False, True, 0))

    def test_misuse(self):
        for wrong in (-1, 1 << 70):
            self.assertRaises((ValueError, OverflowError), mote.buffer, wrong)
        self.assertRaises(TypeError, mote.buffer, "x")
        self.assertRaises(TypeError, mote.Buffer, 5)
        self.assertRaises(MemoryError, mote.buffer, sys.maxsize)
        self.assertEqual(len(mote.buffer(0)), 0)


if __name__ == "__main__":
    unittest.main()
