#include "cli/runs/run_files.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/data/catalog.h"
#include "common/nn/card_file.h"
#include "common/nn/student_check.h"
#include "common/run/run_data.h"

namespace distillery {
namespace {

struct NamedCard {
  std::string owner;
  ModelCard card;
};

// The cards of the files that carry one.
absl::StatusOr<std::vector<NamedCard>> CardsOf(const RunSpec& spec, const std::string& teacher) {
  std::vector<NamedCard> cards;
  for (const auto& [owner, path] : {std::pair<std::string, std::string>("teacher", teacher),
                                    {"student", spec.student.model},
                                    {"student.initial_weights", spec.student.initial_weights}}) {
    if (path.empty() || !FileExists(path)) continue;
    DISTILLERY_ASSIGN_OR_RETURN(std::optional<ModelCard> card, ReadCardOf(path));
    if (card.has_value()) {
      cards.push_back({absl::StrCat(owner, " ", BaseName(path)), *std::move(card)});
    }
  }
  return cards;
}

absl::Status Check(const RunSpec& spec, const std::string& teacher, const std::string& data_dir) {
  const bool student_file = !spec.student.model.empty();
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<NamedCard> cards, CardsOf(spec, teacher));
  if (!student_file && cards.empty()) return absl::OkStatus();
  DatasetCatalog catalog(data_dir);
  // Data that are not here are with the services, or missing, which they say.
  const auto dataset = catalog.Open(spec.TrainingData());
  for (size_t i = 0; i < cards.size(); ++i) {
    const ClassList classes = {cards[i].owner, cards[i].card.class_names};
    if (dataset.ok()) {
      DISTILLERY_RETURN_IF_ERROR(CheckSameClasses(
          classes, {absl::StrCat("data set ", spec.dataset.name), (*dataset)->class_names()}));
    }
    for (size_t j = i + 1; j < cards.size(); ++j) {
      DISTILLERY_RETURN_IF_ERROR(
          CheckSameClasses(classes, {cards[j].owner, cards[j].card.class_names}));
    }
  }
  if (!student_file) return absl::OkStatus();
  std::optional<ModelCard> data;
  if (dataset.ok()) {
    DISTILLERY_ASSIGN_OR_RETURN(data, CardForDataset(**dataset, ""));
    DISTILLERY_ASSIGN_OR_RETURN(data->samples, StudentSamples(spec, (*dataset)->spec()));
  }
  return CheckStudentFile(spec.student.model, data);
}

}  // namespace

absl::Status CheckRunFiles(const RunSpec& spec, const std::string& teacher,
                           const std::string& data_dir) {
  absl::Status status = Check(spec, teacher, data_dir);
  if (!absl::IsInvalidArgument(status)) return status;
  // The command is right; what it names is not.
  return absl::FailedPreconditionError(status.message());
}

}  // namespace distillery
