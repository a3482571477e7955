#include "common/data/cifar.h"

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/data/record_file.h"

namespace distillery {
namespace {

constexpr ImageShape kShape{3, 32, 32};
// Labels are read with the records that they lie in, so many at a time.
constexpr int64_t kBlockRecords = 256;

int64_t RecordBytes(const CifarLayout& layout) { return layout.label_bytes + kShape.size(); }

absl::Status AppendFile(const std::string& path, const CifarLayout& layout,
                        StoredSamples* samples) {
  DISTILLERY_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  DISTILLERY_ASSIGN_OR_RETURN(const int64_t count,
                              CountCifarRecords(file.size(), layout, file.name()));
  const int64_t record_bytes = RecordBytes(layout);
  std::string block;
  for (int64_t first = 0; first < count; first += kBlockRecords) {
    block.resize(static_cast<size_t>(std::min(kBlockRecords, count - first) * record_bytes));
    DISTILLERY_RETURN_IF_ERROR(
        file.ReadAt(first * record_bytes, static_cast<int64_t>(block.size()), block.data()));
    DISTILLERY_RETURN_IF_ERROR(
        AppendCifarLabels(block, first, layout, file.name(), &samples->labels));
  }
  samples->sources.files.push_back(file.stamp());
  samples->files.push_back(std::make_shared<RecordFile>(
      std::move(file), RecordLayout{layout.label_bytes, record_bytes, kShape.size(), count}));
  return absl::OkStatus();
}

// Appends files of the folder; returns the stored indexes of what was added.
absl::StatusOr<IndexList> AppendFiles(const std::string& folder,
                                      const std::vector<std::string>& files,
                                      const CifarLayout& layout, StoredSamples* samples) {
  const int64_t first = samples->size();
  for (const std::string& file : files) {
    DISTILLERY_RETURN_IF_ERROR(
        Annotate(AppendFile(absl::StrCat(folder, "/", file), layout, samples), samples->name));
  }
  return IndexList::Range(first, samples->size() - first);
}

absl::StatusOr<StoredSamples> ReadCifar(const std::string& name, const std::string& folder,
                                        const CifarLayout& layout,
                                        const std::vector<std::string>& train,
                                        const std::string& test, const std::string& names) {
  StoredSamples samples;
  samples.name = name;
  samples.spec = SampleSpec::Pictures(kShape, 255);
  samples.sources.folder = folder;
  DISTILLERY_ASSIGN_OR_RETURN(samples.train, AppendFiles(folder, train, layout, &samples));
  DISTILLERY_ASSIGN_OR_RETURN(samples.test, AppendFiles(folder, {test}, layout, &samples));
  samples.class_names = NumberedClassNames(layout.class_count);
  const std::string names_path = absl::StrCat(folder, "/", names);
  if (NameIsTaken(names_path)) {
    DISTILLERY_ASSIGN_OR_RETURN(samples.class_names, ReadClassNames(names_path));
    if (static_cast<int64_t>(samples.class_names.size()) != layout.class_count) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": ", names, " has ", samples.class_names.size(), " names, ",
                       layout.name, " has ", layout.class_count, " classes"));
    }
  }
  std::set<std::string> read(train.begin(), train.end());
  read.insert({test, names});
  samples.left_out = LeftOutBeside(folder, read);
  return samples;
}

}  // namespace

absl::StatusOr<int64_t> CountCifarRecords(int64_t file_bytes, const CifarLayout& layout,
                                          absl::string_view name) {
  const int64_t record_bytes = RecordBytes(layout);
  if (file_bytes == 0 || file_bytes % record_bytes != 0) {
    return absl::DataLossError(absl::StrCat(name, " has ", file_bytes, " bytes, no multiple of ",
                                            layout.name, "'s ", record_bytes, " per record"));
  }
  return file_bytes / record_bytes;
}

absl::Status AppendCifarLabels(absl::string_view records, int64_t first, const CifarLayout& layout,
                               absl::string_view name, LabelList* labels) {
  const auto record_bytes = static_cast<size_t>(RecordBytes(layout));
  for (int64_t record = first; !records.empty(); ++record) {
    const auto label = static_cast<unsigned char>(records[layout.label_bytes - 1]);
    if (label >= layout.class_count) {
      return absl::DataLossError(absl::StrCat(name, ": record ", record, " has the label ", label,
                                              ", ", layout.name, "'s are 0 to ",
                                              layout.class_count - 1));
    }
    labels->push_back(label);
    records.remove_prefix(record_bytes);
  }
  return absl::OkStatus();
}

bool HoldsCifar10(const std::string& folder) { return NameIsTaken(folder + "/data_batch_1.bin"); }

bool HoldsCifar100(const std::string& folder) { return NameIsTaken(folder + "/train.bin"); }

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
