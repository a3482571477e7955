// The door of messages that we send: proto3's strings are UTF-8, and a receiver drops a message in which
// one is not. What holds a file's name or a library's words may be anything.
#pragma once

#include <google/protobuf/message.h>

namespace distillery {

// Makes each string of the message, and of the messages in it, UTF-8 as WholeUtf8 does; bytes stay.
void MakeTextsWhole(google::protobuf::Message* message);

}  // namespace distillery
