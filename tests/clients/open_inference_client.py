"""A client of the Open Inference Protocol on stock grpcio, from the protocol's pages alone: nothing in
it knows what serves the models."""

import array
import collections
import math
import os
import struct
import subprocess
import sys

import grpc

# Raw bytes of a data type, as array's type codes; FP16 and BF16 have none.
TYPE_CODES = {"BOOL": "B", "UINT8": "B", "INT8": "b", "INT32": "i", "INT64": "q", "UINT64": "Q",
              "FP32": "f", "FP64": "d"}
# The field of InferTensorContents that holds a data type.
CONTENTS = {"BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents",
            "INT32": "int_contents", "INT64": "int64_contents", "UINT8": "uint_contents",
            "UINT16": "uint_contents", "UINT32": "uint_contents", "UINT64": "uint64_contents",
            "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents"}

Tensor = collections.namedtuple("Tensor", "name datatype shape values")


def make_stubs(proto_root, folder):
    """Compiles the protocol into `folder`; returns its modules: messages and services."""
    subprocess.run(["protoc", f"-I{proto_root}", f"--python_out={folder}",
                    f"--grpc_python_out={folder}",
                    "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
                    os.path.join("inference", "grpc_service.proto")], check=True)
    sys.path.insert(0, folder)
    from inference import grpc_service_pb2, grpc_service_pb2_grpc
    return grpc_service_pb2, grpc_service_pb2_grpc


def raw_bytes(datatype, values):
    """Elements as the protocol's raw contents: row-major, little-endian."""
    if isinstance(values, bytes):
        return values
    if datatype == "FP16":
        return struct.pack(f"<{len(values)}e", *values)
    if datatype == "BF16":  # the upper halves of binary32, cut off
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    packed = array.array(TYPE_CODES[datatype], values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def raw_values(datatype, data):
    values = array.array(TYPE_CODES[datatype])
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return list(values)


class OpenInferenceClient:
    """One connection. Errors are grpc.RpcError. Threads: safe for all."""

    def __init__(self, address, messages, services, timeout=30):
        self.messages = messages
        self.timeout = timeout
        self.channel = grpc.insecure_channel(address)
        self.stub = services.GRPCInferenceServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def live(self):
        return self.stub.ServerLive(self.messages.ServerLiveRequest(), timeout=self.timeout).live

    def ready(self):
        return self.stub.ServerReady(self.messages.ServerReadyRequest(),
                                     timeout=self.timeout).ready

    def model_ready(self, name, version=""):
        request = self.messages.ModelReadyRequest(name=name, version=version)
        return self.stub.ModelReady(request, timeout=self.timeout).ready

    def server_metadata(self):
        return self.stub.ServerMetadata(self.messages.ServerMetadataRequest(),
                                        timeout=self.timeout)

    def model_metadata(self, name, version=""):
        request = self.messages.ModelMetadataRequest(name=name, version=version)
        return self.stub.ModelMetadata(request, timeout=self.timeout)

    def model_config(self, name, version=""):
        request = self.messages.ModelConfigRequest(name=name, version=version)
        return self.stub.ModelConfig(request, timeout=self.timeout).config

    def statistics(self, name="", version=""):
        """All models' for an empty name, by name."""
        request = self.messages.ModelStatisticsRequest(name=name, version=version)
        answer = self.stub.ModelStatistics(request, timeout=self.timeout)
        return {one.name: one for one in answer.model_stats}

    def request(self, model, inputs, raw=True, parameters=None, outputs=(), version="", id=""):
        """A ModelInferRequest of `inputs`, Tensors. Parameters keep their Python types."""
        request = self.messages.ModelInferRequest(model_name=model, model_version=version, id=id)
        for name, value in (parameters or {}).items():
            kind = {bool: "bool_param", int: "int64_param", float: "double_param",
                    str: "string_param"}[type(value)]
            setattr(request.parameters[name], kind, value)
        for tensor in inputs:
            added = request.inputs.add(name=tensor.name, datatype=tensor.datatype,
                                       shape=tensor.shape)
            if raw:
                request.raw_input_contents.append(raw_bytes(tensor.datatype, tensor.values))
            else:
                getattr(added.contents, CONTENTS[tensor.datatype]).extend(tensor.values)
        for name in outputs:
            request.outputs.add(name=name)
        return request

    def infer(self, *arguments, **options):
        """Arguments of `request`; returns the outputs as Tensors by name."""
        return self.tensors(self.stub.ModelInfer(self.request(*arguments, **options),
                                                 timeout=self.timeout))

    def tensors(self, answer):
        """The outputs of a ModelInferResponse as Tensors by name, raw or typed."""
        found = {}
        if answer.raw_output_contents and len(answer.raw_output_contents) != len(answer.outputs):
            raise ValueError("raw_output_contents does not have one entry per output")
        for index, output in enumerate(answer.outputs):
            if answer.raw_output_contents:
                if output.HasField("contents"):
                    raise ValueError(f"{output.name} has raw and typed contents")
                values = raw_values(output.datatype, answer.raw_output_contents[index])
            else:
                values = list(getattr(output.contents, CONTENTS[output.datatype]))
            shape = list(output.shape)
            if math.prod(shape) != len(values):
                raise ValueError(f"{output.name} of shape {shape} has {len(values)} elements")
            found[output.name] = Tensor(output.name, output.datatype, shape, values)
        return found
