#!/usr/bin/env python3
"""cpack makes a Debian package that has what it should; cmake --install the same, elsewhere."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

from deployment import BUILD, SOURCE, make_package, program

PROGRAMS = ("teacher_service", "coordinator", "student_worker", "distillery")


def output(*command):
    return subprocess.run(command, text=True, check=True, stdout=subprocess.PIPE,
                          timeout=300).stdout


def version():
    with open(os.path.join(SOURCE, "CMakeLists.txt")) as file:
        return re.search(r"project\(distillery VERSION ([0-9.]+)", file.read())[1]


@unittest.skipUnless(shutil.which("dpkg-deb") and shutil.which("cpack"), "no cpack or no dpkg-deb")
class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="distillery-package-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.package = make_package(cls.folder)
        cls.contents = {}  # path: (mode, owner, size)
        for line in output("dpkg-deb", "--contents", cls.package).splitlines():
            mode, owner, size, _, _, path = line.split(None, 5)
            cls.contents[path[1:]] = (mode, owner, int(size))

    def field(self, name):
        return output("dpkg-deb", "--field", self.package, name).strip()

    def control(self, name):
        folder = os.path.join(self.folder, "control")
        if not os.path.isdir(folder):
            output("dpkg-deb", "--control", self.package, folder)
        path = os.path.join(folder, name)
        self.assertTrue(os.path.exists(path), name)
        return path

    def test_the_name_and_version_are_the_project_s(self):
        self.assertEqual(self.field("Package"), "distillery")
        self.assertEqual(self.field("Version"), version())
        self.assertEqual(self.field("Architecture"), output("dpkg", "--print-architecture").strip())
        self.assertRegex(self.field("Description"), "Knowledge distillation as a service")

    def test_it_depends_on_the_libraries_that_the_programs_load(self):
        depends = self.field("Depends")
        for name in ("libtorch1.13", "libgrpc++1.51", "libsqlite3-0", "libspdlog1.10",
                     "libopenblas0-pthread", "libmicrohttpd12", "adduser"):
            self.assertIn(name, depends)
        # Run-time packages alone.
        self.assertNotIn("-dev", depends)

    def test_programs_are_there_stripped_and_owned_by_root(self):
        for name in PROGRAMS:
            mode, owner, size = self.contents[f"/usr/bin/{name}"]
            self.assertEqual((mode, owner), ("-rwxr-xr-x", "root/root"))
            self.assertLess(size, os.path.getsize(program(name)) + 1)

    def test_what_goes_with_them_is_there(self):
        protos = sorted(os.listdir(os.path.join(SOURCE, "proto", "distillery", "v1")))
        self.assertIn("run_spec.proto", protos)
        for path in (*(f"/usr/share/distillery/proto/distillery/v1/{name}" for name in protos),
                     "/usr/share/distillery/proto/inference/grpc_service.proto",
                     "/usr/share/doc/distillery/examples/digits.yaml",
                     "/usr/share/doc/distillery/examples/python/distillery_client/__init__.py",
                     "/usr/share/doc/distillery/README.md",
                     "/usr/share/doc/distillery/docs/metrics.md",
                     "/usr/share/doc/distillery/docs/measured/training.md",
                     "/usr/share/doc/distillery/copyright",
                     "/usr/share/distillery/prometheus/alerts.yml",
                     "/usr/share/distillery/grafana/dashboards/distillery.json",
                     "/usr/share/distillery/kubernetes/base/kustomization.yaml",
                     *(f"/usr/lib/systemd/system/distillery-{name}.service"
                       for name in ("teacher", "coordinator", "worker")),
                     *(f"/etc/distillery/{name}.env" for name in ("teacher", "coordinator", "worker"))):
            self.assertEqual(self.contents[path][:2], ("-rw-r--r--", "root/root"), path)
        for name in PROGRAMS:
            self.assertIn(f"/usr/share/man/man1/{name}.1", self.contents)

    def test_nothing_is_there_that_should_not_be(self):
        for path in self.contents:
            self.assertNotRegex(path, r"\.pyc|__pycache__|-key\.pem|/tests/|^/usr/(etc|local)")

    def test_settings_are_conffiles(self):
        with open(self.control("conffiles")) as file:
            self.assertEqual(set(file.read().split()),
                             {path for path in self.contents if re.fullmatch(r"/etc/.*[^/]", path)})

    def test_the_scripts_make_the_user_and_are_shell(self):
        for name in ("postinst", "prerm", "postrm"):
            path = self.control(name)
            self.assertTrue(os.access(path, os.X_OK))
            output("sh", "-n", path)
        with open(self.control("postinst")) as file:
            self.assertIn("adduser --quiet --system --group", file.read())

    def test_manual_pages_say_what_help_says(self):
        with tempfile.TemporaryDirectory() as folder:
            output("dpkg-deb", "--extract", self.package, folder)
            page = os.path.join(folder, "usr/share/man/man1/coordinator.1")
            with open(page) as file:
                text = file.read()
        self.assertIn(".TH COORDINATOR 1", text)
        self.assertIn(r"coordinator \- Plans distillation runs", text)
        self.assertIn(r"\-\-lease\-seconds", text)

    def test_cmake_install_goes_where_it_is_told(self):
        prefix = os.path.join(self.folder, "prefix")
        output("cmake", "--install", BUILD, "--prefix", prefix)
        for name in PROGRAMS:
            self.assertEqual(output(os.path.join(prefix, "bin", name), "--version").strip(),
                             f"{name} {version()}")
        self.assertTrue(os.path.exists(os.path.join(prefix, "etc", "distillery", "worker.env")))


if __name__ == "__main__":
    unittest.main()
