#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What census must find: one thread, one file after the other, whole files in memory, no cleverness.

    census_reference.py [--min-length N] [--max-size BYTES] PATH...

prints the same JSON as `census --json --top 0`, without the figures that are about census itself.
"""
import argparse
import collections
import errno
import json
import os
import stat

WORD_MAX = 64
BINARY_BYTES = 8192
WHYS = ("binary", "symlink", "special", "huge", "unreadable", "vanished", "cut_short", "crashed")

# Every byte as census sees it: small letters and bytes from 0x80 on are letters, all else separates words.
FOLD = bytes(c | 0x20 if 0x41 <= c <= 0x5A else c if 0x61 <= c <= 0x7A or c >= 0x80 else 0x20 for c in range(256))


class Census:
    def __init__(self, min_length=4, max_size=16 << 20):
        self.min_length = min_length
        self.max_size = max_size
        self.words = collections.Counter()
        self.skipped = collections.Counter()
        self.names = collections.defaultdict(list)
        self.found = self.counted = self.bytes = 0
        self.directories = self.directories_skipped = 0

    def count_words(self, data):
        for word in data.translate(FOLD).split(b" "):
            if self.min_length <= len(word) <= WORD_MAX:
                self.words[word] += 1

    def skip(self, why, path):
        self.skipped[why] += 1
        self.names[why].append(path)

    def file(self, path, mode):
        self.found += 1
        if stat.S_ISLNK(mode):
            return self.skip("symlink", path)
        if not stat.S_ISREG(mode):
            return self.skip("special", path)
        try:
            with open(path, "rb", buffering=0) as f:
                if os.fstat(f.fileno()).st_size > self.max_size:
                    return self.skip("huge", path)
                data = f.readall()
        except FileNotFoundError:
            return self.skip("vanished", path)
        except OSError:
            return self.skip("unreadable", path)
        if b"\0" in data[:BINARY_BYTES]:
            return self.skip("binary", path)
        self.counted += 1
        self.bytes += len(data)
        self.count_words(data)

    def visit(self, path):
        """Pending directories are kept in a list, as a deep tree is deeper than Python's stack."""
        pending = [path]
        while pending:
            path = pending.pop()
            try:
                mode = os.lstat(path).st_mode
            except OSError as e:
                self.found += 1
                self.skip("vanished" if e.errno in (errno.ENOENT, errno.ENOTDIR) else "unreadable", path)
                continue
            if not stat.S_ISDIR(mode):
                self.file(path, mode)
                continue
            try:
                names = os.listdir(path)
                self.directories += 1
                pending += [os.path.join(path, name) for name in names]
            except OSError:
                self.directories_skipped += 1

    def result(self):
        return {
            "found": self.found,
            "counted": self.counted,
            "skipped": {why: self.skipped[why] for why in WHYS},
            "directories": self.directories,
            "directories_skipped": self.directories_skipped,
            "bytes": self.bytes,
            "words": sum(self.words.values()),
            "distinct": len(self.words),
            "top": [[word.decode("utf-8", "surrogateescape"), count]
                    for word, count in sorted(self.words.items(), key=lambda item: (-item[1], item[0]))],
        }


def census(paths, **how):
    c = Census(**how)
    for path in dict.fromkeys(os.fsencode(p) for p in paths):
        c.visit(os.path.realpath(path) if os.path.islink(path) else path)
    return c


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--min-length", type=int, default=4)
    parser.add_argument("--max-size", type=int, default=16 << 20)
    parser.add_argument("paths", nargs="+")
    args = parser.parse_args()
    print(json.dumps(census(args.paths, min_length=args.min_length, max_size=args.max_size).result(), indent=1))


if __name__ == "__main__":
    main()
