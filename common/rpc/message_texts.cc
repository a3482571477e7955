#include "common/rpc/message_texts.h"

#include <google/protobuf/descriptor.h>

#include <vector>

#include "common/base/text.h"

namespace distillery {

using google::protobuf::FieldDescriptor;

void MakeTextsWhole(google::protobuf::Message* message) {
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(*message, &fields);
  for (const FieldDescriptor* const field : fields) {
    const bool text = field->type() == FieldDescriptor::TYPE_STRING;
    if (!text && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    std::string scratch;
    if (!field->is_repeated()) {
      if (!text) {
        MakeTextsWhole(reflection.MutableMessage(message, field));
      } else if (const auto& value = reflection.GetStringReference(*message, field, &scratch);
                 !IsUtf8(value)) {
        reflection.SetString(message, field, WholeUtf8(value));
      }
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
      if (!text) {
        MakeTextsWhole(reflection.MutableRepeatedMessage(message, field, i));
      } else if (const auto& value =
                     reflection.GetRepeatedStringReference(*message, field, i, &scratch);
                 !IsUtf8(value)) {
        reflection.SetRepeatedString(message, field, i, WholeUtf8(value));
      }
    }
  }
}

}  // namespace distillery
