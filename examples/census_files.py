# SPDX-License-Identifier: Apache-2.0
"""Files and their words, for census.py: no concurrency here."""
import errno
import heapq
import os
import stat
from collections import Counter

WORD_MAX = 64            # bytes; longer runs of letters are data
BINARY_BYTES = 8192      # a file with a zero among so many is no text
BLOCK_BYTES = 64 << 10

# Letters as small letters, bytes from 0x80 on as they are, all else as a space.
FOLD = bytes(c | 0x20 if 65 <= c <= 90 else c if 97 <= c <= 122 or c >= 0x80 else 0x20 for c in range(256))
REASONS = {errno.ENOENT: "vanished", errno.ENOTDIR: "vanished", errno.ELOOP: "symlink", errno.ENXIO: "special"}


def reason(error):
    """What an OSError says about a file that was there a moment ago."""
    return REASONS.get(error.errno, "unreadable")


def ranking(pair):
    """The order of (word, count): frequent ones first, then by their bytes."""
    return -pair[1], pair[0]


def most_frequent(words, top):
    """So many (word, count), in order; 0: all."""
    top = top or len(words)
    least = min(heapq.nlargest(top, words.values()), default=0)
    return sorted((pair for pair in words.items() if pair[1] >= least), key=ranking)[:top]


class Skip(Exception):
    """(why, more): a file is not counted, or not to its end."""


class Text:
    """A file to be read for a job: its `words`, and after that `why` it was skipped (cut_short: what came before counts) or None, with `more` about it."""

    def __init__(self, path, job):
        self.path, self.shortest, self.size_max = path, job["min_length"], job["max_size"]
        self.size, self.why, self.more = 0, None, ""
        self._words, self._tail = Counter(), b""

    def read(self):
        """Reads and counts one block after another, and yields in between."""
        try:
            for block in self._blocks():
                text = self._tail + block.translate(FOLD)
                words = text.split()
                self._tail = b"" if text.endswith(b" ") else words.pop()
                self._words.update(words)
                self.size += len(block)
                yield
        except Skip as skip:
            self.why, self.more = skip.args
        except OSError as e:
            self.why, self.more = "cut_short" if self.size else reason(e), e.strerror
        self._words[self._tail] += 1

    def _blocks(self):
        fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)  # it may have become a pipe
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise Skip("special", "")
            if facts.st_size > self.size_max:
                raise Skip("huge", f"{facts.st_size / 1e6:,.1f} MB")
            while self.size < self.size_max and (block := os.read(fd, min(BLOCK_BYTES, self.size_max - self.size))):
                if self.size == 0 and 0 in block[:BINARY_BYTES]:
                    raise Skip("binary", "")
                yield block
            if self.size == self.size_max and os.read(fd, 1):
                raise Skip("cut_short", "it outgrew --max-size while it was read")
        finally:
            os.close(fd)

    def words(self):
        """How often each word stands in what was read."""
        return {word: n for word, n in self._words.items() if self.shortest <= len(word) <= WORD_MAX}

    def end(self):
        """How it ended: (path, why, more, bytes read)."""
        return self.path, self.why, self.more, self.size


class Walk:
    """What is in a job's trees, of which links are not followed: ("file", path, bytes to read), ("skipped", path, why, more), ("directory", path, error).

    `found` counts files and skipped ones so far. It ends before one that is more than the job wants: then it is `capped`.
    """

    def __init__(self, job):
        self.job, self.found, self.total, self.capped = job, 0, 0, False

    def __iter__(self):
        for entry in self._all():
            if entry[0] != "directory":
                size = entry[2] if entry[0] == "file" else 0
                self.capped = self.found == self.job["max_files"] or self.total + size > self.job["max_total"]
                if self.capped:
                    return
                self.found, self.total = self.found + 1, self.total + size
            yield entry

    def _all(self):
        for path in self.job["paths"]:
            pending = []
            yield from self._look(path, pending)
            while pending:
                directory = pending.pop()
                try:
                    names = os.listdir(directory)
                except OSError as e:
                    yield "directory", directory, e.strerror
                    continue
                yield "directory", directory, None
                for name in names:
                    yield from self._look(os.path.join(directory, name), pending)

    def _look(self, path, pending):
        try:
            facts = os.lstat(path)
        except OSError as e:
            yield "skipped", path, reason(e), e.strerror
            return
        if stat.S_ISDIR(facts.st_mode):
            pending.append(path)
        elif stat.S_ISREG(facts.st_mode):
            yield "file", path, facts.st_size if facts.st_size <= self.job["max_size"] else 0
        else:
            yield "skipped", path, "symlink" if stat.S_ISLNK(facts.st_mode) else "special", ""
