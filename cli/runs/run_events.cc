#include "cli/runs/run_events.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/proto_conversion.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// The wall time of a round or replica: from the first lease to the last result.
struct Span {
  double begin = 0;
  double end = 0;

  void Include(const v1::LeaseRecord& lease) {
    begin =
        begin == 0 ? lease.granted_unix_seconds() : std::min(begin, lease.granted_unix_seconds());
    end = std::max(end, lease.ended_unix_seconds());
  }
  double seconds() const { return end - begin; }
};

void AddTraining(const v1::TrainMetrics& train, double seconds, int64_t step, double time,
                 EventFile* file) {
  const TrainMetrics metrics = FromProto(train);
  VisitTrainMetrics([&](const char* /*name*/, auto figure, OfRound /*of*/, const char* tag) {
    if (tag != nullptr) file->AddScalar(tag, step, time, static_cast<double>(metrics.*figure));
  });
  if (seconds > 0) {
    file->AddScalar("time/samples_per_second", step, time,
                    static_cast<double>(train.sample_count()) / seconds);
  }
}

void AddEvaluation(const v1::EvaluationMetrics& metrics, int64_t step, double time,
                   EventFile* file) {
  if (metrics.sample_count() == 0) return;
  const EvaluationMetrics figures = FromProto(metrics);
  const auto add = [&](const std::string& name, double value) {
    file->AddScalar("evaluation/" + name, step, time, value);
  };
  const auto answers = static_cast<double>(figures.answer_count());
  const bool of_values = figures.value_count > 0;
  if (!of_values) {
    add("accuracy", static_cast<double>(figures.correct_answer_count()) / answers);
    add("cross_entropy", figures.cross_entropy);
  }
  if (figures.agreement_count >= 0) {
    if (!of_values) {
      add("teacher_agreement", static_cast<double>(figures.agreement_answer_count()) / answers);
    }
    add("teacher_kl", figures.teacher_kl);
  }
  const auto of_kinds = FiguresOfKindsToJson(figures);
  for (const auto& [name, value] : of_kinds.items()) {
    if (value.is_number_float()) add(name, value.get<double>());
  }
  if (metrics.held_out_sample_count() > 0) {
    file->AddScalar("evaluation/held_out_cross_entropy", step, time,
                    metrics.held_out_cross_entropy());
  }
}

}  // namespace

NamedHistograms WeightHistograms(const Weights& weights) {
  NamedHistograms histograms;
  for (const TensorSpec& tensor : weights.layout().tensors()) {
    if (tensor.type != ElementType::kFloat32) continue;
    std::vector<float> values(static_cast<size_t>(tensor.element_count));
    const absl::string_view bytes = weights.Bytes(tensor);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    histograms.emplace(tensor.name, HistogramOf(values));
  }
  return histograms;
}

absl::Status WriteRunEvents(const RunEvents& events, const std::string& folder) {
  const v1::Run& run = events.run.run();
  const auto submitted = static_cast<double>(run.submitted_unix_seconds());
  const std::string name =
      absl::StrCat("events.out.tfevents.", run.submitted_unix_seconds(), ".", run.run_id());
  std::map<int64_t, Span> rounds;
  std::map<int64_t, EventFile> replicas;
  for (const v1::LeaseRecord& lease : events.leases) {
    if (!lease.has_train()) continue;
    rounds[lease.lease().round()].Include(lease);
    if (lease.lease().replica() >= kMostReplicaFolders) continue;
    EventFile& file = replicas.try_emplace(lease.lease().replica(), submitted).first->second;
    AddTraining(lease.train(), lease.train().seconds(), lease.lease().round() + 1,
                lease.ended_unix_seconds(), &file);
  }
  EventFile file(submitted);
  const auto add_weights = [&](int64_t step, double time) {
    const auto weights = events.weights.find(step);
    if (weights == events.weights.end()) return;
    for (const auto& [tensor, histogram] : weights->second) {
      file.AddHistogram("weights/" + tensor, step, time, histogram);
    }
  };
  add_weights(0, submitted);
  double last = submitted;
  for (const v1::Round& round : events.run.rounds()) {
    const int64_t step = round.round() + 1;
    const Span& span = rounds[round.round()];
    const double time = span.end > 0 ? span.end : submitted;
    AddTraining(round.train(), span.seconds(), step, time, &file);
    file.AddScalar("averaging/delta_norm", step, time, round.delta_norm());
    AddEvaluation(round.evaluation(), step, time, &file);
    add_weights(step, time);
    last = std::max(last, time);
  }
  file.AddHistogram("teacher/entropy", run.completed_round_count(), last,
                    HistogramOf(events.teacher_entropies));
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(folder));
  DISTILLERY_RETURN_IF_ERROR(file.Write(absl::StrCat(folder, "/", name)));
  for (const auto& [replica, own] : replicas) {
    const std::string place = absl::StrCat(folder, "/replica-", replica);
    DISTILLERY_RETURN_IF_ERROR(MakeFolders(place));
    DISTILLERY_RETURN_IF_ERROR(own.Write(absl::StrCat(place, "/", name)));
  }
  return absl::OkStatus();
}

}  // namespace distillery
