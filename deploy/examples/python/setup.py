"""Installs the client; makes the stubs of the contract in proto/ on the way.

    pip install deploy/examples/python

The stubs are made by grpcio-tools if that is installed, else by protoc with its grpc_python_plugin
(Debian: protobuf-compiler, protobuf-compiler-grpc).
"""

import glob
import os
import shutil
import subprocess

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "..", "..", "..", "proto")
FILES = sorted(os.path.relpath(path, PROTO)
               for path in glob.glob(os.path.join(PROTO, "distillery", "v1", "*.proto")))


def make_stubs(folder):
    options = [f"-I{PROTO}", f"--python_out={folder}", f"--grpc_python_out={folder}", *FILES]
    try:
        from grpc_tools import protoc
    except ImportError:
        plugin = shutil.which("grpc_python_plugin")
        if plugin is None:
            raise SystemExit("install grpcio-tools, or protobuf-compiler-grpc") from None
        subprocess.run(["protoc", f"--plugin=protoc-gen-grpc_python={plugin}", *options],
                       check=True)
    else:
        if protoc.main(["protoc", *options]) != 0:
            raise SystemExit("protoc failed")


class BuildWithStubs(build_py):
    def run(self):
        super().run()
        os.makedirs(self.build_lib, exist_ok=True)
        make_stubs(self.build_lib)


setup(name="distillery-client", version="0.1.0", packages=["distillery_client"],
      description="Soft targets from a Distillery teacher, as NumPy arrays",
      python_requires=">=3.9", install_requires=["grpcio", "protobuf", "numpy"],
      cmdclass={"build_py": BuildWithStubs})
