#include "common/data/npy_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/left_out.h"

namespace distillery {
namespace {

class NpyInput : public ArrayInput {
 public:
  NpyInput(std::string place, NpyHeader header, InputFile file)
      : ArrayInput(std::move(place), std::move(header)),
        file_(std::move(file)),
        place_in_file_(this->header().offset) {}

  std::optional<InputFile> TakeFile() override { return std::move(file_); }

 protected:
  absl::Status Read(int64_t bytes, char* output) override {
    DISTILLERY_RETURN_IF_ERROR(file_.ReadAt(place_in_file_, bytes, output));
    place_in_file_ += bytes;
    return absl::OkStatus();
  }

 private:
  InputFile file_;
  int64_t place_in_file_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> NpySource::Names(const std::string& split) const {
  DISTILLERY_ASSIGN_OR_RETURN(const FolderNames files, ListFolder(folder_));
  const std::string start = absl::StrCat(split, "_");
  const bool images = NameIsTaken(absl::StrCat(folder_, "/", Place("train", kImages)));
  std::vector<std::string> names;
  for (absl::string_view name : files.files) {
    if (!absl::ConsumePrefix(&name, start) || !absl::ConsumeSuffix(&name, kNpyEnding)) continue;
    if (!images || name == kImages || name == "labels" || name == "mask") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string NpySource::Place(const std::string& split, const std::string& name) const {
  return absl::StrCat(split, "_", name, kNpyEnding);
}

absl::StatusOr<std::unique_ptr<ArrayInput>> NpySource::Open(
    const std::string& split, const std::string& name,
    const std::vector<std::string>& wanted_types) const {
  std::string place = Place(split, name);
  DISTILLERY_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(absl::StrCat(folder_, "/", place)));
  std::string start(static_cast<size_t>(std::min(file.size(), kMaxNpyHeaderBytes)), '\0');
  DISTILLERY_RETURN_IF_ERROR(file.ReadAt(0, static_cast<int64_t>(start.size()), start.data()));
  DISTILLERY_ASSIGN_OR_RETURN(NpyHeader header,
                              ParseNpyHeader(start, file.size(), wanted_types, place));
  DISTILLERY_RETURN_IF_ERROR(CheckRows(header, place));
  return std::make_unique<NpyInput>(std::move(place), std::move(header), std::move(file));
}

}  // namespace distillery
