#include "teacher_service/teachers/ensemble_teacher.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/checksum.h"
#include "common/base/status_macros.h"
#include "common/soft_targets/finite.h"

namespace distillery {
namespace {

class EnsembleTeacher : public Teacher {
 public:
  EnsembleTeacher(TeacherInfo info, EnsembleOptions::Mean mean,
                  std::vector<std::shared_ptr<Teacher>> teachers)
      : info_(std::move(info)),
        mean_(info_.card.samples.answer.kind == AnswerKind::kValues ? EnsembleOptions::Mean::kLogits
                                                                    : mean),
        labels_(info_.card.samples.answer.kind == AnswerKind::kMultilabel),
        teachers_(std::move(teachers)) {}

  const TeacherInfo& info() const override { return info_; }

  absl::Status ComputeLogits(const InputColumns& inputs, int64_t rows, float* logits) override {
    const int64_t classes = info_.card.class_count();
    // For each position of each row.
    const int64_t answers = rows * info_.card.samples.answer.position_count();
    const auto size = static_cast<size_t>(answers * classes);
    // Sums in double and in the members' order: the same bits whoever asks.
    Sums sums{std::vector<double>(size, 0), std::vector<double>(labels_ ? size : 0, 0)};
    std::vector<float> one(size);
    for (size_t m = 0; m < teachers_.size(); ++m) {
      DISTILLERY_RETURN_IF_ERROR(teachers_[m]->ComputeLogits(inputs, rows, one.data()));
      for (int64_t first = 0; first < answers * classes; first += classes) {
        Add(&one[static_cast<size_t>(first)], first, info_.members[m].weight, &sums);
      }
    }
    for (size_t i = 0; i < size; ++i) {
      const double sum = sums.sums[i];
      if (mean_ == EnsembleOptions::Mean::kLogits || std::isnan(sum)) {
        logits[i] = static_cast<float>(sum);
      } else {
        const double against = labels_ ? std::log(std::max(sums.against[i], kLeast)) : 0;
        logits[i] = static_cast<float>(std::log(std::max(sum, kLeast)) - against);
      }
    }
    return absl::OkStatus();
  }

 private:
  // The smallest probability whose logarithm is taken: e^-100, beyond what float32's softmax holds.
  static constexpr double kLeast = 3.7e-44;

  struct Sums {
    // Of logits, or of probabilities.
    std::vector<double> sums;
    // Of labels, the probabilities that they are not there: 1 - sum would leave nothing of small
    // ones.
    std::vector<double> against;
  };

  // The answer to one position, `row` [classes], which is at `first` of the sums.
  void Add(const float* row, int64_t first, double weight, Sums* all) const {
    const int64_t classes = info_.card.class_count();
    double* const sums = &all->sums[static_cast<size_t>(first)];
    if (mean_ == EnsembleOptions::Mean::kLogits) {
      for (int64_t i = 0; i < classes; ++i) sums[i] += weight * row[i];
      return;
    }
    // A member without an answer is none that can be left out of the mean.
    if (!AllFinite(row, classes)) {
      std::fill(sums, sums + classes, std::nan(""));
      return;
    }
    if (labels_) {
      double* const against = &all->against[static_cast<size_t>(first)];
      for (int64_t i = 0; i < classes; ++i) {
        sums[i] += weight / (1 + std::exp(-static_cast<double>(row[i])));
        against[i] += weight / (1 + std::exp(static_cast<double>(row[i])));
      }
      return;
    }
    const double largest = *std::max_element(row, row + classes);
    double total = 0;
    for (int64_t i = 0; i < classes; ++i) total += std::exp(row[i] - largest);
    for (int64_t i = 0; i < classes; ++i) sums[i] += weight * std::exp(row[i] - largest) / total;
  }

  const TeacherInfo info_;
  const EnsembleOptions::Mean mean_;
  const bool labels_;
  const std::vector<std::shared_ptr<Teacher>> teachers_;
};

// Of a picture the pixel_max says nothing: pixels come in 0..1.
bool SameSamples(const SampleSpec& a, const SampleSpec& b) {
  if (a.is_picture_by_class() && b.is_picture_by_class()) {
    return a.picture_shape() == b.picture_shape();
  }
  return a == b;
}

absl::Status CheckAgree(const std::string& name, const TeacherInfo& first,
                        const TeacherInfo& other) {
  const char* what = nullptr;
  if (!SameSamples(first.card.samples, other.card.samples)) what = "input shapes";
  if (first.card.class_names != other.card.class_names) what = "classes";
  if (first.batch_rows != other.batch_rows) what = "batch_rows";
  if (first.half_logits != other.half_logits) what = "cache precisions";
  if (what == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("ensemble ", name, ": models ",
                                                    first.model_name, " and ", other.model_name,
                                                    " have different ", what));
}

}  // namespace

absl::StatusOr<std::vector<EnsembleMember>> ParseEnsembleMembers(const std::string& text) {
  std::vector<EnsembleMember> members;
  double total = 0;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> split = absl::StrSplit(part, absl::MaxSplits(':', 1));
    EnsembleMember member{split.first, 1};
    if (member.model_name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("ensemble \"", text, "\": write NAME=a:0.7,b:0.3"));
    }
    const bool weighted = absl::StrContains(part, ":");
    if (weighted && (!absl::SimpleAtod(split.second, &member.weight) ||
                     !std::isfinite(member.weight) || member.weight <= 0)) {
      return absl::InvalidArgumentError(absl::StrCat("ensemble weight of ", member.model_name,
                                                     " must be > 0, got \"", split.second, "\""));
    }
    for (const EnsembleMember& earlier : members) {
      if (earlier.model_name == member.model_name) {
        return absl::InvalidArgumentError(
            absl::StrCat("ensemble \"", text, "\" holds ", member.model_name, " twice"));
      }
    }
    total += member.weight;
    members.push_back(std::move(member));
  }
  for (EnsembleMember& member : members) member.weight /= total;
  return members;
}

absl::StatusOr<std::shared_ptr<Teacher>> MakeEnsembleTeacher(
    const std::string& name, const EnsembleOptions& options,
    std::vector<std::shared_ptr<Teacher>> teachers) {
  TeacherInfo info = teachers.front()->info();
  info.model_name = name;
  info.members = options.members;
  info.parameter_count = 0;
  // A model that answers with probabilities is asked for logits all the same.
  info.card.outputs_probabilities = false;
  std::string identity = absl::StrCat(
      "distillery ensemble 1\n",
      options.mean == EnsembleOptions::Mean::kLogits ? "logits" : "probabilities", "\n");
  for (size_t i = 0; i < teachers.size(); ++i) {
    const TeacherInfo& member = teachers[i]->info();
    DISTILLERY_RETURN_IF_ERROR(CheckAgree(name, teachers.front()->info(), member));
    info.parameter_count += member.parameter_count;
    info.max_batch_rows = std::min(info.max_batch_rows, member.max_batch_rows);
    absl::StrAppend(&identity, member.digest, " ", options.members[i].weight, "\n");
  }
  info.digest = Sha256Hex(identity);
  return std::shared_ptr<Teacher>(
      std::make_shared<EnsembleTeacher>(std::move(info), options.mean, std::move(teachers)));
}

}  // namespace distillery
