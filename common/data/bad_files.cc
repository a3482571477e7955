#include "common/data/bad_files.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/text.h"

namespace distillery {
namespace {

// Files that a message names: it travels in a status, which has its limits.
constexpr size_t kMostNamed = 8;

// Whether the fault lies in the file, not in the system.
bool IsFaultOfFile(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
         absl::IsResourceExhausted(status) || absl::IsFailedPrecondition(status);
}

}  // namespace

absl::Status BadFiles::Take(const absl::Status& status, const std::string& path) {
  absl::Status fault = WithoutFolder(status, folder_, path);
  if (!IsFaultOfFile(fault)) return fault;
  faults_.emplace(path, fault);
  return absl::OkStatus();
}

absl::Status BadFiles::Check(size_t files) const {
  if (faults_.empty()) return absl::OkStatus();
  std::vector<absl::string_view> texts;
  for (const auto& [path, fault] : faults_) {
    if (texts.size() < kMostNamed) texts.push_back(fault.message());
  }
  std::string text;
  if (faults_.size() > 1) {
    text = absl::StrCat(faults_.size(), " of ", files, " ", noun_, " files cannot be taken: ");
  }
  absl::StrAppend(&text, absl::StrJoin(texts, "; "));
  if (texts.size() < faults_.size()) {
    absl::StrAppend(&text, "; and ", faults_.size() - texts.size(), " more");
  }
  return {faults_.begin()->second.code(),
          absl::StrCat(text, "; mend or remove ", faults_.size() == 1 ? "it" : "them",
                       ", or say \"skip_corrupt\": true in dataset.json")};
}

std::vector<LeftOut> BadFiles::LeftOutFiles() const {
  std::vector<LeftOut> all;
  all.reserve(faults_.size());
  for (const auto& [path, fault] : faults_) all.push_back({std::string(fault.message())});
  return all;
}

absl::Status WithoutFolder(const absl::Status& status, const std::string& folder,
                           const std::string& path) {
  const std::string name = PlainText(path);
  std::string text =
      absl::StrReplaceAll(status.message(), {{absl::StrCat(folder, "/", path), name}});
  if (!absl::StrContains(text, name)) text = absl::StrCat(name, ": ", text);
  const bool gone = absl::IsNotFound(status);
  return {gone ? absl::StatusCode::kDataLoss : status.code(), PlainText(text)};
}

}  // namespace distillery
