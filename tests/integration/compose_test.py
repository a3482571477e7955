#!/usr/bin/env python3
"""docker-compose builds the images, runs everything, and gives the weights of one process.

Needs docker.io, docker-compose and, if no image registry answers, debootstrap. Uses the engine that is
running; else starts one of its own, as root, and ends with 77 where that cannot be."""

import contextlib
import ctypes
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from services import SOURCE, program, run

# DISTILLERY_IMAGE_PROGRAMS=source builds the programs in the image, as a user does; two cores need 15
# minutes for it. The default takes the programs under test: what they are made from is the same.

# When waiting is given up, in time to clean up before ctest's limit.
DEADLINE = time.monotonic() + 2900
UID, GID = (4321, 4322) if os.getuid() == 0 else (os.getuid(), os.getgid())
SERVICES = ("train-teacher", "teacher", "coordinator", "worker", "submit")


def call(*command, check=True, timeout=600, **options):
    """Runs a command to its end; returns it with its output, standard error included."""
    done = subprocess.run(command, text=True, errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done


def succeeds(*command, **options):
    return call(*command, check=False, **options).returncode == 0


def composers():
    """The implementations of compose that are installed."""
    found = []
    if shutil.which("docker-compose"):
        found.append(["docker-compose"])
    if shutil.which("docker") and succeeds("docker", "compose", "version"):
        found.append(["docker", "compose"])
    return found


class Engine:
    """A docker engine: the one that is running, or one of our own in a temporary folder."""

    def __init__(self, stack):
        if shutil.which("docker") is None:
            raise unittest.SkipTest("docker is not installed")
        if succeeds("docker", "info"):
            return
        if os.getuid() != 0 or shutil.which("dockerd") is None:
            raise unittest.SkipTest("no docker engine is running, and this may not start one")
        had_bridge = os.path.exists("/sys/class/net/docker0")
        folder = tempfile.mkdtemp(prefix="distillery-docker-")
        stack.callback(self.clean, folder, had_bridge)
        os.environ["DOCKER_HOST"] = f"unix://{folder}/socket"
        stack.callback(os.environ.pop, "DOCKER_HOST")
        for storage in ("overlay2", "vfs"):
            daemon = self.start(folder, storage)
            if daemon is not None:
                stack.callback(self.stop, daemon)
                return
        with open(f"{folder}/log", errors="replace") as log:
            raise unittest.SkipTest("no docker engine can run here: " + log.read()[-1000:])

    @staticmethod
    def start(folder, storage):
        """The daemon once it answers, or None."""
        with open(f"{folder}/log", "ab") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
                 "--pidfile", f"{folder}/pid", "--host", f"unix://{folder}/socket",
                 "--storage-driver", storage],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                # It must not outlive this test: SIGTERM when this process is gone.
                preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM))
        deadline = time.monotonic() + 60
        while daemon.poll() is None and time.monotonic() < deadline:
            if succeeds("docker", "info"):
                return daemon
            time.sleep(0.2)
        Engine.stop(daemon)
        return None

    @staticmethod
    def stop(daemon):
        daemon.terminate()
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    @staticmethod
    def clean(folder, had_bridge):
        with open("/proc/mounts") as mounts:
            inside = [line.split()[1] for line in mounts if line.split()[1].startswith(folder)]
        for mount in sorted(inside, reverse=True):
            call("umount", "--lazy", mount, check=False)
        if not had_bridge and shutil.which("ip"):
            call("ip", "link", "delete", "docker0", check=False)
        shutil.rmtree(folder, ignore_errors=True)


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
    answer = call("apt-config", "dump", "Acquire::http::Proxy", check=False).stdout
    found = re.search(r'^Acquire::http::Proxy "(http[^"]+)"', answer, re.MULTILINE)
    return found.group(1) if found else os.environ.get("http_proxy", "")


def base_image(stack):
    """Debian 12, from a registry or by debootstrap."""
    official = "debian:bookworm-slim"
    if (succeeds("docker", "image", "inspect", official) or
            succeeds("docker", "pull", "--quiet", official)):
        return official
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        raise unittest.SkipTest("no registry answers, and debootstrap cannot be had")
    folder = tempfile.mkdtemp(prefix="distillery-debian-")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    call("debootstrap", "--variant=minbase", "bookworm", folder,
         (host_mirror() or "http://deb.debian.org") + "/debian",
         env={**os.environ, **({"http_proxy": host_proxy()} if host_proxy() else {})})
    for path in glob.glob(f"{folder}/var/cache/apt/archives/*.deb"):
        os.remove(path)
    name = f"distillery-test-base:{os.getpid()}"
    call("bash", "-ec", f"set -o pipefail; tar -C {folder} -c . | docker import - {name}")
    stack.callback(call, "docker", "rmi", name, check=False)
    return name


def build_network(image):
    """(APT_MIRROR, proxy, network) with which a container reaches Debian's packages."""
    ways = [("", "", None), (host_mirror(), host_proxy(), None),
            (host_mirror(), host_proxy(), "host")]
    for mirror, proxy, network in ways:
        script = "apt-get -qq -o APT::Update::Error-Mode=any update"
        if mirror:
            script = ("find /etc/apt -name '*.list' -o -name '*.sources' | "
                      f"xargs sed -i 's|http://deb.debian.org|{mirror}|'; {script}")
        options = (["--network", network] if network else []) + \
                  (["--env", f"http_proxy={proxy}"] if proxy else [])
        done = call("docker", "run", "--rm", *options, image, "sh", "-ec", script, check=False)
        if done.returncode == 0:
            return mirror, proxy, network
    raise unittest.SkipTest("no container reaches Debian's packages here: " + done.stdout[-500:])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ComposeFilesTest(unittest.TestCase):
    """What needs no engine."""

    def config(self, composer, file, **variables):
        return call(*composer, "-f", os.path.join(SOURCE, "deploy", file), "config", check=False,
                    env={"PATH": os.environ["PATH"], "HOME": "/tmp", **variables})

    def test_both_files_parse_in_each_compose_that_is_installed(self):
        found = composers()
        if not found:
            self.skipTest("docker-compose is not installed")
        for composer in found:
            done = self.config(composer, "docker-compose.yml")
            self.assertEqual(done.returncode, 0, done.stdout)
            for service in SERVICES:
                self.assertIn(f"{service}:\n", done.stdout)
            done = self.config(composer, "docker-compose.worker.yml", COORDINATOR="c:1", TEACHER="")
            self.assertEqual(done.returncode, 0, done.stdout)
            done = self.config(composer, "docker-compose.worker.yml", TEACHER="t:1")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("set COORDINATOR to HOST:PORT", done.stdout)
            done = self.config(composer, "docker-compose.worker.yml", COORDINATOR="c:1")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("set TEACHER to HOST:PORT", done.stdout)

    def test_the_images_are_labelled_with_the_version_of_the_project(self):
        def version(path, pattern):
            with open(os.path.join(SOURCE, path)) as file:
                return re.search(pattern, file.read(), re.MULTILINE).group(1)
        self.assertEqual(version("deploy/Dockerfile", r"^ARG VERSION=(\S+)"),
                         version("CMakeLists.txt", r"project\(distillery VERSION ([0-9.]+)"))


    def test_the_context_holds_all_that_the_build_reads(self):
        """The image's build from source takes a quarter of an hour: what could break it is a file that
        .dockerignore keeps out, and CMake misses that at once."""
        with tempfile.TemporaryDirectory(prefix="distillery-context-") as folder:
            with open(os.path.join(SOURCE, ".dockerignore")) as file:
                kept = [line[1:].strip() for line in file
                        if line.startswith("!") and not line.startswith("!build/")]
            call("bash", "-ec", f"set -o pipefail; git -C {SOURCE} archive HEAD {' '.join(kept)} | "
                                f"tar -x -C {folder}")
            call("cmake", "--preset", "release", "-DDISTILLERY_TESTS=OFF", cwd=folder)


class ComposeTest(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        found = composers()
        if not found:
            self.skipTest("docker-compose is not installed")
        Engine(self.stack)
        image = base_image(self.stack)
        mirror, proxy, network = build_network(image)
        self.checkout = tempfile.mkdtemp(prefix="distillery-compose-")
        self.stack.callback(shutil.rmtree, self.checkout, ignore_errors=True)
        call("bash", "-ec", f"set -o pipefail; git -C {SOURCE} archive HEAD | tar -x -C {self.checkout}")
        programs = os.environ.get("DISTILLERY_IMAGE_PROGRAMS", "host")
        if programs == "host":
            folder = os.path.join(self.checkout, "build", "release", "bin")
            os.makedirs(folder)
            for name in ("teacher_service", "coordinator", "student_worker", "distillery"):
                shutil.copy(program(name), folder)
        self.write_override(proxy, network)
        self.project = f"distillery-test-{os.getpid()}"
        self.composer = [*found[0], "-f", "deploy/docker-compose.yml", "-f", "override.json",
                         "-p", self.project]
        self.environment = {**os.environ, "UID": str(UID), "GID": str(GID), "BASE_IMAGE": image,
                            "APT_MIRROR": mirror, "PROGRAMS": programs,
                            "TEACHER_PORT": str(free_port()),
                            "COORDINATOR_PORT": str(free_port())}
        self.stack.callback(self.compose, "down", "--volumes", "--rmi", "local", check=False)

    def write_override(self, proxy, network):
        """What this machine needs and the product's files do not say. JSON is YAML."""
        build = {"args": {"http_proxy": proxy, "https_proxy": proxy}} if proxy else {}
        if network:
            build["network"] = network
        # A variable that chooses OpenBLAS's kernels here chooses them there.
        numerics = {name: value for name, value in os.environ.items()
                    if name.startswith(("OPENBLAS_", "ATEN_", "DNNL_", "ONEDNN_"))}
        service = {**({"build": build} if build else {}),
                   **({"environment": numerics} if numerics else {})}
        with open(os.path.join(self.checkout, "override.json"), "w") as file:
            json.dump({"services": {name: service for name in SERVICES}}, file)

    def compose(self, *arguments, **options):
        return call(*self.composer, *arguments, cwd=self.checkout, env=self.environment, **options)

    def containers(self):
        """{service: [container as docker describes it]}."""
        described = {}
        label = f"label=com.docker.compose.project={self.project}"
        for name in call("docker", "ps", "--all", "--quiet", "--filter", label).stdout.split():
            (container,) = json.loads(call("docker", "inspect", name).stdout)
            service = container["Config"]["Labels"]["com.docker.compose.service"]
            described.setdefault(service, []).append(container)
        return described

    def test_one_command_gives_the_weights_of_one_process(self):
        started = time.monotonic()
        up = self.compose("up", "--build", "--exit-code-from", "submit", "--scale", "worker=3",
                          check=False, timeout=DEADLINE - time.monotonic())
        self.assertEqual(up.returncode, 0, up.stdout[-6000:])
        print(f"built and run in {time.monotonic() - started:.0f} s", file=sys.stderr)

        folder = os.path.join(self.checkout, "runs", "compose")
        for name in ("../teacher.pt", "student.pt", "student.safetensors", "metrics.json"):
            status = os.stat(os.path.join(folder, name))
            self.assertEqual((status.st_uid, status.st_gid), (UID, GID), name)
        with open(os.path.join(folder, "metrics.json")) as file:
            done = json.load(file)["run"]
        with open(os.path.join(folder, "student.safetensors"), "rb") as file:
            self.assertEqual(done["weights_sha256"], hashlib.sha256(file.read()).hexdigest())

        # The same RunSpec and the same teacher, without containers.
        spec = os.path.join(self.checkout, "deploy", "examples", "digits.yaml")
        here = run("distillery", "run", spec, "--output", os.path.join(self.checkout, "here"), "--json")
        here = json.loads(here.stdout)["run"]
        print(f"containers {done['weights_sha256']}\nhost       {here['weights_sha256']}",
              file=sys.stderr)
        self.assertEqual(done["weights_sha256"], here["weights_sha256"])
        self.assertFalse(done["inexact"])

        containers = self.containers()
        self.assertEqual(len(containers["worker"]), 3)
        for service in ("teacher", "coordinator", "worker"):
            for container in containers[service]:
                # `up` ended them by SIGTERM, which reached the program: it ended by itself.
                self.assertEqual(container["State"]["ExitCode"], 0, service)
                self.assertNotIn(container["Config"]["User"], ("", "0", "root", "0:0"), service)
        (image,) = json.loads(call("docker", "inspect", containers["worker"][0]["Image"]).stdout)
        print(f"image of a worker: {image['Size'] / 1e6:.0f} MB", file=sys.stderr)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    if result.wasSuccessful() and result.skipped:
        print("skipped: " + "; ".join(reason for _, reason in result.skipped), file=sys.stderr)
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() else 1)
