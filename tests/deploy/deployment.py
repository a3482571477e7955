"""What the files in deploy/ name, and what there is: flags, ports, metrics."""

import functools
import os
import re
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "integration"))

from metric_pages import listed_metrics  # noqa: E402
from services import BIN, program  # noqa: E402

DEPLOY = os.path.join(SOURCE, "deploy")
BUILD = os.path.dirname(os.path.abspath(BIN))
PROGRAMS = ("teacher_service", "coordinator", "student_worker", "distillery")
METRIC = re.compile(r"\b(?:distillery_(?:teacher|coordinator|worker)|process)_[a-z0-9_]+")


def read(*path):
    with open(os.path.join(DEPLOY, *path)) as file:
        return file.read()


def unknown_metrics(text):
    """Names in `text` that no program shows, sorted. A histogram has three names of samples."""
    known = set()
    for name, (kind, _, _) in listed_metrics().items():
        known |= ({name + suffix for suffix in ("_bucket", "_sum", "_count")}
                  if kind == "histogram" else {name})
    return sorted(set(METRIC.findall(text)) - known)


@functools.lru_cache(None)
def help_text(*command):
    done = subprocess.run([program(command[0]), *command[1:], "--help"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


def known_flags(command):
    """The flags that the words of a command line may use: of the program, and of its subcommand."""
    flags = set(re.findall(r"--[a-z][a-z0-9-]*", help_text(command[0])))
    for count in (1, 2):
        words = command[1:1 + count]
        if len(words) == count and all(re.fullmatch(r"[a-z][a-z-]*", word) for word in words):
            listed = re.findall(r"^  ([a-z][a-z-]*) ", help_text(command[0], *words[:-1]), re.M)
            if words[-1] in listed:
                flags |= set(re.findall(r"--[a-z][a-z0-9-]*", help_text(command[0], *words)))
    return flags


def unknown_flags(command):
    """Of a command line as a list of words, the flags that its program does not know, and the keys
    behind a teacher's model."""
    unknown = {word.partition("=")[0] for word in command if word.startswith("--")} - \
        known_flags(command)
    if command[0] == "teacher_service":
        keys = re.search(r"--model .*?KEY=VALUE of ([a-z_, ]+);", help_text(command[0]))[1]
        for word in command[1:]:
            unknown |= set(re.findall(r",([a-z_]+)=", word)) - set(keys.split(", "))
    return sorted(unknown)


def environment_variables():
    """Variables that flags may come from, as --help says."""
    return {name for one in PROGRAMS
            for name in re.findall(r"Env:(\w+)", help_text(one) + (
                help_text(one, "healthcheck") if one == "distillery" else ""))}


def make_package(folder):
    """Makes the Debian package of this build in `folder`; returns its path."""
    done = subprocess.run(["cpack", "-G", "DEB", "-B", folder,
                           "--config", os.path.join(BUILD, "CPackConfig.cmake")],
                          text=True, cwd=BUILD, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=600)
    assert done.returncode == 0, done.stdout
    (package,) = [name for name in os.listdir(folder) if name.endswith(".deb")]
    return os.path.join(folder, package)
