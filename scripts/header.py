# SPDX-License-Identifier: Apache-2.0
"""Reads the headers of include/mote/, mote.h first: their sections, comments and declarations, for gen-docs and tests/tidy.py.

A header's layout is the grammar: a line of dashes opens a section; a comment that stands directly above declarations is
theirs; a comment followed by an empty line is a preamble of what follows it in the section.
"""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER = ROOT / "include/mote/mote.h"
HEADERS = [HEADER, *sorted(path for path in HEADER.parent.glob("*.h") if path != HEADER)]
ERRORS = ROOT / "src/base/err.def"

SECTION = re.compile(r"/\* -{20,} (.+?) \*/$")
NAME_OF = [
    ("macro", re.compile(r"#define (\w+)")),
    ("enum", re.compile(r"typedef enum (\w+)")),
    ("struct", re.compile(r"typedef struct (\w+) \{")),
    ("opaque", re.compile(r"typedef struct \w+ (\w+);")),
    ("callback", re.compile(r"typedef .*\(\*(\w+)\)\(")),
    ("enum", re.compile(r"enum (\{)")),
    ("function", re.compile(r"MOTE_API\b[^(]*?\b(?P<name>\w+)\(")),
    ("inline", re.compile(r"(?:static inline|MOTE_INLINE_) [^(]*?\b(?P<name>\w+)\(")),
]


class Item:
    """One declaration: kind, name, its text, and the comment above it or above its group."""

    def __init__(self, kind, name, text, line):
        self.kind, self.name, self.text, self.line, self.header = kind, name, text, line, HEADER
        self.comment, self.section, self.preamble, self.leader = "", "", "", None

    @property
    def prototype(self):
        """(return type, [parameters]) of a function, an inline function or a macro with arguments."""
        text = re.sub(r"\b(MOTE_API|MOTE_MUST|MOTE_NORETURN|MOTE_INLINE_|static inline)\s+", "", self.text)
        if self.kind == "macro":
            inner = re.match(r"#define \w+\(([^)]*)\)", text)
            return "", [p.strip() for p in inner[1].split(",")] if inner else None
        head, rest = text.split(self.name + "(", 1)
        depth, params, start = 0, [], 0
        for i, c in enumerate(rest):
            if c == ")" and depth == 0:
                params.append(rest[start:i])
                break
            depth += (c == "(") - (c == ")")
            if c == "," and depth == 0:
                params.append(rest[start:i])
                start = i + 1
        return head.strip(), [" ".join(p.split()) for p in params]

    @property
    def documented(self):
        """Whether it is something a program uses by name: has a page or a place in the reference."""
        return not (self.name.endswith("_") or re.fullmatch(r"MOTE_(A\d+|API|MUST|NORETURN|[A-Z]+_H)", self.name))

    @property
    def callable(self):
        """Functions and the macros that are used like functions: each has a page of its own."""
        return self.kind in ("function", "inline") or (self.kind == "macro" and self.name.startswith("mote_"))


def comment_text(lines):
    """A comment's words: paragraphs joined by newlines as they stand."""
    out = []
    for line in lines:
        line = re.sub(r"^\s*/?\*+/? ?", "", line)
        out.append(re.sub(r"\s*\*/\s*$", "", line).rstrip())
    return "\n".join(out).strip()


def declaration(lines, start):
    """The index behind the declaration that begins at `start`."""
    i = start
    if lines[start].startswith("#"):
        while lines[i].endswith("\\"):
            i += 1
        return i + 1
    code, depth = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), "\n".join(lines[start:]), flags=re.S), 0
    for i, line in enumerate(code.split("\n"), start + 1):
        depth += line.count("{") - line.count("}")
        if depth == 0 and line.rstrip().endswith((";", "}")):
            return i
    return i


def items(paths=None):
    """All declarations of the headers in their order."""
    return [item for path in paths or HEADERS for item in items_of(path)]


def items_of(path):
    """Those of one header."""
    lines = path.read_text(encoding="utf-8").split("\n")
    found, section, preamble, pending, leader, i = [], "", "", None, None, 0
    while i < len(lines):
        line = lines[i]
        if SECTION.match(line):
            section, preamble, pending, leader = SECTION.match(line)[1], "", None, None
        elif line.startswith("/*"):
            end = i
            while "*/" not in lines[end]:
                end += 1
            pending, leader = comment_text(lines[i : end + 1]), None
            if end + 1 < len(lines) and not lines[end + 1].strip():
                preamble = pending if section else ""
            i = end
        elif not line.strip():
            pending, leader = None, None
        elif re.match(r"#(if|endif|else|elif|include)|extern \"C\"|\}$|MOTE_ARG_MAKER_", line):
            pass
        else:
            item, i = read_item(lines, i)
            if item and item.name not in [one.name for one in found]: # a macro may wrap the function of its name
                item.comment, item.section, item.preamble = pending or "", section, preamble
                leader = leader or item
                item.leader, item.header = leader, path
                found.append(item)
            continue
        i += 1
    return found


def read_item(lines, start):
    """The declaration at `start`, or None for what has no name, and the index behind it."""
    end = declaration(lines, start)
    text = "\n".join(lines[start:end])
    for kind, pattern in NAME_OF:
        match = pattern.match(text)
        if match:
            name = match.groupdict().get("name") or match[1]
            if name == "{":
                name = re.search(r"MOTE_\w+", text)[0]
            return Item(kind, name, text, start + 1), end
    return None, end


def errors(path=ERRORS):
    """{code: text} from err.def, in its order."""
    found = re.findall(r'^X\((\w+),\s+"(.*)"\)', path.read_text(encoding="utf-8"), re.M)
    return {"MOTE_" + name: text for name, text in found}


def version(path=HEADER):
    return re.search(r'#define MOTE_VERSION "(.*)"', path.read_text(encoding="utf-8"))[1]


def exports():
    """The functions that the shared library exports."""
    return [item for item in items() if item.kind == "function"]
