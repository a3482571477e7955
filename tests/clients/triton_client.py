"""What Triton's image clients do, from Triton's pages and the numbers of its public protos alone: its
own files are not needed, nor any of ours."""

import os
import struct
import subprocess
import sys

import grpc

# As Triton's grpc_service.proto and model_config.proto number them; the parts that image clients read.
PROTO = """
syntax = "proto3";
package inference;
message ServerMetadataRequest {}
message ServerMetadataResponse { string name = 1; string version = 2; repeated string extensions = 3; }
message ModelMetadataRequest { string name = 1; string version = 2; }
message ModelMetadataResponse {
  message TensorMetadata { string name = 1; string datatype = 2; repeated int64 shape = 3; }
  string name = 1; repeated string versions = 2; string platform = 3;
  repeated TensorMetadata inputs = 4; repeated TensorMetadata outputs = 5;
}
message ModelInput {
  enum Format { FORMAT_NONE = 0; FORMAT_NHWC = 1; FORMAT_NCHW = 2; }
  string name = 1; int32 data_type = 2; Format format = 3; repeated int64 dims = 4;
}
message ModelOutput { string name = 1; int32 data_type = 2; repeated int64 dims = 3; }
message ModelConfig {
  string name = 1; string platform = 2; int32 max_batch_size = 4;
  repeated ModelInput input = 5; repeated ModelOutput output = 6;
}
message ModelConfigRequest { string name = 1; string version = 2; }
message ModelConfigResponse { ModelConfig config = 1; }
message InferParameter {
  oneof parameter_choice {
    bool bool_param = 1; int64 int64_param = 2; string string_param = 3; double double_param = 4;
    uint64 uint64_param = 5;
  }
}
message ModelInferRequest {
  message InferInputTensor {
    string name = 1; string datatype = 2; repeated int64 shape = 3;
    map<string, InferParameter> parameters = 4;
  }
  message InferRequestedOutputTensor { string name = 1; map<string, InferParameter> parameters = 2; }
  string model_name = 1; string model_version = 2; string id = 3;
  map<string, InferParameter> parameters = 4;
  repeated InferInputTensor inputs = 5; repeated InferRequestedOutputTensor outputs = 6;
  repeated bytes raw_input_contents = 7;
}
message ModelInferResponse {
  message InferOutputTensor { string name = 1; string datatype = 2; repeated int64 shape = 3; }
  string model_name = 1; string model_version = 2; string id = 3;
  repeated InferOutputTensor outputs = 5; repeated bytes raw_output_contents = 6;
}
message RepositoryIndexRequest { string repository_name = 1; bool ready = 2; }
message RepositoryIndexResponse {}
message SystemSharedMemoryStatusRequest { string name = 1; }
message SystemSharedMemoryStatusResponse {}
message LogSettingsRequest {}
message LogSettingsResponse {}
service GRPCInferenceService {
  rpc ServerMetadata(ServerMetadataRequest) returns (ServerMetadataResponse);
  rpc ModelMetadata(ModelMetadataRequest) returns (ModelMetadataResponse);
  rpc ModelConfig(ModelConfigRequest) returns (ModelConfigResponse);
  rpc ModelInfer(ModelInferRequest) returns (ModelInferResponse);
  rpc ModelStreamInfer(stream ModelInferRequest) returns (stream ModelInferResponse);
  rpc RepositoryIndex(RepositoryIndexRequest) returns (RepositoryIndexResponse);
  rpc SystemSharedMemoryStatus(SystemSharedMemoryStatusRequest)
      returns (SystemSharedMemoryStatusResponse);
  rpc LogSettings(LogSettingsRequest) returns (LogSettingsResponse);
}
"""


def make_stubs(folder):
    """Compiles PROTO into `folder`; returns its modules: messages and services."""
    with open(os.path.join(folder, "triton_subset.proto"), "w") as file:
        file.write(PROTO)
    subprocess.run(["protoc", f"-I{folder}", f"--python_out={folder}",
                    f"--grpc_python_out={folder}",
                    "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
                    "triton_subset.proto"], check=True)
    sys.path.insert(0, folder)
    import triton_subset_pb2
    import triton_subset_pb2_grpc
    return triton_subset_pb2, triton_subset_pb2_grpc


def texts_of(raw):
    """Elements of BYTES: of each its size in 4 bytes, little-endian, and itself."""
    texts, at = [], 0
    while at < len(raw):
        size, = struct.unpack_from("<I", raw, at)
        texts.append(raw[at + 4:at + 4 + size].decode())
        at += 4 + size
    return texts


class TritonImageClient:
    def __init__(self, channel, messages, services):
        self.messages = messages
        self.stub = services.GRPCInferenceServiceStub(channel)

    def parse_model(self, name):
        """(input, output, channels, height, width) as an image client makes them out; ValueError for a
        model that it cannot use."""
        metadata = self.stub.ModelMetadata(self.messages.ModelMetadataRequest(name=name), timeout=30)
        config = self.stub.ModelConfig(self.messages.ModelConfigRequest(name=name), timeout=30).config
        for tensors in (metadata.inputs, metadata.outputs, config.input):
            if len(tensors) != 1:
                raise ValueError(f"expecting 1 tensor, got {len(tensors)}")
        if metadata.outputs[0].datatype != "FP32":
            raise ValueError("expecting output datatype to be FP32")
        batched = config.max_batch_size > 0
        if sum(size != 1 for size in metadata.outputs[0].shape[1 if batched else 0:]) > 1:
            raise ValueError("expecting model output to be a vector")
        if len(metadata.inputs[0].shape) != (4 if batched else 3):
            raise ValueError("expecting input to have 3 dimensions")
        form = self.messages.ModelInput
        if config.input[0].format not in (form.FORMAT_NCHW, form.FORMAT_NHWC):
            raise ValueError("unexpected input format")
        sizes = list(config.input[0].dims)
        if config.input[0].format == form.FORMAT_NHWC:
            sizes = [sizes[2], *sizes[:2]]
        return (metadata.inputs[0].name, metadata.outputs[0].name, *sizes)

    def classify(self, model, pixels, shape, class_count):
        """Of each picture: [(value, class, name)], largest first."""
        input_name, output_name, *_ = self.parse_model(model)
        request = self.messages.ModelInferRequest(model_name=model)
        request.inputs.add(name=input_name, datatype="FP32", shape=shape)
        request.raw_input_contents.append(pixels)
        output = request.outputs.add(name=output_name)
        output.parameters["classification"].int64_param = class_count
        answer = self.stub.ModelInfer(request, timeout=30)
        tensor = answer.outputs[0]
        if tensor.datatype != "BYTES":
            raise ValueError(f"expecting BYTES, got {tensor.datatype}")
        texts = texts_of(answer.raw_output_contents[0])
        rows, count = tensor.shape
        if len(texts) != rows * count:
            raise ValueError(f"{len(texts)} texts for {list(tensor.shape)}")
        parts = [text.split(":") for text in texts]
        found = [(float(value), int(index), name) for value, index, name in parts]
        return [found[row * count:(row + 1) * count] for row in range(rows)]
