#include "common/data/npz_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Archives of models have thousands of entries, those of arrays a few.
constexpr size_t kMaxArrays = 64;

class NpzInput : public ArrayInput {
 public:
  NpzInput(std::string place, NpyHeader header, ArchiveEntry entry)
      : ArrayInput(std::move(place), std::move(header)), entry_(std::move(entry)) {}

 protected:
  absl::Status Read(int64_t bytes, char* output) override {
    if (!skipped_) {
      std::string start(static_cast<size_t>(header().offset), '\0');
      DISTILLERY_RETURN_IF_ERROR(Annotate(entry_.Read(header().offset, start.data()), place()));
      skipped_ = true;
    }
    return Annotate(entry_.Read(bytes, output), place());
  }
  absl::Status Finish() override { return Annotate(entry_.Finish(), place()); }

 private:
  ArchiveEntry entry_;
  // Whether the header is behind us.
  bool skipped_ = false;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> NpzSource::Names(const std::string& split) const {
  std::vector<std::string> names;
  const std::vector<std::string>& entries = Of(split).names();
  if (entries.size() > kMaxArrays) {
    return absl::InvalidArgumentError(
        absl::StrCat(split, ".npz has ", entries.size(), " entries, the most are ", kMaxArrays));
  }
  for (absl::string_view name : entries) {
    if (!absl::ConsumeSuffix(&name, kNpyEnding)) {
      return absl::InvalidArgumentError(absl::StrCat(split, ".npz holds ", Printable(name),
                                                     ", which is no array: save with numpy.savez"));
    }
    names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(split, ".npz holds two arrays named ", Printable(*twice)));
  }
  return names;
}

std::string NpzSource::Place(const std::string& split, const std::string& name) const {
  return absl::StrCat(split, ".npz: ", Printable(name));
}

absl::StatusOr<std::unique_ptr<ArrayInput>> NpzSource::Open(
    const std::string& split, const std::string& name,
    const std::vector<std::string>& wanted_types) const {
  std::string place = Place(split, name);
  const Archive& archive = Of(split);
  const auto found =
      std::find(archive.names().begin(), archive.names().end(), absl::StrCat(name, kNpyEnding));
  if (found == archive.names().end()) {
    return absl::NotFoundError(absl::StrCat(split, ".npz holds no array ", Printable(name)));
  }
  const auto index = static_cast<size_t>(found - archive.names().begin());
  const std::string start = archive.Read(index, static_cast<size_t>(kMaxNpyHeaderBytes));
  DISTILLERY_ASSIGN_OR_RETURN(NpyHeader header,
                              ParseNpyHeader(start, archive.Size(index), wanted_types, place));
  DISTILLERY_RETURN_IF_ERROR(CheckRows(header, place));
  absl::StatusOr<ArchiveEntry> entry = archive.OpenEntry(index);
  if (!entry.ok()) return Annotate(entry.status(), place);
  return std::make_unique<NpzInput>(std::move(place), std::move(header), *std::move(entry));
}

}  // namespace distillery
