#include "cli/report/run_panels.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/models/sample.h"
#include "cli/models/student_model.h"
#include "cli/runs/run_text.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/proto_conversion.h"
#include "common/run/sweep.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using Json = nlohmann::ordered_json;

// A page with more would be slow to draw and tell no more.
constexpr int64_t kMostPoints = 1000;
constexpr int64_t kMostLeases = 4000;
constexpr int64_t kMostReplicas = 64;
constexpr size_t kMostUncertain = 6;

Json Numbers(const v1::TrainMetrics& train) {
  const TrainMetrics metrics = FromProto(train);
  Json numbers = {{"sample_count", metrics.sample_count}};
  VisitTrainMetrics([&](const char* name, auto figure, OfRound /*of*/, const char* tag) {
    if (tag != nullptr) numbers[name] = metrics.*figure;
  });
  return numbers;
}

class Gatherer {
 public:
  explicit Gatherer(const PanelSources& sources)
      : sources_(sources), run_(sources.run.run()), spec_(run_.spec()) {
    json_["absent"] = Json::array();
  }

  absl::StatusOr<std::string> Gather() {
    AddRun();
    AddRounds();
    AddReplicas();
    AddFlow();
    AddLeases();
    AddTime();
    DISTILLERY_RETURN_IF_ERROR(AddModels());
    return json_.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

 private:
  // A panel, or a part of one, that is not shown.
  void Absent(const std::string& panel, const std::string& reason) {
    json_["absent"].push_back({{"panel", panel}, {"reason", reason}});
  }

  void AddRun() {
    Json& run = json_["run"];
    run["name"] = spec_.name();
    run["run_id"] = run_.run_id();
    run["state"] = RunStateName(run_);
    run["state_reason"] = run_.state_reason();
    run["completed_round_count"] = run_.completed_round_count();
    run["inexact"] = run_.inexact();
    run["lost_lease_count"] = run_.lost_lease_count();
    run["submitted_unix_seconds"] = run_.submitted_unix_seconds();
    run["initial_weights_sha256"] = run_.initial_weights_sha256();
    run["weights_sha256"] = run_.weights_sha256();
    run["teacher_digest"] = run_.teacher_digest();
    run["dataset_digest"] = run_.dataset_digest();
    json_["spec"] = Json::array();
    const auto spec = FromProto(spec_);
    if (!spec.ok()) {
      return Absent("spec", absl::StrCat("this version does not know the run's RunSpec: ",
                                         std::string(spec.status().message())));
    }
    for (const auto& [key, value] : FlattenRunSpec(*spec)) {
      json_["spec"].push_back({{"key", key}, {"value", value}});
    }
  }

  // Every n-th round, and the last.
  static bool Keeps(int64_t index, int64_t count) {
    const int64_t step = (count + kMostPoints - 1) / kMostPoints;
    return count <= kMostPoints || index % step == 0 || index == count - 1;
  }

  void AddRounds() {
    json_["rounds"] = Json::array();
    const int64_t count = sources_.run.rounds_size();
    if (count == 0) Absent("rounds", "the record has no completed round of this run");
    for (int64_t i = 0; i < count; ++i) {
      if (!Keeps(i, count)) continue;
      const v1::Round& round = sources_.run.rounds(static_cast<int>(i));
      Json one = {{"step", round.round() + 1}};
      one.update(Numbers(round.train()));
      one["delta_norm"] = round.delta_norm();
      one["delta_count"] = round.delta_count();
      const v1::EvaluationMetrics& evaluation = round.evaluation();
      if (evaluation.sample_count() > 0) {
        const auto samples = static_cast<double>(evaluation.sample_count());
        one["accuracy"] = static_cast<double>(evaluation.correct_count()) / samples;
        one["cross_entropy"] = evaluation.cross_entropy();
        if (evaluation.agreement_count() >= 0) {
          one["agreement"] = static_cast<double>(evaluation.agreement_count()) / samples;
        }
      }
      json_["rounds"].push_back(std::move(one));
    }
    if (count > kMostPoints) {
      Absent("rounds", absl::StrCat("of ", count, " rounds about ", kMostPoints, " are drawn"));
    }
  }

  void AddReplicas() {
    json_["replicas"] = Json::array();
    if (!sources_.leases.has_value()) return Absent("replicas", sources_.no_leases);
    const int64_t replicas = spec_.training().replicas();
    for (const v1::LeaseRecord& lease : sources_.leases->leases()) {
      if (!lease.has_train() || lease.lease().replica() >= kMostReplicas ||
          !Keeps(lease.lease().round(), run_.completed_round_count())) {
        continue;
      }
      Json one = {{"step", lease.lease().round() + 1},
                  {"replica", lease.lease().replica()},
                  {"worker", lease.worker_name()}};
      one.update(Numbers(lease.train()));
      json_["replicas"].push_back(std::move(one));
    }
    if (replicas > kMostReplicas) {
      Absent("replicas",
             absl::StrCat("of ", replicas, " replicas the first ", kMostReplicas, " are drawn"));
    }
  }

  void AddFlow() {
    const v1::RunLoss& loss = spec_.loss();
    const v1::TrainMetrics& train = run_.latest_round().train();
    json_["flow"] = {
        {"step", run_.completed_round_count()},
        {"loss_name", loss.name().empty() ? "kd" : loss.name()},
        {"alpha", loss.alpha()},
        {"temperature", loss.temperature()},
        {"scheduled", !loss.alpha_schedule().empty() || !loss.temperature_schedule().empty()},
        {"soft_loss", train.soft_loss()},
        {"hard_loss", train.hard_loss()},
        {"loss", train.loss()}};
  }

  void AddLeases() {
    json_["leases"] = Json::array();
    if (!sources_.leases.has_value()) return Absent("leases", sources_.no_leases);
    for (const v1::LeaseRecord& lease : sources_.leases->leases()) {
      if (static_cast<int64_t>(json_["leases"].size()) == kMostLeases) break;
      json_["leases"].push_back(
          {{"kind", std::string(TaskKindName(static_cast<TaskKind>(lease.lease().kind())))},
           {"round", lease.lease().round()},
           {"replica", lease.lease().replica()},
           {"token", lease.lease().fencing_token()},
           {"worker", lease.worker_name()},
           {"worker_id", lease.lease().worker_id()},
           {"granted", lease.granted_unix_seconds()},
           {"ended", lease.ended_unix_seconds()},
           {"outcome", lease.outcome()}});
    }
    if (sources_.leases->leases_size() > kMostLeases) {
      Absent("leases", absl::StrCat("of ", sources_.leases->leases_size(), " leases the first ",
                                    kMostLeases, " are drawn"));
    }
  }

  // Seconds of all workers together.
  void AddTime() {
    double training = 0;
    double teacher = 0;
    double data = 0;
    double transfer = 0;
    double evaluation = 0;
    double lost = 0;
    const auto add = [&](const v1::TrainMetrics& train) {
      teacher += train.teacher_wait_seconds();
      data += train.data_wait_seconds();
      training +=
          std::max(0.0, train.seconds() - train.teacher_wait_seconds() - train.data_wait_seconds());
    };
    if (sources_.leases.has_value()) {
      for (const v1::LeaseRecord& lease : sources_.leases->leases()) {
        if (lease.ended_unix_seconds() <= 0) continue;
        const double held = lease.ended_unix_seconds() - lease.granted_unix_seconds();
        if (lease.outcome() != "done") {
          lost += held;
        } else if (lease.has_train()) {
          add(lease.train());
          transfer += std::max(0.0, held - lease.train().seconds());
        } else if (lease.lease().kind() == v1::TASK_KIND_EVALUATE) {
          evaluation += held;
        } else {
          transfer += held;
        }
      }
    } else {
      for (const v1::Round& round : sources_.run.rounds()) add(round.train());
      Absent("time", absl::StrCat("transfers, evaluations and lost work are not counted: ",
                                  sources_.no_leases));
    }
    json_["time"] = Json::array();
    for (const auto& [name, seconds] :
         std::vector<std::pair<const char*, double>>{{"training", training},
                                                     {"waiting for the teacher", teacher},
                                                     {"waiting for data", data},
                                                     {"weights down and up", transfer},
                                                     {"evaluation", evaluation},
                                                     {"lost or given back", lost}}) {
      json_["time"].push_back({{"name", name}, {"seconds", seconds}});
    }
  }

  // Panels that need the models themselves.
  absl::Status AddModels() {
    json_["models"] = Json::array();
    json_["class_names"] = Json::array();
    json_["samples"] = Json::array();
    const v1::RunDataset& dataset = spec_.dataset();
    ModelQuestion question;
    question.dataset = {dataset.name(), dataset.evaluation_split(),
                        std::max<int64_t>(1, dataset.shard_size())};
    question.data_dir = sources_.sources.data_dir;

    const RunSources& places = sources_.sources;
    std::optional<ModelFigures> teacher;
    std::vector<float> teacher_logits;
    if (!places.teacher_model.empty()) {
      ModelQuestion about = question;
      about.model_path = places.teacher_model;
      about.card_path = places.teacher_card;
      auto measured = MeasureModel(about, &teacher_logits);
      if (absl::IsCancelled(measured.status())) return measured.status();
      if (measured.ok()) {
        teacher = *std::move(measured);
      } else {
        Absent("teacher", std::string(measured.status().message()));
      }
    } else if (spec_.loss().alpha() > 0) {
      Absent("teacher", "the teacher's file is not here: give --teacher FILE");
    } else {
      Absent("teacher", "the run had no teacher (alpha is 0): --teacher FILE compares with one");
    }
    if (teacher.has_value()) AddModel("teacher", *teacher);

    std::optional<ModelFigures> student;
    std::vector<float> student_logits;
    if (!sources_.student_model.empty()) {
      ModelQuestion about = question;
      about.model_path = sources_.student_model;
      if (teacher.has_value()) about.teacher_logits = &teacher_logits;
      auto measured = MeasureModel(about, &student_logits);
      if (absl::IsCancelled(measured.status())) return measured.status();
      if (measured.ok()) {
        student = *std::move(measured);
      } else {
        Absent("student", std::string(measured.status().message()));
      }
    } else {
      Absent("student", "the student's file is not here");
    }
    if (student.has_value()) {
      AddModel("student", *student);
      if (teacher.has_value()) CheckTeacher(student->metrics);
    }
    const ModelFigures* const any = teacher.has_value()   ? &*teacher
                                    : student.has_value() ? &*student
                                                          : nullptr;
    if (any == nullptr) {
      Absent("samples", "neither teacher nor student could be asked");
      return absl::OkStatus();
    }
    json_["class_names"] = any->class_names;
    return AddSamples(any->class_names.size(), teacher_logits, student_logits);
  }

  void AddModel(const std::string& role, const ModelFigures& figures) {
    const EvaluationMetrics& metrics = figures.metrics;
    Json model;
    model["role"] = role;
    model["architecture"] = figures.architecture;
    model["parameter_count"] = figures.parameter_count;
    model["file_byte_count"] = figures.file_bytes;
    model["sample_count"] = metrics.sample_count;
    model["correct_count"] = metrics.correct_count;
    model["cross_entropy"] = metrics.cross_entropy;
    model["calibration_error"] = metrics.calibration_error();
    if (metrics.agreement_count >= 0) {
      model["agreement_count"] = metrics.agreement_count;
      model["teacher_kl"] = metrics.teacher_kl;
    }
    model["confusion"] = metrics.confusion_matrix;
    if (metrics.confusion_matrix.empty()) {
      Absent("confusion", absl::StrCat("more than ", kMostConfusionClasses, " classes"));
    }
    model["calibration"] = Json::array();
    for (const CalibrationBin& bin : metrics.calibration_bins) {
      model["calibration"].push_back({{"sample_count", bin.sample_count},
                                      {"correct_count", bin.correct_count},
                                      {"confidence_sum", bin.confidence_sum}});
    }
    json_["models"].push_back(std::move(model));
  }

  // Another file than the run's teacher would show pictures that are not the run's.
  void CheckTeacher(const EvaluationMetrics& now) {
    const v1::EvaluationMetrics& then = run_.latest_evaluation();
    constexpr double kTolerance = 0.02;
    if (then.sample_count() != now.sample_count || then.agreement_count() < 0) return;
    if (std::abs(then.teacher_kl() - now.teacher_kl) <=
        kTolerance * std::max(1e-3, then.teacher_kl())) {
      return;
    }
    Absent("teacher", absl::StrCat("the file is not the teacher that the run learnt from: KL was ",
                                   then.teacher_kl(), " then and is ", now.teacher_kl, " now"));
  }

  static std::vector<float> RowOf(const std::vector<float>& logits, int64_t row, size_t classes) {
    const auto first = logits.begin() + row * static_cast<int64_t>(classes);
    return {first, first + static_cast<int64_t>(classes)};
  }

  // In nats.
  static double EntropyOf(const std::vector<float>& row) {
    const double most = *std::max_element(row.begin(), row.end());
    double sum = 0;
    double weighted = 0;
    for (const float z : row) {
      const double e = std::exp(z - most);
      sum += e;
      weighted += e * (z - most);
    }
    return std::log(sum) - weighted / sum;
  }

  static int64_t ChoiceOf(const std::vector<float>& row) {
    return std::max_element(row.begin(), row.end()) - row.begin();
  }

  absl::Status AddSamples(size_t classes, const std::vector<float>& teacher,
                          const std::vector<float>& student) {
    const std::vector<float>& judge = teacher.empty() ? student : teacher;
    const std::string who = teacher.empty() ? "student" : "teacher";
    const auto count = static_cast<int64_t>(judge.size() / classes);
    std::vector<double> entropies;
    for (int64_t row = 0; row < count; ++row) {
      entropies.push_back(EntropyOf(RowOf(judge, row, classes)));
    }
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return entropies[static_cast<size_t>(a)] > entropies[static_cast<size_t>(b)];
    });
    // The least certain of each choice, so that no single pair of classes fills the list.
    std::vector<std::pair<int64_t, std::string>> picked;
    std::set<int64_t> choices;
    for (const int64_t row : order) {
      if (picked.size() == kMostUncertain) break;
      if (!choices.insert(ChoiceOf(RowOf(judge, row, classes))).second) continue;
      picked.emplace_back(row, who + " uncertain");
    }
    const auto add = [&](int64_t row, const std::string& why) {
      for (const auto& [known, reason] : picked) {
        if (known == row) return false;
      }
      picked.emplace_back(row, why);
      return true;
    };
    if (!teacher.empty() && !student.empty()) {
      for (const int64_t row : order) {
        if (ChoiceOf(RowOf(teacher, row, classes)) == ChoiceOf(RowOf(student, row, classes))) {
          continue;
        }
        if (add(row, "teacher and student differ")) break;
      }
    }
    if (!order.empty()) add(order.back(), who + " certain");

    std::vector<int64_t> rows;
    rows.reserve(picked.size());
    for (const auto& [row, why] : picked) rows.push_back(row);
    const v1::RunDataset& dataset = spec_.dataset();
    const auto samples = ReadDatasetSamples(dataset.name(), dataset.evaluation_split(),
                                            sources_.sources.data_dir, rows);
    if (!samples.ok()) {
      Absent("samples", std::string(samples.status().message()));
      return absl::OkStatus();
    }
    for (size_t i = 0; i < picked.size(); ++i) {
      const auto& [row, why] = picked[i];
      const Sample& sample = (*samples)[i];
      std::vector<int> pixels;
      for (const float pixel : sample.pixels) {
        pixels.push_back(static_cast<int>(std::lround(255.0 * static_cast<double>(pixel))));
      }
      Json one;
      one["name"] = sample.name;
      one["why"] = why;
      one["label"] = sample.label.value_or(-1);
      one["shape"] = sample.shape.ToVector();
      one["pixels"] = std::move(pixels);
      one["entropy"] = entropies[static_cast<size_t>(row)];
      if (!teacher.empty()) one["teacher_logits"] = RowOf(teacher, row, classes);
      if (!student.empty()) one["student_logits"] = RowOf(student, row, classes);
      json_["samples"].push_back(std::move(one));
    }
    return absl::OkStatus();
  }

  const PanelSources& sources_;
  const v1::Run& run_;
  const v1::RunSpec& spec_;
  Json json_;
};

}  // namespace

absl::StatusOr<std::string> GatherPanels(const PanelSources& sources) {
  return Gatherer(sources).Gather();
}

}  // namespace distillery
