# SPDX-License-Identifier: Apache-2.0
"""Builds the Python package for pip and others (PEP 517), with meson and ninja and Debian's packages; nothing comes from PyPI.

`pip install .` and `pip wheel .` build in build-wheel/, again only what has changed; --config-settings build-dir=DIR names another folder. The
wheel carries the libraries that the extension needs beyond libc in mote.libs/, where its run path looks first. Wheels and sdists of the
same tree are the same, byte by byte; SOURCE_DATE_EPOCH dates what is in them.
"""
import ast
import base64
import contextlib
import fcntl
import gzip
import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TAG = sysconfig.get_config_var("EXT_SUFFIX").rpartition(".")[0].lstrip(".")  # cpython-311-x86_64-linux-gnu
OF_LIBC = re.compile(r"(linux-vdso|ld-linux.*|lib(c|m|dl|rt|pthread|asan|ubsan|gcc_s))\.so(\.\d+)*")


# ---------------------------------------------------------------------------------------------------- metadata


def project():
    """The values of [project] in pyproject.toml."""
    return section("project")


def section(name):
    """The values of a section of pyproject.toml: strings and lists of strings are written alike in Python."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = re.search(rf"^\[{re.escape(name)}\]\n(.*?)(?=^\[|\Z)", text, re.M | re.S)[1]
    values = re.findall(r"^([\w-]+) = (.*?)(?=^[\w-]+ = |\Z)", section, re.M | re.S)
    return {name: ast.literal_eval(value.strip()) for name, value in values}


def version():
    return re.search(r"^project\([^)]*?\bversion: '([^']+)'", (ROOT / "meson.build").read_text(encoding="utf-8"), re.M)[1]


def metadata():
    """The text of METADATA and PKG-INFO."""
    about = project()
    lines = ["Metadata-Version: 2.1", f"Name: {about['name']}", f"Version: {version()}", f"Summary: {about['description']}",
             f"License: {about['license']}", f"Keywords: {','.join(about['keywords'])}",
             *(f"Classifier: {one}" for one in about["classifiers"]), f"Requires-Python: {about['requires-python']}",
             "Description-Content-Type: text/markdown", ""]
    return "\n".join(lines) + "\n" + (ROOT / about["readme"]).read_text(encoding="utf-8")


def wheel_tag():
    """Python, ABI and platform: cp311-cp311-linux_x86_64."""
    abi = "cp" + TAG.split("-")[1]
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{abi}-{re.sub(r'[-.]', '_', sysconfig.get_platform())}"


def about_wheel():
    return f"Wheel-Version: 1.0\nGenerator: mote {version()}\nRoot-Is-Purelib: false\nTag: {wheel_tag()}\n"


def commands():
    """The text of entry_points.txt: pip makes a program of each line."""
    return "".join(["[console_scripts]\n", *(f"{name} = {where}\n" for name, where in section("project.scripts").items())])


def info_files():
    return {"METADATA": metadata().encode(), "WHEEL": about_wheel().encode(), "entry_points.txt": commands().encode(), "LICENSE": (ROOT / "LICENSE").read_bytes()}


# -------------------------------------------------------------------------------------------------------- build


def environment():
    """Ours, without what pip's isolation and virtual environments set for their own interpreter: meson has another."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONSAFEPATH")}


def found(*programs):
    return any(shutil.which(one.split()[0]) for one in programs if one)


def library_found(name):
    pkg_config = os.environ.get("PKG_CONFIG") or ("pkg-config" if found("pkg-config") else "pkgconf")
    return found(pkg_config) and subprocess.run([pkg_config, "--exists", name], check=False).returncode == 0


def check_tools():
    """Ends with a message that names all that is missing."""
    headers = pathlib.Path(sysconfig.get_path("include"), "Python.h")
    needed = [  # what, whether it is there, the package
        ("a C compiler", found(os.environ.get("CC"), "cc", "gcc", "clang"), "gcc libc6-dev"),
        ("meson", found("meson"), "meson"),
        ("ninja", found("ninja"), "ninja-build"),
        ("pkg-config", found(os.environ.get("PKG_CONFIG"), "pkg-config", "pkgconf"), "pkg-config"),
        ("GMP with its headers", library_found("gmp"), "libgmp-dev"),
        ("OpenSSL with its headers", library_found("openssl"), "libssl-dev"),
        (str(headers), headers.is_file(), "python3-dev"),
    ]
    missing = [(what, package) for what, there, package in needed if not there]
    if missing:
        print(f"\nmote cannot be built here. There is no {', no '.join(what for what, _ in missing)}.\n"
              f"On Debian: sudo apt-get install {' '.join(package for _, package in missing)}\n", file=sys.stderr, flush=True)
        raise SystemExit(1)


def run(*command):
    print("mote:", *command, flush=True)
    done = subprocess.run(list(map(str, command)), env=environment(), stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        print(f"mote: {command[0]} has failed with code {done.returncode}; what it said stands above", file=sys.stderr, flush=True)
        raise SystemExit(1)


def writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def build_folder(settings):
    """A folder to build in, which nobody else uses meanwhile; a new one where the tree cannot be written."""
    named = (settings or {}).get("build-dir")
    folder = pathlib.Path(named).resolve() if named else ROOT / "build-wheel"
    if not named and not writable(folder):
        with tempfile.TemporaryDirectory(prefix="mote-") as folder:
            yield pathlib.Path(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{TAG}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def build(folder):
    """Builds the extension; gives its path."""
    folder = folder / TAG
    options = ["-Doptimization=3", "-Ddebug=false", "-Dwerror=false", f"-Dpythons={os.path.realpath(sys.executable)}"]
    about = folder / "options"
    told = "\n".join([str(ROOT), *options])
    if not about.is_file() or about.read_text(encoding="utf-8") != told:
        shutil.rmtree(folder, ignore_errors=True)
        run("meson", "setup", folder, ROOT, *options)
        about.write_text(told, encoding="utf-8")
    target = f"python/mote/_mote.{TAG}.so"
    run("ninja", "-C", folder, target)
    return folder / target


def libraries(extension):
    """The shared libraries it needs that are not libc's: {name: path}."""
    told = subprocess.run(["ldd", extension], env={**environment(), "LC_ALL": "C"}, capture_output=True, text=True, check=True).stdout
    needed = dict(re.findall(r"^\s*(\S+) => (\S+)", told, re.M))
    return {name: pathlib.Path(path) for name, path in needed.items() if not OF_LIBC.fullmatch(name)}


def terms_of(name):
    """Debian's file on the licence of a library: {name in the wheel: content}."""
    package = {"libgmp": "libgmp10"}.get(name.split(".so")[0])
    path = pathlib.Path("/usr/share/doc", str(package), "copyright")
    return {f"{name}.copyright": path.read_bytes()} if path.is_file() else {}


# ------------------------------------------------------------------------------------------------------- archives


def date():
    return max(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), 315532800)  # zip counts from 1980


def digest(content):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, time.gmtime(date())[:6])
            entry.create_system = 3
            entry.external_attr = (0o100755 if re.search(r"\.so(\.\d+)*$", name) else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


def write_tar(path, files):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", mtime=date(), fileobj=raw) as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), mode, date()
            archive.addfile(entry, io.BytesIO(content))


def package_files():
    """The package without its extension."""
    package = ROOT / "python" / "mote"
    paths = (path for path in sorted(package.rglob("*")) if path.suffix in (".py", ".pyi") or path.name == "py.typed")
    return {f"mote/{path.relative_to(package).as_posix()}": path.read_bytes() for path in paths}


def source_files():
    """What git knows or would add; in a tree without git all but what was built."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        told = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True)
        names = [name for name in told.stdout.split("\0") if name]
    else:
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        names = [name for name in names if not re.search(r"^build|(^|/)(__pycache__|\.(?!ci/|gitignore$)[^/]*)(/|$)|\.(so|o|pyc)$|^PKG-INFO$", name)]
    return [name for name in sorted(set(names)) if (ROOT / name).is_file()]


# ---------------------------------------------------------------------------------------------------------- hooks


def get_requires_for_build_wheel(config_settings=None):
    return []


def get_requires_for_build_sdist(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info = pathlib.Path(metadata_directory, f"mote-{version()}.dist-info")
    info.mkdir()
    for name, content in info_files().items():
        (info / name).write_bytes(content)
    return info.name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    check_tools()
    files = package_files()
    info = info_files()
    with build_folder(config_settings) as folder:
        extension = build(folder)
        files[f"mote/{extension.name}"] = extension.read_bytes()
        for name, path in sorted(libraries(extension).items()):
            files[f"mote.libs/{name}"] = path.read_bytes()
            info.update(terms_of(name))
    dist_info = f"mote-{version()}.dist-info"
    files.update((f"{dist_info}/{name}", content) for name, content in info.items())
    record = [f"{name},{digest(content)},{len(content)}\n" for name, content in files.items()]
    files[f"{dist_info}/RECORD"] = ("".join(record) + f"{dist_info}/RECORD,,\n").encode()
    wheel = f"mote-{version()}-{wheel_tag()}.whl"
    write_zip(pathlib.Path(wheel_directory, wheel), files)
    return wheel


def build_sdist(sdist_directory, config_settings=None):
    base = f"mote-{version()}"
    files = {f"{base}/PKG-INFO": (metadata().encode(), 0o644)}
    for name in source_files():
        path = ROOT / name
        files[f"{base}/{name}"] = (path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
    write_tar(pathlib.Path(sdist_directory, f"{base}.tar.gz"), files)
    return f"{base}.tar.gz"
