#include "cli/experiment/experiment_folder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMaxBytes = 1 << 16;

Json ToJson(const FolderPurpose& purpose) {
  return {{"experiment", purpose.experiment},
          {"dataset", purpose.dataset},
          {"scale", purpose.scale},
          {"teacher_sha256", purpose.teacher_sha256},
          {"device", purpose.device}};
}

// The seconds that the file tells of, if its purpose is `wanted`.
absl::StatusOr<double> CheckPurpose(const std::string& path, const Json& wanted) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  const Json found = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!found.is_object() || !found.contains("seconds") || !found["seconds"].is_number()) {
    return absl::DataLossError(absl::StrCat(path, " does not say what the folder is for; remove ",
                                            "the folder, or give another --output"));
  }
  for (const auto& [key, value] : wanted.items()) {
    // Folders of before there was a choice do not name the device.
    const Json held = found.value(key, key == "device" ? Json("cpu") : Json());
    if (held == value) continue;
    return absl::FailedPreconditionError(absl::StrCat(FolderOf(path), " holds an experiment with ",
                                                      key, " ", JsonText(held), ", not ",
                                                      JsonText(value), "; give another --output"));
  }
  return found["seconds"].get<double>();
}

}  // namespace

ExperimentFolder::ExperimentFolder(std::string path, FolderPurpose purpose,
                                   std::unique_ptr<FolderLock> lock)
    : path_(std::move(path)),
      purpose_(std::move(purpose)),
      lock_(std::move(lock)),
      opened_(SteadyNow()) {}

absl::StatusOr<std::unique_ptr<ExperimentFolder>> ExperimentFolder::Open(
    const std::string& path, const FolderPurpose& purpose) {
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(path));
  DISTILLERY_ASSIGN_OR_RETURN(auto lock, FolderLock::Acquire(path));
  std::unique_ptr<ExperimentFolder> folder(new ExperimentFolder(path, purpose, std::move(lock)));
  const std::string file = folder->File("experiment.json");
  if (FileExists(file)) {
    DISTILLERY_ASSIGN_OR_RETURN(const double seconds, CheckPurpose(file, ToJson(purpose)));
    folder->spent_before_ = absl::Seconds(seconds);
  } else {
    DISTILLERY_RETURN_IF_ERROR(folder->NoteSpent());
  }
  return folder;
}

absl::Duration ExperimentFolder::spent() const { return spent_before_ + (SteadyNow() - opened_); }

absl::Status ExperimentFolder::NoteSpent() const {
  Json json = ToJson(purpose_);
  json["seconds"] = absl::ToDoubleSeconds(spent());
  return WriteFileDurably(File("experiment.json"), JsonText(json, 2) + "\n");
}

absl::Status ExperimentFolder::WriteReadme(const std::string& results_text,
                                           const std::string& command) const {
  return WriteFileDurably(
      File("README.txt"),
      absl::StrCat(
          results_text, "\n",
          "results.json     all tables, figures and runs; the format: deploy/results.schema.json\n"
          "report.html      the same as pictures, in one file\n"
          "teacher.pt       the teacher, TorchScript with its model card\n"
          "runs/            a folder for each student that the results name\n"
          "teacher/         the teacher's own training, if it was trained here\n"
          "logs/            what each process said\n"
          "cache/           the teacher's logits, safe to delete\n"
          "state/           the coordinator's record of all runs: what makes the command go on\n"
          "experiment.json  what this folder is for, and the seconds spent\n\nMade by\n  ",
          command, "\n"));
}

}  // namespace distillery
