# SPDX-License-Identifier: Apache-2.0
"""What a person or a program sees of census.py: the command line, the live line, the report. Exit codes are those of census."""
import argparse
import collections
import glob
import json
import math
import os
import re
import resource
import signal
import sys
import time

import census_files

BAR_COLUMNS, WORD_COLUMNS, PATH_COLUMNS, WORKERS_SHOWN = 40, 24, 100, 16
WORKERS_MAX, READERS_EACH, KILL_SECONDS = 64, 100, 0.5
SPINNER, TICK = "|/-\\", 0.1
DEFAULT_PATHS = ["/usr/share/doc", "/usr/include", "/usr/lib/python3*", "/usr/share/perl*", "/usr/share/man", "/usr/share/*"]
DEFAULT_FILES_MAX, DEFAULT_TOTAL_MAX = 20000, 300 << 20  # half of what census counts
WHYS = {
    "binary": "binary",
    "symlink": "symbolic links",
    "special": "pipes, sockets, devices",
    "huge": "larger than --max-size",
    "unreadable": "unreadable",
    "vanished": "vanished before being read",
    "cut_short": "counted in part",
    "crashed": "reader crashed",
}


class Worker:
    """What one of them has done: files, their bytes, and how often it has died."""

    def __init__(self):
        self.files = self.bytes = self.deaths = 0


class Result:
    """What a run has found. Law: found = counted + the sum of skipped."""

    def __init__(self, job):
        self.job = job
        self.started = self.next_line = time.monotonic()
        self.elapsed = 0.0
        self.found = None  # not known before the walk's end
        self.ended = self.counted = self.read = 0  # read: by a reader, to the end or to where it was skipped
        self.skipped = collections.Counter()
        self.names = collections.defaultdict(list)
        self.at, self.directories, self.closed = "", 0, []
        self.bytes = self.words = self.distinct = 0
        self.top = []
        self.peak = self.messages = self.processes = 0
        self.complete = False
        self.workers = [Worker() for _ in range(job["workers"])]
        self.shot = self.again = 0  # workers that --kill-workers has shot; files that had to be done again
        self.capped, self.signal = False, 0

    def add(self, message):
        """Takes a message of the other processes, or None when there has been none for a while."""
        if message:
            kind, *facts = message
            self.messages += 1
            getattr(self, "_" + kind)(*facts)
        if self.job["live"] and time.monotonic() >= self.next_line:
            self.next_line = time.monotonic() + TICK
            live(self)

    def _ended(self, place, path, why, more, size):
        self.read += 1
        self.bytes += size
        self.workers[place].files += 1
        self.workers[place].bytes += size
        if why is None:
            self.ended, self.counted = self.ended + 1, self.counted + 1
        else:
            self._skipped(path, why, more)

    def _skipped(self, path, why, more):
        self.ended += 1
        self.skipped[why] += 1
        if len(self.names[why]) < self.job["examples"]:
            self.names[why].append((path, more))

    def _died(self, shot, reason, place, again, culprit):
        """A worker; again: files that it had in hand, to be done by somebody else. The culprit is a file that nobody gets again."""
        self.workers[place].deaths += 1
        self.shot, self.again = self.shot + shot, self.again + again
        if culprit:
            self.read += 1
            self._skipped(culprit, "crashed", reason)
        if self.job["live"]:
            how = "was shot" if shot else f"has died, {reason},"
            event(f"worker {place} {how} with {again:,} files in hand; they are done again")

    def _directory(self, path, error):
        if error is None:
            self.at, self.directories = path, self.directories + 1
        else:
            self.closed.append((path, error))

    def _walked(self, found, peak, capped):
        self.found, self.peak, self.capped = found, peak, capped

    def _words(self, words):
        self.complete, self.words, self.distinct = True, sum(words.values()), len(words)
        self.top = census_files.most_frequent(words, self.job["top"])

    def end(self):
        self.elapsed = time.monotonic() - self.started
        self.processes = self.read + 2 * len(self.workers) + sum(worker.deaths for worker in self.workers) + 1  # readers, overseers, crews, the foreman
        self.messages += 2 * self.read  # the words and the Downs of readers
        if self.found != self.counted + sum(self.skipped.values()):
            raise AssertionError(f"{self.found} files, but {self.counted} counted and {self.skipped}")


def on_signal(result, stop):
    """The first Ctrl-C calls stop(), and files in hand are finished; the second one ends the program."""

    def first(number, _):
        result.signal = number
        stop()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, first)


# ------------------------------------------------------------------------------------------------ for people


def shown(text, columns=0):
    """Words and names with nothing in them that a terminal would obey."""
    text = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if not columns or len(text) <= columns else text[: columns - 3] + "..."


def bar(share, columns):
    block = "\u2588" if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else "#"
    return paint("36", block * round(share * columns))


def paint(code, text):
    plain = not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb" or os.environ.get("NO_COLOR")
    return text if plain else f"\033[{code}m{text}\033[0m"


def live(result):
    """One line on a terminal, over the one before."""
    workers = f"{len(result.workers)} workers{', ' + str(result.shot) + ' shot' if result.shot else ''}  " if len(result.workers) > 1 else ""
    seconds = max(time.monotonic() - result.started, 1e-9)
    line = f"{SPINNER[int(seconds * 10) % 4]} {result.ended:,} files  {result.bytes / 1e6:,.0f} MB  {result.ended / seconds:,.0f} files/s  "
    line += f"{result.bytes / 1e6 / seconds:,.0f} MB/s  {workers}{shown(result.at)}"
    print("\r\033[K" + line[: (os.get_terminal_size(2).columns or 80) - 1], end="", file=sys.stderr, flush=True)


def event(text):
    """A line that stays, above the live one."""
    print("\r\033[K" + paint("33", text), file=sys.stderr, flush=True)


def report(result):
    job = result.job
    if result.signal:
        print(paint("33", "interrupted: this is what was counted so far") + "\n")
    of = "this machine's documentation and headers" if job["everything"] else " ".join(shown(path, PATH_COLUMNS // 2) for path in job["paths"][:5])
    most = f", {limits(job)} at most" if job["everything"] and limits(job) else ""
    print(f"census of {of}{most}: words of {job['min_length']} letters and more, in Python, {workers_of(job)}\n")
    for word, count in result.top:
        print(f"  {paint('1', shown(word, WORD_COLUMNS).ljust(WORD_COLUMNS))} {count:11,}  {bar(count / result.top[0][1], BAR_COLUMNS)}")
    print("" if result.top else "  no words\n")
    for why, text in WHYS.items():
        skips(result.skipped[why], text, result.names[why])
    skips(len(result.closed), "unreadable directories", result.closed[:1])
    figures(result)
    if result.capped:
        print(f"  there is more: it stopped at --max-files or --max-total ({limits(job)})\n")


def workers_of(job):
    return "one worker" if job["workers"] == 1 else f"{job['workers']} workers"


def limits(job):
    files, megabytes = job["max_files"], job["max_total"] / 1e6
    return " or ".join([f"{files:,} files"] * (files < math.inf) + [f"{megabytes:,.0f} MB"] * (megabytes < math.inf))


def skips(count, text, names):
    if count:
        print(f"  {paint('33', f'{count:13,}')}  {text}")
    for path, more in names:
        print(paint("2", f"  {'':15}{shown(path, PATH_COLUMNS)}" + (f": {shown(more, PATH_COLUMNS)}" if more else "")))


def figures(result):
    seconds = max(result.elapsed, 1e-9)
    print(f"\n  files        {result.found:,} found = {result.counted:,} counted + {result.found - result.counted:,} skipped, in {result.directories:,} directories")
    print(f"  text         {result.bytes / 1e6:,.1f} MB, {result.words:,} words, {result.distinct:,} of them different")
    print(f"  time         {result.elapsed:.2f} s   {paint('32', f'{result.found / seconds:,.0f} files/s   {result.bytes / 1e6 / seconds:,.1f} MB/s')}", end="")
    print(f"   {paint('32', f'{result.messages / seconds:,.0f} messages/s')}")
    print(f"  processes    {result.processes:,} created, {result.peak:,} files in flight at once   {result.messages:,} messages")
    mine, theirs = (resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    more = f", and {theirs} MB in the largest other worker" if len(result.workers) > 1 else ", all told"
    print(f"  memory       {mine} MB at most{more}\n")
    if len(result.workers) > 1:
        workers(result)


def workers(result):
    """Who has done how much, and what it went through."""
    most = max(1, *(worker.files for worker in result.workers))
    for number, worker in enumerate(result.workers[:WORKERS_SHOWN]):
        text = f"  {'worker ' + str(number):12} {worker.files:9,} files  {worker.bytes / 1e6:8,.1f} MB  {bar(worker.files / most, BAR_COLUMNS // 2)}"
        print(text + (paint("33", f"  died {times(worker.deaths)}") if worker.deaths else "") + ("" if number else "  this program"))
    if len(result.workers) > WORKERS_SHOWN:
        print(f"  {'':12} and {len(result.workers) - WORKERS_SHOWN} more workers")
    print()
    if result.job["kill_workers"]:
        shots = paint("33", f"workers were shot {times(result.shot)}")
        print(f"  {shots}: {result.again:,} files that they had in hand were done again, and each counts once\n")


def times(n):
    return {1: "once", 2: "twice"}.get(n, f"{n:,} times")


# ---------------------------------------------------------------------------------------------- for programs


def text_of(name):
    return name.decode("utf-8", "surrogateescape")


def as_json(result):
    job = result.job
    return {
        "min_length": job["min_length"],
        "max_length": census_files.WORD_MAX,
        "max_size": job["max_size"],
        "interrupted": bool(result.signal),
        "capped": result.capped,
        "found": result.found,
        "counted": result.counted,
        "skipped": {why: result.skipped[why] for why in WHYS},
        "examples": {why: [text_of(path) for path, _ in result.names[why]] for why in WHYS},
        "directories": result.directories,
        "directories_skipped": len(result.closed),
        "bytes": result.bytes,
        "words": result.words,
        "distinct": result.distinct,
        "elapsed_ns": int(result.elapsed * 1e9),
        "processes": result.processes,
        "messages": result.messages,
        "in_flight": result.peak,
        "workers": [{"files": worker.files, "bytes": worker.bytes, "deaths": worker.deaths} for worker in result.workers],
        "shot": result.shot,
        "done_again": result.again,
        "top": [[text_of(word), count] for word, count in result.top],
    }


# ---------------------------------------------------------------------------------------------- command line


def whole(least, most=math.inf):
    def number(text):
        if not re.fullmatch(r"\d{1,18}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least}" + (f" to {most}" if most < math.inf else " on"))
        return int(text)

    return number


def size(text):
    found = re.fullmatch(r"(\d{1,12})([KMG]?)", text.upper())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, as 500K, 16M or 1G")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]]


def seconds(text):
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, as 0.5")
    return float(text)


def job_of(arguments):
    parser = argparse.ArgumentParser(prog="census.py", description="Counts the words in files and directory trees, with one mote process per file.")
    parser.add_argument("--top", type=whole(0), default=20, metavar="N", help="words to show (20; 0: all)")
    parser.add_argument("--min-length", type=whole(1, census_files.WORD_MAX), default=4, metavar="N", help="bytes a word has at least (4)")
    parser.add_argument("--max-size", type=size, default=16 << 20, metavar="SIZE", help="skip larger files (16M)")
    parser.add_argument("--max-files", type=whole(0), metavar="N", help="stop after so many files")
    parser.add_argument("--max-total", type=size, metavar="SIZE", help="stop after so many bytes")
    parser.add_argument("--max-readers", type=whole(1), metavar="N", help="files in flight at once (100 for each worker)")
    parser.add_argument("--examples", type=whole(0), default=2, metavar="N", help="skipped files to name for each reason (2)")
    parser.add_argument("--workers", type=whole(1, WORKERS_MAX), metavar="N", help="interpreters that count, each an OS process (one for each core)")
    kill = f"shoot each worker but this program (SIGKILL) at random, after so many seconds on average ({KILL_SECONDS}); the counts stay right"
    parser.add_argument("--kill-workers", type=seconds, nargs="?", metavar="=SECONDS", help=kill)
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="this machine's documentation and headers, 20,000 files of them at most")
    job = vars(parser.parse_args([f"{word}={KILL_SECONDS}" if word == "--kill-workers" else word for word in arguments]))  # what follows is a path
    least = 2 if job["kill_workers"] else 1
    if job["workers"] is not None and job["workers"] < least:
        parser.error("--kill-workers takes two workers and more: worker 0 is the program itself")
    workers = job["workers"] or max(least, min(len(os.sched_getaffinity(0)), WORKERS_MAX))
    job.update(workers=workers, max_readers=job["max_readers"] or READERS_EACH * workers)
    everything = not job["paths"]
    paths = [path for pattern in DEFAULT_PATHS for path in sorted(glob.glob(pattern)) if os.path.isdir(path) and not os.path.islink(path)]
    for path in job["paths"]:
        try:
            os.stat(path)
        except OSError as e:
            parser.error(f"cannot look at {path!r}: {e.strerror}")
    paths = paths if everything else [os.path.realpath(path) if os.path.islink(path) else path for path in job["paths"]]
    files_max, total_max = (DEFAULT_FILES_MAX, DEFAULT_TOTAL_MAX) if everything else (0, 0)
    files_max = files_max if job["max_files"] is None else job["max_files"]
    total_max = total_max if job["max_total"] is None else job["max_total"]
    seen = not job["json"] and sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    job.update(paths=[os.fsencode(path) for path in dict.fromkeys(paths)], everything=everything, live=seen)
    job.update(max_files=files_max or math.inf, max_total=total_max or math.inf)  # 0: no limit
    return job


def main(arguments, reduce):
    """Gives the exit code."""
    job = job_of(arguments)
    result = Result(job)
    reduce(job, result)
    result.end()
    if job["live"]:
        print("\r\033[K", end="", file=sys.stderr)
    try:
        if job["json"]:
            print(json.dumps(as_json(result), indent=1))
        else:
            sys.stdout.reconfigure(errors="backslashreplace")
            report(result)
        sys.stdout.flush()
    except OSError as e:
        print(f"census.py: cannot write the report: {e.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of it would fail again at the end
        return 1
    return 128 + result.signal if result.signal else 0
