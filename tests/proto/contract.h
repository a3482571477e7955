// The .proto files, parsed with their comments, and what a contract test asks of them.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace distillery {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;

class Contract {
 public:
  // kOurs: package distillery.v1. kForeign: a protocol of others, whose names and numbers are
  // theirs. kTensorBoard: its messages in a package of ours. kGrpc: what gRPC itself defines.
  enum class Owner { kOurs, kForeign, kTensorBoard, kGrpc };

  // Every file of an owner under proto/: a new one is tested without being named here. protoc keeps
  // the comments, the descriptors that are compiled in do not.
  explicit Contract(Owner owner) {
    const std::string root = DISTILLERY_SOURCE_DIR "/proto";
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      const std::string name = std::filesystem::relative(entry.path(), root).string();
      if (entry.path().extension() != ".proto" || OwnerOf(name) != owner) continue;
      names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    std::string command =
        DISTILLERY_PROTOC
        " --include_imports --include_source_info --descriptor_set_out=/dev/stdout -I" +
        root;
    for (const std::string& name : names) command += " " + name;
    const google::protobuf::FileDescriptorSet set = Parse(Output(command));
    // Imports come before those that need them.
    for (const auto& file : set.file()) EXPECT_NE(pool_.BuildFile(file), nullptr) << file.name();
    for (const std::string& name : names) {
      const FileDescriptor* const file = pool_.FindFileByName(name);
      EXPECT_NE(file, nullptr) << name;
      if (file != nullptr) files_.push_back(file);
    }
  }

  const std::vector<const FileDescriptor*>& files() const { return files_; }

  std::vector<const Descriptor*> Messages() const {
    std::vector<const Descriptor*> found;
    for (const FileDescriptor* const file : files_) {
      for (int i = 0; i < file->message_type_count(); ++i) Nested(file->message_type(i), &found);
    }
    return found;
  }
  std::vector<const FieldDescriptor*> Fields() const {
    std::vector<const FieldDescriptor*> found;
    for (const Descriptor* const message : Messages()) {
      for (int i = 0; i < message->field_count(); ++i) found.push_back(message->field(i));
    }
    return found;
  }
  std::vector<const EnumDescriptor*> Enums() const {
    std::vector<const EnumDescriptor*> found;
    for (const FileDescriptor* const file : files_) {
      for (int i = 0; i < file->enum_type_count(); ++i) found.push_back(file->enum_type(i));
    }
    for (const Descriptor* const message : Messages()) {
      for (int i = 0; i < message->enum_type_count(); ++i) found.push_back(message->enum_type(i));
    }
    return found;
  }
  std::vector<const MethodDescriptor*> Methods() const {
    std::vector<const MethodDescriptor*> found;
    for (const FileDescriptor* const file : files_) {
      for (int i = 0; i < file->service_count(); ++i) {
        for (int k = 0; k < file->service(i)->method_count(); ++k) {
          found.push_back(file->service(i)->method(k));
        }
      }
    }
    return found;
  }

 private:
  static Owner OwnerOf(const std::string& name) {
    if (name == "inference/grpc_service.proto") return Owner::kForeign;
    if (name.rfind("grpc/", 0) == 0) return Owner::kGrpc;
    return name.rfind("distillery/tensorboard/", 0) == 0 ? Owner::kTensorBoard : Owner::kOurs;
  }
  static void Nested(const Descriptor* message, std::vector<const Descriptor*>* found) {
    if (message->options().map_entry()) return;  // made by protoc for a map field
    found->push_back(message);
    for (int i = 0; i < message->nested_type_count(); ++i) Nested(message->nested_type(i), found);
  }
  static std::string Output(const std::string& command) {
    FILE* const pipe = popen(command.c_str(), "r");
    EXPECT_NE(pipe, nullptr);
    std::string output;
    char part[4096];
    for (size_t size; (size = fread(part, 1, sizeof(part), pipe)) > 0;) output.append(part, size);
    EXPECT_EQ(pclose(pipe), 0) << command;
    return output;
  }
  static google::protobuf::FileDescriptorSet Parse(const std::string& bytes) {
    google::protobuf::FileDescriptorSet set;
    EXPECT_TRUE(set.ParseFromString(bytes));
    return set;
  }

  google::protobuf::DescriptorPool pool_;
  std::vector<const FileDescriptor*> files_;
};

// The comment right above an element; "" if there is none.
template <typename Element>
std::string Comment(const Element& element) {
  google::protobuf::SourceLocation location;
  return element.GetSourceLocation(&location) ? location.leading_comments : "";
}

// "TaskKind" to "TASK_KIND".
inline std::string UpperSnake(const std::string& name) {
  std::string upper;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z' && !upper.empty()) upper += '_';
    upper += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return upper;
}

}  // namespace distillery
