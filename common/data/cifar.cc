#include "common/data/cifar.h"

#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"

namespace distillery {
namespace {

constexpr ImageShape kShape{3, 32, 32};
constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

// Appends files of the folder; returns the stored indexes of what was added.
absl::StatusOr<std::vector<int64_t>> AppendFiles(const std::string& folder,
                                                 const std::vector<std::string>& files,
                                                 const CifarLayout& layout,
                                                 StoredSamples* samples) {
  const int64_t first = samples->size();
  for (const std::string& file : files) {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                ReadFile(absl::StrCat(folder, "/", file), kMaxFileBytes));
    DISTILLERY_RETURN_IF_ERROR(
        Annotate(AppendCifarRecords(bytes, layout, file, samples), samples->name));
  }
  std::vector<int64_t> indexes(static_cast<size_t>(samples->size() - first));
  std::iota(indexes.begin(), indexes.end(), first);
  return indexes;
}

absl::StatusOr<StoredSamples> ReadCifar(const std::string& name, const std::string& folder,
                                        const CifarLayout& layout,
                                        const std::vector<std::string>& train,
                                        const std::string& test, const std::string& names) {
  StoredSamples samples;
  samples.name = name;
  samples.shape = kShape;
  DISTILLERY_ASSIGN_OR_RETURN(samples.train, AppendFiles(folder, train, layout, &samples));
  DISTILLERY_ASSIGN_OR_RETURN(samples.test, AppendFiles(folder, {test}, layout, &samples));
  samples.class_names = NumberedClassNames(layout.class_count);
  const std::string names_path = absl::StrCat(folder, "/", names);
  if (FileExists(names_path)) {
    DISTILLERY_ASSIGN_OR_RETURN(samples.class_names, ReadClassNames(names_path));
    if (static_cast<int64_t>(samples.class_names.size()) != layout.class_count) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": ", names, " has ", samples.class_names.size(), " names, ",
                       layout.name, " has ", layout.class_count, " classes"));
    }
  }
  return samples;
}

}  // namespace

absl::Status AppendCifarRecords(absl::string_view bytes, const CifarLayout& layout,
                                absl::string_view name, StoredSamples* samples) {
  const auto record_bytes = static_cast<size_t>(layout.label_bytes + kShape.size());
  if (bytes.empty() || bytes.size() % record_bytes != 0) {
    return absl::DataLossError(absl::StrCat(name, " has ", bytes.size(), " bytes, no multiple of ",
                                            layout.name, "'s ", record_bytes, " per record"));
  }
  samples->pixels.reserve(samples->pixels.size() + bytes.size());
  const size_t count = bytes.size() / record_bytes;
  for (size_t record = 0; record < count; ++record) {
    const absl::string_view labels = bytes.substr(record * record_bytes, layout.label_bytes);
    const absl::string_view pixels =
        bytes.substr(record * record_bytes + labels.size(), record_bytes - labels.size());
    const auto label = static_cast<unsigned char>(labels.back());
    if (label >= layout.class_count) {
      return absl::DataLossError(absl::StrCat(name, ": record ", record, " has the label ", label,
                                              ", ", layout.name, "'s are 0 to ",
                                              layout.class_count - 1));
    }
    samples->labels.push_back(label);
    samples->pixels.insert(samples->pixels.end(), pixels.begin(), pixels.end());
  }
  return absl::OkStatus();
}

bool HoldsCifar10(const std::string& folder) { return FileExists(folder + "/data_batch_1.bin"); }

bool HoldsCifar100(const std::string& folder) { return FileExists(folder + "/train.bin"); }

absl::StatusOr<StoredSamples> ReadCifar10Folder(const std::string& name,
                                                const std::string& folder) {
  std::vector<std::string> train;
  for (int i = 1; i <= 5; ++i) train.push_back(absl::StrCat("data_batch_", i, ".bin"));
  return ReadCifar(name, folder, kCifar10, train, "test_batch.bin", "batches.meta.txt");
}

absl::StatusOr<StoredSamples> ReadCifar100Folder(const std::string& name,
                                                 const std::string& folder) {
  return ReadCifar(name, folder, kCifar100, {"train.bin"}, "test.bin", "fine_label_names.txt");
}

}  // namespace distillery
