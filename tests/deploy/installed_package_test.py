#!/usr/bin/env python3
"""The package where there is nothing but Debian: apt installs it, the demo runs, apt removes it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from deployment import make_package  # finds the next as well

import debian


class InstalledPackageTest(unittest.TestCase):
    def setUp(self):
        if os.getuid() != 0:
            self.skipTest("only root may chroot")
        archive = debian.archive()
        self.root = tempfile.mkdtemp(prefix="distillery-root-")
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        subprocess.run(["tar", "-C", self.root, "-xf", archive], check=True)
        for what, options in (("proc", ["-t", "proc", "proc"]), ("dev", ["--bind", "/dev"])):
            place = os.path.join(self.root, what)
            subprocess.run(["mount", *options, place], check=True)
            # Before the folder is removed: cleanups run from the last to the first.
            self.addCleanup(subprocess.run, ["umount", "--lazy", place], check=True)
        shutil.copy("/etc/resolv.conf", os.path.join(self.root, "etc", "resolv.conf"))
        if debian.host_proxy():
            with open(os.path.join(self.root, "etc/apt/apt.conf.d/proxy"), "w") as file:
                file.write(f'Acquire::http::Proxy "{debian.host_proxy()}";\n')
        # No service is started while packages are installed.
        policy = os.path.join(self.root, "usr", "sbin", "policy-rc.d")
        with open(policy, "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(policy, 0o755)

    def inside(self, *command, check=True, timeout=900):
        done = subprocess.run(
            ["chroot", self.root, *command], text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                 "DEBIAN_FRONTEND": "noninteractive", "HOME": "/tmp"})
        if check:
            self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout[-6000:]}")
        return done

    def test_apt_installs_it_the_demo_runs_and_apt_removes_it(self):
        package = make_package(os.path.join(self.root, "tmp"))
        inside = "/tmp/" + os.path.basename(package)
        self.inside("apt-get", "-qq", "update")
        self.inside("apt-get", "-qq", "-y", "--no-install-recommends", "install", inside)
        self.assertIn("install ok installed", self.inside("dpkg-query", "-W", "-f", "${Status}",
                                                          "distillery").stdout)
        user = self.inside("getent", "passwd", "distillery").stdout.strip()
        self.assertTrue(user.endswith(":/usr/sbin/nologin"), user)
        status = os.stat(os.path.join(self.root, "etc/distillery/certificates"))
        self.assertEqual(status.st_mode & 0o777, 0o750)
        # What a service is allowed to be: that user.
        demo = self.inside("setpriv", "--reuid=distillery", "--regid=distillery", "--clear-groups",
                           "distillery", "demo", "--output", "/tmp/demo")
        print(demo.stdout, file=sys.stderr)
        self.assertIn("student, distilled", demo.stdout)
        with open(os.path.join(self.root, "tmp/demo/results.json")) as file:
            json.load(file)
        # A setting that was changed stays, until purge.
        setting = os.path.join(self.root, "etc/distillery/worker.env")
        with open(setting, "a") as file:
            file.write("# mine\n")
        self.inside("apt-get", "-qq", "-y", "remove", "distillery")
        self.assertFalse(os.path.exists(os.path.join(self.root, "usr/bin/distillery")))
        self.assertTrue(os.path.exists(setting))
        self.inside("apt-get", "-qq", "-y", "purge", "distillery")
        self.assertFalse(os.path.exists(setting))


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    if result.wasSuccessful() and result.skipped:
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() else 1)
