#include "cli/report/run_panels.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/models/logit_reader.h"
#include "cli/models/student_model.h"
#include "cli/report/sample_panel.h"
#include "cli/runs/evaluation_text.h"
#include "cli/runs/run_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/data/catalog.h"
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
        const EvaluationMetrics figures = FromProto(evaluation);
        const auto answers = static_cast<double>(figures.answer_count());
        const bool of_values = figures.value_count > 0;
        if (!of_values) {
          one["accuracy"] = static_cast<double>(figures.correct_answer_count()) / answers;
          one["cross_entropy"] = figures.cross_entropy;
        }
        if (figures.agreement_count >= 0 && !of_values) {
          one["agreement"] = static_cast<double>(figures.agreement_answer_count()) / answers;
        }
        one.update(FiguresOfKindsToJson(figures));
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
    DatasetCatalog catalog(question.data_dir);
    const DatasetCatalog::Opened data = catalog.Open(question.dataset);
    const bool keeps = data.ok() && KeepsAnswers(**data);

    const RunSources& places = sources_.sources;
    std::optional<ModelFigures> teacher;
    std::vector<float> teacher_logits;
    if (!places.teacher_model.empty()) {
      ModelQuestion about = question;
      about.model_path = places.teacher_model;
      about.card_path = places.teacher_card;
      DISTILLERY_ASSIGN_OR_RETURN(teacher,
                                  Measure("teacher", about, keeps ? &teacher_logits : nullptr));
    } else if (spec_.loss().alpha() > 0) {
      Absent("teacher", "the teacher's file is not here: give --teacher FILE");
    } else {
      Absent("teacher", "the run had no teacher (alpha is 0): --teacher FILE compares with one");
    }

    std::optional<ModelFigures> student;
    std::vector<float> student_logits;
    if (!sources_.student_model.empty()) {
      ModelQuestion about = question;
      about.model_path = sources_.student_model;
      if (teacher.has_value() && keeps) about.teacher_logits = &teacher_logits;
      if (teacher.has_value() && !keeps) {
        about.teacher_path = places.teacher_model;
        about.teacher_card_path = places.teacher_card;
      }
      DISTILLERY_ASSIGN_OR_RETURN(student,
                                  Measure("student", about, keeps ? &student_logits : nullptr));
    } else {
      Absent("student", "the student's file is not here");
    }
    if (student.has_value() && teacher.has_value()) CheckTeacher(student->metrics);
    const ModelFigures* const any = teacher.has_value()   ? &*teacher
                                    : student.has_value() ? &*student
                                                          : nullptr;
    if (any == nullptr) {
      Absent("samples", "neither teacher nor student could be asked");
      return absl::OkStatus();
    }
    json_["class_names"] = any->class_names;
    if (!data.ok()) {
      Absent("samples", std::string(data.status().message()));
      return absl::OkStatus();
    }
    if (!keeps) {
      DISTILLERY_RETURN_IF_ERROR(AskFirst(**data, teacher.has_value() ? places.teacher_model : "",
                                          places.teacher_card, &teacher_logits));
      DISTILLERY_RETURN_IF_ERROR(
          AskFirst(**data, student.has_value() ? sources_.student_model : "", "", &student_logits));
    }
    AddSamples({data->get(), question.data_dir, &teacher_logits, &student_logits,
                /*in_order=*/!keeps});
    return absl::OkStatus();
  }

  // A model's figures, which are shown; nothing if it cannot be measured, which is said.
  absl::StatusOr<std::optional<ModelFigures>> Measure(const char* name,
                                                      const ModelQuestion& question,
                                                      std::vector<float>* logits) {
    auto measured = MeasureModel(question, logits);
    if (absl::IsCancelled(measured.status())) return measured.status();
    if (!measured.ok()) {
      Absent(name, std::string(measured.status().message()));
      return std::nullopt;
    }
    AddModel(name, *measured);
    return *std::move(measured);
  }

  void AddSamples(const SampleQuestion& question) {
    const AnswerSpec& answer = question.dataset->spec().answer;
    if (!answer.one_class()) {
      json_["answer"] = {{"kind", std::string(SpecOf(answer.kind).name)},
                         {"positions", answer.positions}};
    }
    auto samples = PickSamples(question);
    if (samples.ok()) {
      json_["samples"] = *std::move(samples);
    } else {
      Absent("samples", std::string(samples.status().message()));
    }
  }

  // Whether the answers for all samples are held in memory, so that some are picked by them.
  static bool KeepsAnswers(const Dataset& dataset) {
    constexpr int64_t kMostNumbers = int64_t{1} << 27;
    const int64_t per_sample = dataset.spec().answer.position_count() * dataset.class_count();
    return dataset.size() <= kMostNumbers / std::max<int64_t>(1, per_sample);
  }

  // Logits of the first samples, of a model whose answers are not kept; "": no model.
  static absl::Status AskFirst(const Dataset& dataset, const std::string& model,
                               const std::string& card, std::vector<float>* logits) {
    constexpr int64_t kFirst = 6;
    if (model.empty()) return absl::OkStatus();
    LogitQuestion question;
    question.model_path = model;
    question.card_path = card;
    for (int64_t row = 0; row < std::min(kFirst, dataset.size()); ++row) {
      question.rows.push_back(row);
    }
    DISTILLERY_ASSIGN_OR_RETURN(SplitLogits first, ComputeLogits(question, dataset));
    *logits = std::move(first.logits);
    return absl::OkStatus();
  }

  void AddModel(const std::string& role, const ModelFigures& figures) {
    const EvaluationMetrics& metrics = figures.metrics;
    Json model;
    model["role"] = role;
    model["architecture"] = figures.architecture;
    model["parameter_count"] = figures.parameter_count;
    model["file_byte_count"] = figures.file_bytes;
    model["sample_count"] = metrics.sample_count;
    if (!metrics.of_one_class()) AddFiguresOfKind(metrics, &model);
    if (metrics.counts_right()) AddCounts(metrics, &model);
    json_["models"].push_back(std::move(model));
  }

  // Of classes, for a sample or at positions.
  void AddCounts(const EvaluationMetrics& metrics, Json* model) {
    (*model)["correct_count"] = metrics.correct_count;
    (*model)["cross_entropy"] = metrics.cross_entropy;
    (*model)["calibration_error"] = metrics.calibration_error();
    if (metrics.agreement_count >= 0) {
      (*model)["agreement_count"] = metrics.agreement_count;
      (*model)["teacher_kl"] = metrics.teacher_kl;
    }
    (*model)["confusion"] = metrics.confusion_matrix;
    if (metrics.confusion_matrix.empty()) {
      Absent("confusion", absl::StrCat("more than ", kMostConfusionClasses, " classes"));
    }
    (*model)["calibration"] = Json::array();
    for (const CalibrationBin& bin : metrics.calibration_bins) {
      (*model)["calibration"].push_back({{"sample_count", bin.sample_count},
                                         {"correct_count", bin.correct_count},
                                         {"confidence_sum", bin.confidence_sum}});
    }
  }

  // Of other answers than one class for a sample: as people read them, and as numbers.
  static void AddFiguresOfKind(const EvaluationMetrics& metrics, Json* model) {
    Json& figures = (*model)["figures"] = Json::array();
    const auto add = [&](const std::string& name, const std::string& text) {
      figures.push_back({{"name", name}, {"text", text}});
    };
    for (const FigureText& figure : FigureTexts(metrics)) add(figure.name, figure.text);
    const bool values = metrics.value_count > 0;
    if (metrics.agreement_count >= 0 && !values) {
      add("agrees with teacher",
          FormatShare(metrics.agreement_answer_count(), metrics.answer_count()));
    }
    if (metrics.agreement_count >= 0) {
      add(values ? "mean squared error against the teacher" : "KL(teacher || student)",
          absl::StrFormat("%.6g", metrics.teacher_kl));
    }
    if (!values) {
      (*model)["accuracy"] = static_cast<double>(metrics.correct_answer_count()) /
                             static_cast<double>(metrics.answer_count());
    }
    model->update(FiguresOfKindsToJson(metrics));
    const Json details = DetailsToJson(metrics);
    for (const char* const group : {"labels", "values"}) {
      if (details.contains(group)) (*model)[group] = details[group];
    }
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
