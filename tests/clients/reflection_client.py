"""A client of gRPC's server reflection, as newer tools are: it asks for v1, and where that is
UNIMPLEMENTED for v1alpha. Its messages are made here, by the protocol's numbers: nothing of ours."""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto


def _messages(version):
    """Classes of the request and the response of one version."""
    package = f"grpc.reflection.{version}"
    file = descriptor_pb2.FileDescriptorProto(name=f"client/{version}.proto", package=package,
                                              syntax="proto3")

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = made.field.add(name=field, number=number,
                                   label=FIELD.LABEL_REPEATED if repeated
                                   else FIELD.LABEL_OPTIONAL)
            if isinstance(kind, str):
                added.type, added.type_name = FIELD.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = kind

    text, number, data = FIELD.TYPE_STRING, FIELD.TYPE_INT32, FIELD.TYPE_BYTES
    message("ServerReflectionRequest", ("host", 1, text, False),
            ("file_by_filename", 3, text, False), ("file_containing_symbol", 4, text, False),
            ("list_services", 7, text, False))
    message("FileDescriptorResponse", ("file_descriptor_proto", 1, data, True))
    message("ServiceResponse", ("name", 1, text, False))
    message("ListServiceResponse", ("service", 1, "ServiceResponse", True))
    message("ErrorResponse", ("error_code", 1, number, False), ("error_message", 2, text, False))
    message("ServerReflectionResponse", ("valid_host", 1, text, False),
            ("file_descriptor_response", 4, "FileDescriptorResponse", False),
            ("list_services_response", 6, "ListServiceResponse", False),
            ("error_response", 7, "ErrorResponse", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName(f"{package}.{name}"))
            for name in ("ServerReflectionRequest", "ServerReflectionResponse")]


class ReflectionClient:
    """Errors of the connection are grpc.RpcError; an answer that is an error is KeyError."""

    def __init__(self, channel, versions=("v1", "v1alpha")):
        """`versions`: asked for in this order, until one is there."""
        self.channel = channel
        self.versions = list(versions)
        self.pool = descriptor_pool.DescriptorPool()
        self.known = set()

    def ask(self, **question):
        while True:
            version = self.versions[0]
            request, response = _messages(version)
            method = self.channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString)
            try:
                answer = next(method(iter([request(**question)]), timeout=30))
                break
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNIMPLEMENTED or len(self.versions) == 1:
                    raise
                self.versions.pop(0)
        if answer.HasField("error_response"):
            raise KeyError(answer.error_response.error_message)
        return answer

    def services(self):
        return [service.name for service in self.ask(list_services="*").list_services_response
                .service]

    def service(self, name):
        """The descriptor of a service, of this client's own pool."""
        files = [descriptor_pb2.FileDescriptorProto.FromString(one) for one in
                 self.ask(file_containing_symbol=name).file_descriptor_response
                 .file_descriptor_proto]
        for file in reversed(files):  # what a file needs comes behind it
            if file.name not in self.known:
                self.known.add(file.name)
                self.pool.Add(file)
        return self.pool.FindServiceByName(name)

    def call(self, service, method, /, timeout=30, **fields):
        """A unary call of a method that this client has learned by reflection alone."""
        described = self.service(service).FindMethodByName(method)
        factory = message_factory.MessageFactory(self.pool)
        request = factory.GetPrototype(described.input_type)
        response = factory.GetPrototype(described.output_type)
        return self.channel.unary_unary(f"/{service}/{method}",
                                        request_serializer=request.SerializeToString,
                                        response_deserializer=response.FromString)(
                                            request(**fields), timeout=timeout)
