// The door for messages that the program sends. A string of proto3 must be UTF-8, or the receiver
// drops the whole message; but a string with a file's name or a library's words in it may be
// anything.
#pragma once

#include <google/protobuf/message.h>

namespace distillery {

// Makes each string of the message, and of the messages in it, UTF-8 as WholeUtf8 does; fields of
// bytes stay as they are.
void MakeTextsWhole(google::protobuf::Message* message);

}  // namespace distillery
