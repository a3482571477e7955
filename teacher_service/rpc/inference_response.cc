#include "teacher_service/rpc/inference_response.h"

#include <cstring>
#include <utility>

namespace distillery {
namespace {

// Little-endian elements of four bytes to a repeated field.
template <typename Element>
void Spread(const std::string& data, google::protobuf::RepeatedField<Element>* field) {
  static_assert(sizeof(Element) == 4);
  field->Resize(static_cast<int>(data.size() / sizeof(Element)), Element{});
  std::memcpy(field->mutable_data(), data.data(), data.size());
}

}  // namespace

void FillInferenceResponse(const InferenceRequest& request, const TeacherInfo& info,
                           const float* logits, inference::ModelInferResponse* response) {
  response->set_model_name(info.model_name);
  response->set_model_version(kModelVersion);
  (*response->mutable_parameters())["teacher_digest"].set_string_param(info.digest);
  for (InferenceTensor& tensor :
       MakeInferenceTensors(logits, request.rows, info.card, request.parameters, request.outputs)) {
    inference::ModelInferResponse::InferOutputTensor* const output = response->add_outputs();
    output->set_name(InferenceOutputNames()[static_cast<size_t>(tensor.output)]);
    output->set_datatype(tensor.datatype);
    for (const int64_t size : tensor.shape) output->add_shape(size);
    if (request.raw) {
      response->add_raw_output_contents(tensor.texts.empty() ? std::move(tensor.data)
                                                             : RawTexts(tensor.texts));
    } else if (!tensor.texts.empty()) {
      for (std::string& text : tensor.texts) {
        output->mutable_contents()->add_bytes_contents(std::move(text));
      }
    } else if (tensor.datatype == "INT32") {
      Spread(tensor.data, output->mutable_contents()->mutable_int_contents());
    } else {
      Spread(tensor.data, output->mutable_contents()->mutable_fp32_contents());
    }
  }
}

}  // namespace distillery
