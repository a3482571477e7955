#include "teacher_service/rpc/inference_models.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/data/numbers.h"
#include "nlohmann/json.hpp"
#include "teacher_service/inference/outputs.h"
#include "teacher_service/inference/query_inputs.h"
#include "teacher_service/rpc/inference_datatypes.h"
#include "teacher_service/rpc/inference_request.h"

namespace distillery {
namespace {

// A list of texts as JSON; a text that is no UTF-8 must not end the process.
std::string ToJson(const std::vector<std::string>& texts) {
  return nlohmann::json(texts).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// perf_analyzer and others know these words.
const char* Platform(const TeacherInfo& info) {
  return info.members.empty() ? "pytorch_torchscript" : "ensemble";
}

const std::string& SoftTargets() {
  return InferenceOutputNames()[static_cast<size_t>(InferenceOutput::kSoftTargets)];
}

void FillDuration(int64_t count, absl::Duration time, inference::StatisticDuration* message) {
  message->set_count(static_cast<uint64_t>(count));
  message->set_ns(static_cast<uint64_t>(absl::ToInt64Nanoseconds(time)));
}

void FillEnsemble(const TeacherInfo& info, inference::ModelEnsembling* ensemble) {
  for (const EnsembleMember& member : info.members) {
    inference::ModelEnsembling::Step* const step = ensemble->add_step();
    step->set_model_name(member.model_name);
    step->set_model_version(-1);
    for (const std::string& name : InputNames(info.card.samples)) {
      (*step->mutable_input_map())[name] = name;
    }
    (*step->mutable_output_map())[SoftTargets()] =
        absl::StrCat(member.model_name, ".", SoftTargets());
  }
}

}  // namespace

void FillModelMetadata(const TeacherInfo& info, inference::ModelMetadataResponse* response) {
  response->set_name(info.model_name);
  response->add_versions(kModelVersion);
  response->set_platform(Platform(info));
  const SampleSpec& samples = info.card.samples;
  for (size_t i = 0; i < samples.inputs.size(); ++i) {
    inference::ModelMetadataResponse::TensorMetadata* const input = response->add_inputs();
    input->set_name(InputName(samples, i));
    input->set_datatype(FindDatatype(ModelType(samples.inputs[i]))->name);
    input->add_shape(-1);
    for (const int64_t size : samples.inputs[i].shape) input->add_shape(size);
  }
  // Clients ask for each output that is listed, so those that need top_k are a property.
  inference::ModelMetadataResponse::TensorMetadata* const output = response->add_outputs();
  output->set_name(SoftTargets());
  output->set_datatype("FP32");
  output->add_shape(-1);
  for (const int64_t size : samples.answer.positions) output->add_shape(size);
  output->add_shape(info.card.class_count());
  auto& properties = *response->mutable_properties();
  properties["teacher_digest"] = info.digest;
  properties["class_names"] = ToJson(info.card.class_names);
  properties["numerics_fingerprint"] = info.numerics_fingerprint;
  std::vector<std::string> top_k_outputs = InferenceOutputNames();
  top_k_outputs.erase(top_k_outputs.begin());
  if (samples.answer.kind != AnswerKind::kClasses) top_k_outputs.clear();
  properties["top_k_outputs"] = ToJson(top_k_outputs);
  if (!samples.is_picture_by_class()) properties["samples"] = samples.ToString();
}

void FillModelConfig(const TeacherInfo& info, const WorkQueue::Options& queue,
                     inference::ModelConfig* config) {
  config->set_name(info.model_name);
  config->set_platform(Platform(info));
  config->set_max_batch_size(
      static_cast<int32_t>(std::min(info.max_batch_rows, kMaxInferenceRows)));
  const SampleSpec& samples = info.card.samples;
  for (size_t i = 0; i < samples.inputs.size(); ++i) {
    inference::ModelInput* const input = config->add_input();
    input->set_name(InputName(samples, i));
    input->set_data_type(FindDatatype(ModelType(samples.inputs[i]))->config);
    if (samples.inputs[i].is_picture()) input->set_format(inference::ModelInput::FORMAT_NCHW);
    for (const int64_t size : samples.inputs[i].shape) input->add_dims(size);
  }
  inference::ModelOutput* const output = config->add_output();
  output->set_name(SoftTargets());
  output->set_data_type(inference::TYPE_FP32);
  for (const int64_t size : samples.answer.positions) output->add_dims(size);
  output->add_dims(info.card.class_count());
  if (info.members.empty()) {
    config->mutable_dynamic_batching()->set_max_queue_delay_microseconds(
        static_cast<uint64_t>(absl::ToInt64Microseconds(queue.max_queue_delay)));
  } else {
    FillEnsemble(info, config->mutable_ensemble_scheduling());
  }
}

void FillModelStatistics(const std::string& name, const ModelStatistics& statistics,
                         inference::ModelStatistics* message) {
  message->set_name(name);
  message->set_version(kModelVersion);
  message->set_last_inference(static_cast<uint64_t>(absl::ToUnixMillis(statistics.last_query)));
  message->set_inference_count(static_cast<uint64_t>(statistics.query_row_count));
  message->set_execution_count(static_cast<uint64_t>(statistics.query_batch_count));
  inference::InferStatistics* const queries = message->mutable_inference_stats();
  const int64_t count = statistics.query_count;
  FillDuration(count, statistics.queue_time + statistics.query_compute_time,
               queries->mutable_success());
  FillDuration(statistics.failed_query_count, absl::ZeroDuration(), queries->mutable_fail());
  FillDuration(count, statistics.queue_time, queries->mutable_queue());
  FillDuration(count, absl::ZeroDuration(), queries->mutable_compute_input());
  FillDuration(count, statistics.query_compute_time, queries->mutable_compute_infer());
  FillDuration(count, absl::ZeroDuration(), queries->mutable_compute_output());
  for (const auto& [rows, passes] : statistics.query_passes) {
    inference::InferBatchStatistics* const batch = message->add_batch_stats();
    batch->set_batch_size(static_cast<uint64_t>(rows));
    FillDuration(passes.count, absl::ZeroDuration(), batch->mutable_compute_input());
    FillDuration(passes.count, passes.time, batch->mutable_compute_infer());
    FillDuration(passes.count, absl::ZeroDuration(), batch->mutable_compute_output());
  }
}

}  // namespace distillery
