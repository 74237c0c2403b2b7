# SPDX-License-Identifier: Apache-2.0
"""Reads the public names of the Python package for gen-docs and tests/docs.py, without importing it: signatures and docstrings from python/mote, and
of what the extension has, signatures from its stub _mote.pyi and docstrings from the tables in python/src.

A section of the reference is a module of the package, named by its docstring up to the first colon or full stop; of the stub, what stands
between two lines of dashes.
"""
import ast
import functools
import re

import header

PACKAGE = header.ROOT / "python/mote"
SOURCES = sorted((header.ROOT / "python/src").glob("*.c"))
STRINGS = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
METHODS = re.compile(r"static PyMethodDef (\w+)_methods\[\] = \{(.*?)\n\};", re.S)
ENTRY = re.compile(r'\{"(\w+)",[^"{}]*?\bMETH_[A-Z_| ]+,\s*' + STRINGS + r"\}")
GETTERS = re.compile(r"static PyGetSetDef (\w+)_getset\[\] = \{(.*?)\};", re.S)
GETTER = re.compile(r'\{"(\w+)", \w+, \w+,\s*' + STRINGS)
SLOTS = re.compile(r"\b(\w+_slots)\[\] = \{(.*?)\n?\};", re.S)
SPEC = re.compile(r'PyType_Spec \w+ = \{"mote\.(\w+)",[^;]*?\b(\w+_slots)\}')
SHORT = {"_Destination": "Pid | Ref | str | tuple[str, str]", "Destination": "Pid | Ref | str | tuple[str, str]", "_Process": "Pid | str | tuple[str, str]",
         "Process": "Pid | str | tuple[str, str]", "_AliasMode": "str | None", "_Form": "str", "Union[bytes, bytearray, memoryview]": "bytes-like", "Pid[Any]": "Pid", "Pid[_T]": "Pid", "Pid[_M]": "Pid", "_M": "object",
         "Where": "Pid | str | Server | Machine", "Place": "Pid | str"}


class Item:
    """A public name: kind (function, class, value), where it is, its declarations as they are read, its docstring, members of a class."""

    def __init__(self, name, kind, declarations, doc, members=()):
        self.name, self.kind, self.declarations, self.doc, self.members = name, kind, declarations, doc, list(members)


# ----------------------------------------------------------------------------------------- docstrings in C


def text_of(literals):
    """The text of C's string literals, which are written as Python's are."""
    return "".join(ast.literal_eval(one) for one in re.findall(r'"(?:[^"\\]|\\.)*"', literals))


def in_c():
    """{name or Class.name: docstring} of all tables and types."""
    found = {}
    for path in SOURCES:
        code = path.read_text(encoding="utf-8")
        own = [match.span() for match in METHODS.finditer(code)]
        of_types = [(match, ENTRY) for match in METHODS.finditer(code)] + [(match, GETTER) for match in GETTERS.finditer(code)]
        for match, kind in of_types:
            for entry in kind.finditer(match[2]):
                found[f"{match[1].capitalize()}.{entry[1]}"] = text_of(entry[2])
        for entry in ENTRY.finditer(code):
            if not any(a <= entry.start() < b for a, b in own):
                found.setdefault(entry[1], text_of(entry[2]))
        slots = {name: re.search(r"\{Py_tp_doc,\s*" + STRINGS, body) for name, body in SLOTS.findall(code)}
        found.update((name, text_of(slots[where][1])) for name, where in SPEC.findall(code) if slots.get(where))
        found.update((name, text_of(doc)) for name, doc in re.findall(r'add_exception\([^"]*"mote\.(\w+)",[^"]*' + STRINGS, code))
    return found


def split(name, doc):
    """(signature or "", words) of a docstring in C, which may begin with the signature in a line of its own."""
    first, _, rest = (doc or "").partition("\n\n")
    if not re.fullmatch(name + r"\([^\n]*\)( -> [^\n]*)?(\n--)?", first):
        return "", doc or ""
    return first.removesuffix("\n--").replace("$self, ", ""), rest


# --------------------------------------------------------------------------------------------- signatures


def arguments(node, method):
    """As written, without self."""
    args = ast.parse(ast.unparse(node)).body[0].args
    if method:
        (args.posonlyargs or args.args).pop(0)
    return ast.unparse(args)


def shorten(text):
    for long, short in SHORT.items():
        text = re.sub(r"(?<![\w.])" + re.escape(long) + r"(?!\w)", short, text)
    text = re.sub(r"=_[A-Za-z]\w*(?!\w|\.)", "=...", text).replace("_mote.", "")
    text = re.sub(r"Optional\[(\w+)\]", r"\1 | None", text)
    return re.sub(r"Callable\[_P, (\w+)\]", r"Callable[..., \1]", text).replace("*args: _P.args, **kwargs: _P.kwargs", "*args, **kwargs")


def declare(node, method=False):
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    marks = [ast.unparse(one) for one in node.decorator_list if ast.unparse(one) != "overload"]
    static = method and "staticmethod" in marks
    text = shorten(f"{word} {node.name}({arguments(node, method and not static)}){gives}")
    if "property" in marks:
        return f"{node.name}{shorten(gives).replace(' -> ', ': ')}"
    return "".join(f"@{one}\n" for one in marks if one in ("classmethod", "staticmethod")) + text


@functools.cache
def classes():
    """All that stand at the top of the package's modules, by name; the first of each."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.glob("*.py"), reverse=True)]
    return {node.name: node for tree in trees for node in reversed(tree.body) if isinstance(node, ast.ClassDef)}


def hidden_base(name):
    """The class of that name which the package keeps to itself; None: there is none."""
    return classes().get(name) if name not in public() else None


def class_item(node, docs, where):
    """A class with what it has for its users, also by bases that are not public."""
    members, fields, made = [], [], None
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and not one.target.id.startswith("_") and "ClassVar" not in ast.unparse(one.annotation):
            fields.append(f"{one.target.id}: {shorten(ast.unparse(one.annotation))}")
        if not isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if one.name == "__init__":
            made = shorten(arguments(one, True))
        elif not one.name.startswith("_"):
            doc = ast.get_docstring(one) or split(one.name, docs.get(f"{node.name}.{one.name}"))[1]
            members.append(Item(one.name, "function", [declare(one, True)], doc))
    bases = [base for base in map(ast.unparse, node.bases) if not base.startswith("Generic")]
    for base in [base for base in bases if hidden_base(base)]:
        bases.remove(base)
        members += [one for one in class_item(hidden_base(base), docs, where).members if one.name not in {own.name for own in members}]
    made = ", ".join(fields) if bases == ["NamedTuple"] else made
    lines = [f"class {node.name}" + (f"({', '.join(bases)})" if bases else "")] + ([f"{node.name}({made})"] if made is not None else [])
    return Item(node.name, "class", lines, ast.get_docstring(node) or where.get(node.name) or docs.get(node.name, ""), members)


# ------------------------------------------------------------------------------------------------ modules


def statements(body):
    """Those of a module, and of what it has for type checkers."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.body
        else:
            yield node


def items_of(path, wanted, docs):
    """{section: [items]} of those names of a module that are wanted."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    stub = path.suffix == ".pyi"
    rulers = [(source[: match.start()].count("\n") + 1, match[1]) for match in re.finditer(r"^# -{20,} (.+)$", source, re.M)] if stub else []
    title = re.split(r"[.:](?:\s|$)", ast.get_docstring(tree) or path.stem)[0]
    later = {ast.unparse(one.targets[0]).removesuffix(".__doc__"): one.value.value for one in tree.body
             if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]).endswith(".__doc__") and isinstance(one.value, ast.Constant)}
    found = {}
    for node in statements(tree.body):
        name = getattr(node, "name", None) or (node.target.id if isinstance(node, ast.AnnAssign) else None)
        if name not in wanted:
            continue
        section = ([text for line, text in rulers if line < node.lineno] or [title])[-1]
        section = found.setdefault(section[:1].upper() + section[1:], [])
        same = [one for one in section if one.name == name]
        if isinstance(node, ast.ClassDef):
            section.append(class_item(node, docs, later))
        elif isinstance(node, ast.AnnAssign):
            section.append(Item(name, "value", [f"{name}: {ast.unparse(node.annotation)}"], wanted[name] or ""))
        elif same and ast.get_docstring(node):  # what has been overloaded
            same[0].doc = ast.get_docstring(node)
        elif same:
            same[0].declarations.append(declare(node))
        else:
            section.append(Item(name, "function", [declare(node)], ast.get_docstring(node) or docs.get(name, "")))
    return found


def imports(path):
    """{module: [(name there, name here)]} of what a module takes from the package, in order."""
    found = {}
    body = ast.parse(path.read_text(encoding="utf-8")).body
    late = [node for one in body if isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING" for node in one.body]
    for node in body + late:  # late: imported at first use
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mote."):
            found.setdefault(node.module[5:], []).extend((one.name, one.asname or one.name) for one in node.names)
    return found


VALUES = {
    "NoReply": "What a call's method of a Server returns that replies later, by mote.reply(caller, value).",
    "ANY": "The pattern that every value matches.",
    "global_names": "The names that all nodes of a cluster know, Erlang's global: for nodes with `global_names=True`.",
    "pg": "The scope of process groups that Erlang's pg has by default: `Group(\"pg\")`. A Cluster starts it, or `Group.start(\"pg\")`.",
    "SKIP": "What a handler of receive() gives to leave the message where it is.",
}


def public():
    """mote.__all__."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    return next(ast.literal_eval(one.value) for one in tree.body if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "__all__")


def sections():
    """{title: [items]}: what the extension has, then the package's modules in the order of __init__.py, then mote.aio."""
    docs, found = in_c(), {}
    taken = imports(PACKAGE / "__init__.py")
    for module in sorted(taken, key=lambda one: one != "_mote"):
        path = PACKAGE / (module + (".pyi" if module == "_mote" else ".py"))
        names = {there: VALUES.get(there) for there, here in taken[module] if not here.startswith("_")}
        found.update(items_of(path, names, docs))
    found.update(aio(docs))
    for items in found.values():
        for item in items:
            polish(item)
    return found


def aio(docs):
    """mote.aio: what it defines, and what it takes from the extension under another name."""
    path = PACKAGE / "aio.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = next(ast.literal_eval(one.value) for one in tree.body if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "__all__")
    found = items_of(path, dict.fromkeys(public), docs)
    title = re.split(r"[.:](?:\s|$)", ast.get_docstring(tree))[0]
    for module, names in imports(path).items():
        for there, here in names:
            if here in public and module == "_mote":
                found.setdefault(title, []).append(Item(here, "function", [], docs.get(there, "")))
    for item in found.get(title, []):
        item.name = f"aio.{item.name}"
    return {title: sorted(found.get(title, []), key=lambda one: public.index(one.name[4:]))}


def polish(item):
    """The signature that a docstring in C begins with is shorter than a stub's overloads."""
    signature, words = split(item.name.rpartition(".")[2], item.doc)
    if signature and (len(item.declarations) != 1 or item.name.startswith("aio.")):
        item.declarations = [f"def {signature}"]
    item.doc = words


# ------------------------------------------------------------------------------------------------- reference


HEAD = """# Reference of the Python package

Made from the docstrings by `make docs`: do not edit this file. [mote in Python](python.md) shows how it is used; `help(mote.spawn)` says the same at the
prompt. All names are in `mote`; those under `aio` are to be awaited, in coroutine processes. Seconds are floats, `None` is for ever, 0 is not to wait. *Waits* means
that the process waits and others run. What differs from Erlang stands in [semantics](design/semantics.md).

"""


def words(text, known):
    """A docstring as Markdown: names of the package in code become links, examples stay as they are."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith("    "):
            parts.append("```python\n" + "\n".join(line[4:] for line in block.split("\n")) + "\n```")
            continue
        pieces = re.split(r"(`[^`]*`)", " ".join(block.split()))
        parts.append("".join(piece if piece.startswith("`") else link(piece, known) for piece in pieces))
    return re.sub(r"```\n\n```python\n", "\n", "\n\n".join(parts))


def link(text, known):
    text = text.replace("<", "&lt;").replace("*", "\\*").replace("__", "\\_\\_")
    return re.sub(r"(?<![\w.:/])(?:mote\.)?((?:aio\.)?\w+)\(\)", lambda m: f"[`mote.{m[1]}()`](#{anchor(m[1])})" if m[1] in known else m[0], text)


def anchor(name):
    return "mote" + re.sub(r"\W", "", name)


def entry(item, known):
    lines = [line.replace("async def ", "").replace("def ", "") for line in item.declarations]
    lines = [line if line.startswith(("class", "@")) else f"mote.{'aio.' if item.name.startswith('aio.') else ''}{line}" for line in lines]
    out = f"### mote.{item.name}\n\n```text\n" + "\n".join(lines) + "\n```\n\n" + words(item.doc, known) + "\n\n"
    for one in item.members:
        told = " ".join(one.declarations).replace("def ", "").replace("@classmethod ", "").replace("@classmethod\n", "classmethod ")
        out += f"- `{told}`" + (f": {words(one.doc, known)}" if one.doc else "").replace("\n", "\n  ").replace("\n  \n", "\n\n") + "\n"
    return out + ("\n" if item.members else "")


def reference():
    found = sections()
    known = {item.name for items in found.values() for item in items}
    out = HEAD + "".join(f"- [{title}](#{re.sub(r'[^a-z -]', '', title.lower()).replace(' ', '-')})\n" for title in found) + "\n"
    for title, items in found.items():
        out += f"## {title}\n\n" + "".join(entry(item, known) for item in items)
    return out.rstrip() + "\n"
