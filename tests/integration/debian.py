#!/usr/bin/env python3
"""Debian for tests that install things, made by debootstrap from the mirror that this machine asks.

    tests/integration/debian.py trixie FOLDER

makes the root of a release, as tests/system does."""

import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

from services import BIN

ARCHIVE = os.path.join(os.path.dirname(os.path.abspath(BIN)), "debian-bookworm.tar")


def host_mirror():
    """What this machine's apt asks: "http://HOST" of http://HOST/debian, or ""."""
    for name in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if name.endswith((".list", ".sources")) and os.path.exists(name):
            with open(name) as file:
                found = re.search(r"^(?:deb\s.*?|URIs:\s*)(https?://\S+?)/debian/?(?:\s|$)",
                                  file.read(), re.MULTILINE)
            if found:
                return found.group(1)
    return ""


def host_proxy():
    answer = subprocess.run(["apt-config", "dump", "Acquire::http::Proxy"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    found = re.search(r'^Acquire::http::Proxy "(http[^"]+)"', answer, re.MULTILINE)
    return found.group(1) if found else os.environ.get("http_proxy", "")


def make_root(release, folder, packages=()):
    """A minimal system with `packages` in a new folder: debootstrap's exit code and output."""
    mirror = (host_mirror() or "http://deb.debian.org") + "/debian"
    include = [f"--include={','.join(packages)}"] if packages else []
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", *include, release, folder, mirror], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1200,
        env={**os.environ, **({"http_proxy": host_proxy()} if host_proxy() else {})})
    return done.returncode, done.stdout


def archive():
    """Path of a tar file with a minimal Debian 12, whose apt asks what this one does: made once,
    then kept in the folder of the build. Skips the test where it cannot be made."""
    if os.path.exists(ARCHIVE):
        return ARCHIVE
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        raise unittest.SkipTest("no Debian: debootstrap is not installed, or this is not root")
    folder = f"{ARCHIVE}.{os.getpid()}.folder"
    try:
        code, output = make_root("bookworm", folder)
        if code != 0:
            raise unittest.SkipTest("debootstrap: " + output[-500:])
        for path in glob.glob(f"{folder}/var/cache/apt/archives/*.deb"):
            os.remove(path)
        subprocess.run(["tar", "-C", folder, "-cf", folder + ".tar", "."], check=True)
        os.rename(folder + ".tar", ARCHIVE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ARCHIVE


if __name__ == "__main__":
    exit_code, printed = make_root(sys.argv[1], sys.argv[2], ("ca-certificates", "git"))
    if exit_code != 0:
        print(printed[-2000:], file=sys.stderr)
    sys.exit(exit_code)
