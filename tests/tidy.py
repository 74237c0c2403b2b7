#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the house's rules (CONTRIBUTING.md) that a program can check; says what, where and what to do.

  tests/tidy.py                      all rules over the tree
  tests/tidy.py --library FILE       the exported symbols of the built library against the public headers and the tests
  tests/tidy.py --self-test          plants a violation of each rule in a tree of its own and sees that it is found
"""
import argparse
import ast
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import header

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 1500
CODE_LINES_MAX = {"examples/census.py": 60}  # what is to be read in two minutes: without blank lines, comments and docstrings
HEADER_LINES_MAX = 25

# What a folder of src/ may include besides itself and mote/mote.h; lib: besides itself and all of mote/.
LAYERS = {
    "base": set(),
    "term": {"base"},
    "sched": {"base"},
    "proc": {"base", "sched", "term"},
    "worker": {"base", "sched", "term", "proc"},
    "net": {"base", "sched"},
    "dist": {"base", "term", "proc", "net"},
    "lib": set(),
}
# Programs and bindings see the public headers alone, and their own files.
OUTSIDE = ("cli", "bench", "examples", "python")

# Functions longer than FUNCTION_LINES_MAX: (file, function): why.
LONG_FUNCTIONS = {}

OS_CALLS = """
    mmap munmap mremap mprotect madvise mlock brk sbrk syscall futex
    pthread_create pthread_join pthread_detach pthread_kill pthread_sigmask pthread_setname_np pthread_mutex_\\w+ pthread_cond_\\w+
    clock_gettime clock_nanosleep nanosleep usleep sleep gettimeofday time
    fork vfork execve execvp posix_spawn waitpid kill raise signal sigaction sigaltstack sigprocmask
    open openat close read write readv writev pipe pipe2 eventfd epoll_\\w+ poll ppoll select socket bind listen accept accept4 connect
    getrandom getentropy rand random getenv secure_getenv sysconf sched_yield sched_getaffinity getrusage prctl
    malloc calloc realloc free aligned_alloc posix_memalign strdup strndup
    printf fprintf puts fputs fopen perror exit _exit
""".split()
# Where else than in base/os.c: file: (calls, why).
OS_EXCEPTIONS = {
    "src/base/lock.c": (r"pthread_mutex_\w+", "it is the mutex"),
    "src/base/segv.c": (r"sig\w+|raise|pthread_mutex_\w+", "it is the fault handler; see segv.h"),
    "src/sched/poll.c": (r"p?poll|epoll_\w+|syscall", "it is the poller; the C library may not know epoll_pwait2"),
    "src/lib/application.c": (r"pthread_sigmask|_exit", "a program's signals and exit codes are what it is for"),
    "src/proc/runtime.c": (r"getenv", "MOTE_SCHEDULERS, read once at start"),
    "src/dist/node.c": (r"getenv", "ERL_EPMD_PORT, as Erlang's nodes read it, and what `mote run` says, once at start"),
    "src/dist/cookie.c": (r"getenv", "HOME and MOTE_COOKIE_FILE, once at start"),
}
# Files that may depend on the processor or the system.
PLATFORM_FILES = re.compile(r"src/(base/(os|atomic|segv)|sched/switch)\w*\.[chS]$")
PLATFORM = re.compile(r"__linux__|__APPLE__|__FreeBSD__|__x86_64__|__aarch64__|\b__asm__\b(?!\s*(?:volatile)?\s*\(\"\"[ :)])|\b__?builtin_ia32_\w+")

TEXT = {".c", ".h", ".S", ".def", ".py", ".pyi", ".md", ".txt", ".build", ".map", ".cross", ".pml", ".sh", ".erl", ".go", ".7", ""}
SPDX_NEEDED = {".c", ".h", ".S", ".def", ".py", ".pyi", ".pml", ".cross", ".sh", ".erl", ".go"}
UNFINISHED = re.compile(r"\b(FIX" r"ME|TO" r"DO|XX" r"X|HA" r"CK)\b")
TOOL_TAG = re.compile(r"NO[L]INT|clang-format o[fn]|cppcheck-suppres[s]|[#] ?noqa|shellcheck disabl[e]|Co-authored-b[y]|Generated b[y]", re.I)
PRIVATE_PATH = re.compile(r"(?<![\w.)])/(work|home|Users|root|workspace)/[\w.]")
ISSUE = re.compile(r"\b(issue|ticket|bug|fixes|closes|PR)s? ?[#]?\d+\b|(?<![\w&/#(\]])[#]\d{1,6}\b(?!\})|/(issues|pull)/\d+", re.I)


class Source:
    """A file: its lines, and for C its code with comments, strings and preprocessor lines blanked out."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.suffix = path.suffix
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.split("\n")
        self.is_c = path.suffix in (".c", ".h")
        self.is_test = self.path.startswith("tests/") or self.path.endswith("_test.c")
        self.bare = blank(self.text) if self.is_c else ""  # without comments and strings
        self.code = re.sub(r"^[ \t]*#(.*\\\n)*.*", lambda m: re.sub(r"[^\n]", " ", m[0]), self.bare, flags=re.M)

    def line_of(self, position):
        return self.text.count("\n", 0, position) + 1

    def find(self, pattern, text=None):
        for match in re.finditer(pattern, self.text if text is None else text):
            yield self.line_of(match.start()), match


def blank(text):
    """C text with the insides of comments, strings and characters replaced by spaces."""
    pattern = r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|(?<![\w])'(?:\\.|[^'\\\n])*'"
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)


def functions(source):
    """(name, first line, last line) of each function of a C file."""
    code, depth, start, name, begin = source.code, 0, 0, None, 0
    for match in re.finditer(r"[{};]", code):
        at, c = match.start(), match[0]
        if c == "{":
            head = code[start:at]
            if depth == 0 and head.strip() == "extern":
                start = at + 1
                continue
            if depth == 0:
                plain = re.sub(r"__attribute__\s*\(\(.*?\)\)|_Alignas\s*\([^)]*\)", "", head)
                call = re.search(r"(\w+)\s*\(", plain)
                name = call[1] if call and "=" not in plain and not re.match(r"\s*(struct|union|enum)\s*\w*\s*$", plain) else None
                begin = source.line_of(start + len(head) - len(head.lstrip()))
            depth += 1
        elif c == "}":
            depth -= 1
            if depth <= 0:
                if depth == 0 and name:
                    yield name, begin, source.line_of(at)
                depth, start, name = 0, at + 1, None
        elif depth == 0:
            start = at + 1


# ------------------------------------------------------------------------------------------------- rules
# Each takes all sources and yields (path, line, what is wrong, what to do).


def rule_layers(sources):
    """a folder includes only folders above it"""
    for source in sources:
        parts = source.path.split("/")
        if not source.is_c or parts[0] not in ("src", *OUTSIDE) or (parts[0] == "src" and len(parts) < 3):
            continue
        allowed = LAYERS.get(parts[1], set()) | {parts[1]} if parts[0] == "src" else set()
        if source.path.startswith("src/lib/"):
            for line, match in source.find(r"(?m)^[ \t]*#[ \t]*include[ \t]*<([^>]+)>"):
                if re.match(r"gmp|openssl", match[1]):
                    yield source.path, line, f"src/lib includes <{match[1]}>", "use the public headers and libc alone"
        for line, match in source.find(r'(?m)^[ \t]*#[ \t]*include[ \t]*"([^"]+)"'):
            name = match[1]
            if re.fullmatch(r"mote/mote\.h" if parts[0] == "src" else r"mote/\w+\.h", name) or (source.is_test and name in ("check.h", "crl.h", "hex.h", "live.h", "nodes.h")):
                continue
            folder = name.split("/")[0] if "/" in name else None
            if parts[0] == "src" and folder not in allowed:
                may = ", ".join(sorted(allowed))
                yield source.path, line, f'src/{parts[1]} includes "{name}"', f"include only {may} (with the folder in the name), or move the code"
            if parts[0] != "src" and folder in LAYERS:
                yield source.path, line, f'{parts[0]} includes "{name}"', "use the headers in mote/ alone"


def rule_public_header(sources):
    """public headers include libc and each other only"""
    for source in sources:
        if source.path.startswith("include/mote/"):
            for line, match in source.find(r"(?m)^[ \t]*#[ \t]*include[ \t]*(.*)$"):
                other = source.path != "include/mote/mote.h" and re.fullmatch(r"<mote/\w+\.h>", match[1])
                if match[1] not in ("<stdbool.h>", "<stddef.h>", "<stdint.h>") and not other:
                    what = f"{source.path.removeprefix('include/mote/')} includes {match[1]}"
                    yield source.path, line, what, "keep to stdbool, stddef and stdint; make the type opaque"


def rule_function_length(sources):
    """functions are short"""
    for source in sources:
        found = functions(source) if source.is_c else python_functions(source) if source.suffix == ".py" else ()
        for name, first, last in found:
            if last - first + 1 > FUNCTION_LINES_MAX and (source.path, name) not in LONG_FUNCTIONS:
                yield (source.path, first, f"{name} has {last - first + 1} lines, the limit is {FUNCTION_LINES_MAX}",
                       "take a part out that has a name of its own (a dispatch switch: list it in LONG_FUNCTIONS)")


def python_functions(source):
    try:
        tree = ast.parse(source.text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno


def rule_file_length(sources):
    """files are not endless"""
    for source in sources:
        if len(source.lines) > FILE_LINES_MAX and source.suffix in (".c", ".h", ".py", ".S"):
            yield source.path, FILE_LINES_MAX, f"{len(source.lines)} lines, the limit is {FILE_LINES_MAX}", "split it where its laws split"


def rule_code_length(sources):
    """what promises to be short is"""
    for source in (one for one in sources if one.path in CODE_LINES_MAX):
        lines, most = code_lines(source), CODE_LINES_MAX[source.path]
        if len(lines) > most:
            yield source.path, lines[most], f"{len(lines)} lines of code, the limit is {most}", "move what is not its subject into a file beside it"


def code_lines(source):
    """The numbers of a Python file's lines that have code."""
    strings = set()
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            strings.update(range(node.lineno, node.end_lineno + 1))
    return [n for n, line in enumerate(source.lines, 1) if line.strip() and not line.strip().startswith("#") and n not in strings]


def rule_header_contract(sources):
    """an inner header starts with its contract"""
    for source in sources:
        if not (source.path.startswith("src/") and source.suffix == ".h"):
            continue
        end = source.text.find("*/")
        first = source.text[:end] if source.text.startswith("/*") and end > 0 else ""
        words = re.sub(r"SPDX-License-Identifier: \S+", "", header.comment_text(first.split("\n")))
        if not re.search(r"\w.*[.:](\s|$)", words):
            yield source.path, 1, "no contract at the top", "say in a sentence what it is, then who may call it and its laws"
        elif first.count("\n") + 1 > HEADER_LINES_MAX:
            yield source.path, 1, f'a contract of {first.count(chr(10)) + 1} lines, the limit is {HEADER_LINES_MAX}', "put the why into docs/design"


def rule_labels(sources):
    """fields that threads share are labelled"""
    label = re.compile(r"/\*\s*(const\b|owner\b|lock: ?\w|atomic\b)")
    head = re.compile(r"struct (\w+)[^{};]*\{[ \t]*/\* MT_SHARED \*/")
    shared = {match[1] for source in sources if source.is_c for match in head.finditer(source.text)}
    for source in (one for one in sources if one.is_c):
        for match in head.finditer(source.text):
            body = source.text[match.end() : match.end() + source.bare[match.end() :].find("\n}")]
            for offset, text in unlabelled(body, label):
                kind = re.match(r"(?:_Alignas\(\w+\) )?(?:struct )?(\w+) ", text)
                if not (kind and (kind[1] == "mt_lock" or kind[1] in shared)):  # these have labels of their own
                    line = source.line_of(match.end()) + offset
                    yield source.path, line, f"no label: {text}", "say what guards it: const, owner, lock: x, or atomic: order, pairs"


def unlabelled(body, label):
    """(line, field) of a struct's fields that have no label: on their line, above their group, or where a nested one ends."""
    group, depth, inner = False, 0, []
    for offset, text in enumerate(body.split("\n")):
        bare = blank(text).strip()
        labelled = bool(label.search(text))
        if not text.strip():
            group = False
        elif text.strip().startswith("/*") and not bare:
            group = labelled
        elif bare and not (group or labelled):
            inner.append((offset, bare))
        depth += bare.count("{") - bare.count("}")
        if depth == 0 and bare.endswith(";"):
            if not (labelled and bare.startswith("}")):
                yield from ((n, field) for n, field in inner if field.endswith(";") and not field.startswith("}"))
            inner = []


def rule_unfinished(sources):
    """nothing is left for later"""
    for source in sources:
        for line, match in source.find(UNFINISHED):
            yield source.path, line, f"{match[0]}", "do it, or leave it out"
        if source.is_c:
            for line, _ in source.find(r"(?m)^[ \t]*#[ \t]*if[ \t]+0\b"):
                yield source.path, line, "dead code under #if " + "0", "delete it"


def rule_conditionals(sources):
    """no #if inside a function"""
    for source in (one for one in sources if one.path.startswith("src/") and one.suffix == ".c" and not one.is_test):
        spans = [(first, last) for _, first, last in functions(source)]
        for line, match in source.find(r"(?m)^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)\b", source.bare):
            if any(first < line < last for first, last in spans):
                yield source.path, line, f"#{match[1]} inside a function", "make two functions, or a constant that the compiler folds"


def rule_sleeps(sources):
    """tests do not sleep"""
    for source in (one for one in sources if one.is_test):
        text = source.code if source.is_c else source.text if source.suffix in (".py", "") else ""
        for line, match in source.find(r"\b(usleep|nanosleep|clock_nanosleep|time\.sleep)\s*\(|(?<![\w_.])sleep\s*\(|^\s*sleep \d", text):
            if source.path != "tests/tidy.py":
                yield source.path, line, f"a test sleeps: {match[0].strip()}", "wait for the event, or use a virtual clock"


def rule_spdx(sources):
    """each source names its licence"""
    for source in sources:
        script = source.text.startswith("#!")
        if (source.suffix in SPDX_NEEDED or script) and "SPDX-License-" + "Identifier: Apache-2.0" not in "\n".join(source.lines[:3]):
            yield source.path, 1, "no SPDX line", "write SPDX-License-" + "Identifier: Apache-2.0 into the first comment"


def rule_strangers(sources):
    """no tags of tools, no private paths, no numbers of issues"""
    for source in sources:
        if source.path in ("LICENSE", "tests/tidy.py"):
            continue
        for line, match in source.find(TOOL_TAG):
            yield source.path, line, f"a tool's tag: {match[0]}", "write it so that no tag is needed"
        for line, match in source.find(PRIVATE_PATH):
            yield source.path, line, f"a path of one machine: {match[0]}", "use a path relative to the tree"
        words = source.text
        if source.is_c:  # in C only comments speak; "16#ff" and friends are Erlang
            words = "".join(a if a == b or b == " " else " " for a, b in zip(source.text, source.bare))
            words = "".join(a if b == " " else "\n" if a == "\n" else " " for a, b in zip(source.text, source.bare))
            words = re.sub(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", lambda m: " " * len(m[0]), words)
        if source.suffix in (".c", ".h", ".md", ".py", ".build", ".txt"):
            for line, match in source.find(ISSUE, words):
                yield source.path, line, f"a number of an issue: {match[0]}", "say what it is about"


def rule_wall_clock(sources):
    """the core never reads the wall clock"""
    for source in (one for one in sources if one.path.startswith("src/") and one.is_c):
        for line, match in source.find(r"\b(CLOCK_REALTIME|gettimeofday|localtime|gmtime)\b", source.bare):
            yield source.path, line, f"{match[0]}", "use mt_os_now_ns()"


def rule_os_calls(sources):
    """only base/os.c calls the operating system"""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(OS_CALLS) + r")\s*\((?!\s*\*)")
    for source in (one for one in sources if one.path.startswith("src/") and one.is_c and not one.is_test):
        if re.match(r"src/base/os\w*\.[ch]$", source.path):
            continue
        own = {name for name, _, _ in functions(source)}
        excepted = OS_EXCEPTIONS.get(source.path, ("(?!)", ""))[0]
        for line, match in source.find(pattern, source.code):
            name = match[1]
            declared = re.search(r"\w[ *]+$", source.code[max(0, match.start() - 40) : match.start()].split("\n")[-1])
            if name in own or re.fullmatch(excepted, name) or (declared and not re.search(r"\breturn $", declared.string)):
                continue
            yield source.path, line, f"calls {name}()", "go through base/os.h (a needed exception stands in OS_EXCEPTIONS with its reason)"


def rule_platform(sources):
    """what depends on system or processor stands in base/os, base/atomic.h and sched/switch"""
    for source in (one for one in sources if one.is_c and one.path.startswith(("src/", "include/")) and not one.is_test):
        if not PLATFORM_FILES.match(source.path):
            for line, match in source.find(PLATFORM):
                if source.bare[match.start() : match.end()] != match[0]: # in a comment
                    continue
                yield source.path, line, f"{match[0]}", "move it behind base/os.h, base/atomic.h or sched/switch.h"


def rule_errors(sources):
    """err.def and the enum of mote.h are the same list"""
    texts = {source.path: source.text for source in sources}
    if "include/mote/mote.h" not in texts or "src/base/err.def" not in texts:
        return
    enum = re.findall(r"MOTE_[A-Z]+", re.search(r"typedef enum mote_err \{(.*?)\}", texts["include/mote/mote.h"], re.S)[1])
    listed = ["MOTE_" + name for name in re.findall(r"^X\((\w+)", texts["src/base/err.def"], re.M)]
    if enum != listed:
        odd = sorted(set(enum) ^ set(listed)) or "the order"
        yield "src/base/err.def", 1, f"differs from enum mote_err in {odd}", "list each code in both, in one order"


def rule_version(sources):
    """meson.build and mote.h give one version"""
    texts = {source.path: source.text for source in sources}
    built = re.search(r"project\([^)]*?\bversion: '([^']+)'", texts.get("meson.build", ""))
    told = re.search(r'#define MOTE_VERSION "([^"]+)"', texts.get("include/mote/mote.h", ""))
    if built and told and built[1] != told[1]:
        yield "meson.build", 2, f"version {built[1]}, but MOTE_VERSION is {told[1]}", "make them equal"


def rule_public_comments(sources):
    """each public function has its comment"""
    for source in (one for one in sources if one.path.startswith("include/mote/")):
        for item in header.items([source.root / source.path]):
            if item.callable and not item.comment:
                yield source.path, item.line, f"{item.name} has no comment", "write one directly above it, or above its group"


RULES = [value for name, value in sorted(globals().items()) if name.startswith("rule_")]


def load(root):
    """All text files of the tree, build directories and caches left out."""
    sources = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any((p.startswith(".") and p != ".ci") or p == "__pycache__" for p in parts) or parts[0].startswith("build")
        if hidden or not path.is_file() or path.suffix not in TEXT or path.stat().st_size > 2_000_000:
            continue
        source = Source(root, path)
        source.root = root
        if "\0" not in source.text:
            sources.append(source)
    return sources


def report(results):
    """Writes {title: faults} as TAP; gives the exit code."""
    print(f"1..{len(results)}")
    for n, (title, faults) in enumerate(results.items(), 1):
        for path, line, what, todo in faults:
            print(f"# {path}:{line}: {what}\n#     {todo}")
        print(f'{"not " if faults else ""}ok {n} - {title}')
    return 1 if any(results.values()) else 0


# ----------------------------------------------------------------------------------------------- exports


def exported(library):
    done = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    names = {line.split()[2].split("@")[0] for line in done.stdout.splitlines() if len(line.split()) == 3 and line.split()[1] != "A"}
    return names


def check_library(library):
    """The exported symbols are the functions of the public headers, and each is used by a test."""
    declared = {item.name: item for item in header.exports()}
    found = exported(library)
    tests = [p for p in (ROOT / "tests").rglob("*") if p.suffix in (".c", ".h", ".py") and p.name != "tidy.py"]
    text = "\n".join(p.read_text(encoding="utf-8") for p in tests + sorted((ROOT / "src").rglob("*_test.c")))
    words = set(re.findall(r"\bmote_\w+", text))
    where = {name: item.header.relative_to(ROOT).as_posix() for name, item in declared.items()}
    missing = [(where[n], declared[n].line, f"{n} is declared but not exported", "define it") for n in sorted(declared.keys() - found)]
    extra = [("src/mote.map", 1, f"{n} is exported but not declared in a public header", "declare it with MOTE_API or make it static") for n in sorted(found - declared.keys())]
    untested = [
        (where[name], item.line, f"no test uses {name}", "write one")
        for name, item in declared.items()
        if not words & {name, name.removesuffix("_site")}
    ]
    return report({"all public functions are exported": missing, "nothing else is exported": extra, "each public function is used by a test": untested})


# --------------------------------------------------------------------------------------------- self-test

SPDX = "/* SPDX-License-" + "Identifier: Apache-2.0\n * A thing. */\n"
PLANTED = [  # rule, file, text: each must be found, on a line that has the mark @ (the mark is taken out), or on line 1
    (rule_layers, "src/base/a.c", SPDX + '#include "term/term.h" @\n'),
    (rule_layers, "src/net/a.c", SPDX + '#include "proc/proc.h" @\n'),
    (rule_layers, "src/term/a.c", SPDX + '#include "term.h" @\n'),
    (rule_layers, "bench/a.c", SPDX + '#include "base/os.h" @\n'),
    (rule_layers, "src/lib/a.c", SPDX + '#include "term/term.h" @\n'),
    (rule_layers, "src/lib/a.c", SPDX + "#include <gmp.h> @\n"),
    (rule_public_header, "include/mote/mote.h", SPDX + "#include <gmp.h> @\n"),
    (rule_public_header, "include/mote/mote.h", SPDX + "#include <mote/server.h> @\n"),
    (rule_public_header, "include/mote/server.h", SPDX + "#include <stdlib.h> @\n"),
    (rule_function_length, "src/base/a.c", SPDX + "static int f(int x) { @\n" + "    x++;\n" * 70 + "}\n"),
    (rule_function_length, "cli/a.c", SPDX + 'extern "C" {\nint f(const char *s,\n      int x) {\n' .replace("int f", "@int f") + "    x++;\n" * 70 + "}\n}\n"),
    (rule_function_length, "tests/a.py", "# SPDX\ndef f(): @\n" + "    pass\n" * 71),
    (rule_file_length, "src/base/a.c", SPDX + "\n" * 1500),
    (rule_code_length, "examples/census.py", '# SPDX\n"""A census\n\nof words"""\n\n' + "x = 1\n\n" * 60 + "x = 2 @\n"),
    (rule_header_contract, "src/base/a.h", "/* SPDX-License-" + "Identifier: Apache-2.0 */ @\n"),
    (rule_header_contract, "src/base/a.h", "/* SPDX-License-" + "Identifier: Apache-2.0 @\n" + " * Words.\n" * 25 + " */\n"),
    (rule_labels, "src/base/a.h", SPDX + "struct a { /* MT_SHARED */\n    int b; /* const */\n    int c; @\n};\n"),
    (rule_labels, "src/base/a.h", SPDX + "struct a { /* MT_SHARED */\n    union {\n        int b; @\n    } c;\n};\n"),
    (rule_labels, "src/base/a.h", SPDX + "struct a { /* MT_SHARED */\n    /* owner: all */\n    int b;\n\n    int c; /* what? */ @\n};\n"),
    (rule_unfinished, "docs/a.md", "one\n@" + "TO" + "DO: two\n"),
    (rule_unfinished, "src/base/a.c", SPDX + "@#if " + "0\n#endif\n"),
    (rule_conditionals, "src/base/a.c", SPDX + "int f(void) {\n@#ifdef X\n    return 1;\n#endif\n    return 0;\n}\n"),
    (rule_sleeps, "src/base/a_test.c", SPDX + "void f(void) {\n    usleep(1); @\n}\n"),
    (rule_sleeps, "tests/a.py", "import time\ntime.sleep(1) @\n"),
    (rule_spdx, "src/base/a.c", "int a; @\n"),
    (rule_spdx, "scripts/a", "#!/bin/sh @\n"),
    (rule_strangers, "src/base/a.c", SPDX + "int a; /* NO" + "LINT */ @\n"),
    (rule_strangers, "docs/a.md", "see /ho" + "me/me/file @\n"),
    (rule_strangers, "src/base/a.c", SPDX + "/* as in #" + "1234 */ @\n"),
    (rule_strangers, "docs/a.md", "fixes #" + "12 @\n"),
    (rule_wall_clock, "src/base/os.c", SPDX + "int a = CLOCK_" + "REALTIME; @\n"),
    (rule_os_calls, "src/proc/a.c", SPDX + "void f(void) {\n    mmap(0, 0, 0, 0, 0, 0); @\n}\n"),
    (rule_os_calls, "src/base/lock.c", SPDX + "int f(void) {\n    return clock_gettime(0, 0); @\n}\n"),
    (rule_platform, "src/proc/a.c", SPDX + "#ifdef __linux__ @\n#endif\n"),
    (rule_errors, "src/base/err.def", SPDX + 'X(NEW, "new")\n'),
    (rule_version, "meson.build", "# SPDX\nproject('mote', 'c', version: '9.9.9') @\n"),
    (rule_public_comments, "include/mote/mote.h", SPDX + "\nMOTE_API int mote_new(void); @\n"),
    (rule_public_comments, "include/mote/server.h", SPDX + "\nMOTE_API int mote_new(void); @\n"),
]
GOOD = [  # must not be found
    ("src/proc/a.c", SPDX + '#include "sched/sched.h"\n#include "base/os.h"\nint f(void) {\n    return ops->read(1) + x.free(2); /* malloc(3) */\n}\n'),
    ("src/base/a.c", SPDX + "static void write(int x) {\n    (void)x;\n}\nvoid g(void) {\n    write(16); /* 16#ff */\n}\n"),
    ("src/base/a.h", SPDX + "struct a { /* MT_SHARED */\n    struct mt_lock mu;\n    int b; /* lock: mu */\n    /* atomic: relaxed */\n    int c;\n    int d;\n};\n"),
    ("src/base/c.h", SPDX + "struct a { /* MT_SHARED */\n    union {\n        int b;\n    } c; /* const */\n};\nstruct d { /* MT_SHARED */\n    struct a x;\n};\n"),
    ("examples/census.py", "# SPDX-License-" + 'Identifier: Apache-2.0\n"""A census."""\n' + "# one\nx = 1\n\n" * 60),
    ("src/lib/a.c", SPDX + '#include <mote/server.h>\n#include <string.h>\n\n#include "lib/gen.h"\n'),
    ("include/mote/server.h", SPDX + "#include <mote/mote.h>\n"),
    ("src/base/b.c", SPDX + "int f(int x);\n" + "int f(int x) {\n" + "    x++;\n" * 68 + "}\n"),
]


def plant(rule, name, text):
    """Whether `rule` finds the violation in a tree that has this file besides the header and err.def."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for keep in ("include/mote/mote.h", "src/base/err.def"):
            (root / keep).parent.mkdir(parents=True, exist_ok=True)
            (root / keep).write_text((ROOT / keep).read_text(encoding="utf-8"), encoding="utf-8")
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace(" @\n", "\n").replace("@", ""), encoding="utf-8")
        mark = text[: text.index("@")].count("\n") + 1 if "@" in text else None
        faults = [fault for fault in rule(load(root)) if fault[0] == name]
        return faults, mark


def self_test():
    results = {}
    for n, (rule, name, text) in enumerate(PLANTED, 1):
        faults, mark = plant(rule, name, text)
        found = any(mark in (None, fault[1]) for fault in faults)
        title = f'{rule.__name__.removeprefix("rule_")} is found in {name} ({n})'
        results[title] = [] if found else [("tests/tidy.py", 1, f"{rule.__name__} found {faults}, not line {mark}", "repair the rule")]
    for n, (name, text) in enumerate(GOOD, 1):
        faults = [fault for rule in RULES for fault in plant(rule, name, text)[0]]
        results[f"nothing is found in good code ({n})"] = faults
    untested = [rule.__name__ for rule in RULES if rule not in [planted[0] for planted in PLANTED]]
    results["each rule has a planted violation"] = [("tests/tidy.py", 1, name, "plant one in PLANTED") for name in untested]
    return report(results)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.library:
        return check_library(options.library)
    if options.self_test:
        return self_test()
    sources = load(ROOT)
    return report({rule.__doc__: list(rule(sources)) for rule in RULES})


if __name__ == "__main__":
    sys.exit(main())
