#include "common/data/npy_folder.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/array_samples.h"
#include "common/data/npy_source.h"
#include "common/data/npz_source.h"

namespace distillery {
namespace {

absl::StatusOr<StoredSamples> ReadSource(const ArraySource& source, const std::string& name,
                                         const std::string& folder, std::set<std::string> files) {
  std::set<std::string> read;
  absl::StatusOr<StoredSamples> samples = ReadArrays(source, folder, kMaxStoredBytes, &read);
  if (!samples.ok()) return Annotate(samples.status(), name);
  samples->name = name;
  files.insert(read.begin(), read.end());
  samples->left_out = LeftOutBeside(folder, files);
  return samples;
}

}  // namespace

bool HoldsNpy(const std::string& folder) {
  if (NameIsTaken(folder + "/train_images.npy")) return true;
  const absl::StatusOr<std::vector<std::string>> names = NpySource(folder).Names("train");
  return names.ok() && std::any_of(names->begin(), names->end(), [](const std::string& name) {
           return name != "labels" && name != "mask";
         });
}

absl::StatusOr<StoredSamples> ReadNpyFolder(const std::string& name, const std::string& folder) {
  return ReadSource(NpySource(folder), name, folder, {});
}

bool HoldsNpz(const std::string& folder) { return NameIsTaken(folder + "/train.npz"); }

absl::StatusOr<StoredSamples> ReadNpzFolder(const std::string& name, const std::string& folder) {
  absl::StatusOr<Archive> train = Archive::OpenFile(folder + "/train.npz");
  if (!train.ok()) return Annotate(train.status(), name);
  absl::StatusOr<Archive> test = Archive::OpenFile(folder + "/test.npz");
  if (!test.ok()) return Annotate(test.status(), name);
  return ReadSource(NpzSource(*std::move(train), *std::move(test)), name, folder,
                    {"train.npz", "test.npz"});
}

}  // namespace distillery
