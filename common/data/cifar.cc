#include "common/data/cifar.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/data/pickle.h"
#include "common/data/record_file.h"

namespace distillery {
namespace {

constexpr ImageShape kShape{3, 32, 32};
// Labels are read with the records that they lie in, so many at a time.
constexpr int64_t kBlockRecords = 256;
// CIFAR-100's training images have 155 MB.
constexpr int64_t kMaxPickleBytes = int64_t{512} << 20;

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

absl::Status AppendPickle(const std::string& path, const CifarLayout& layout,
                          StoredSamples* samples) {
  DISTILLERY_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  if (file.size() > kMaxPickleBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(file.name(), " has ", file.size(), " bytes, the limit is ", kMaxPickleBytes));
  }
  std::string bytes(static_cast<size_t>(file.size()), '\0');
  DISTILLERY_RETURN_IF_ERROR(file.ReadAt(0, file.size(), bytes.data()));
  DISTILLERY_ASSIGN_OR_RETURN(const CifarPickle pickle,
                              ParseCifarPickle(bytes, layout, BaseName(path)));
  for (const int32_t label : pickle.labels) samples->labels.push_back(label);
  samples->sources.files.push_back(file.stamp());
  samples->files.push_back(std::make_shared<RecordFile>(
      std::move(file), RecordLayout{pickle.offset, kShape.size(), kShape.size(),
                                    static_cast<int64_t>(pickle.labels.size())}));
  return absl::OkStatus();
}

using AppendCifar = absl::Status (*)(const std::string& path, const CifarLayout& layout,
                                     StoredSamples* samples);

// Appends files of the folder; returns the stored indexes of what was added.
absl::StatusOr<IndexList> AppendFiles(const std::string& folder,
                                      const std::vector<std::string>& files,
                                      const CifarLayout& layout, AppendCifar append,
                                      StoredSamples* samples) {
  const int64_t first = samples->size();
  for (const std::string& file : files) {
    DISTILLERY_RETURN_IF_ERROR(
        Annotate(append(absl::StrCat(folder, "/", file), layout, samples), samples->name));
  }
  return IndexList::Range(first, samples->size() - first);
}

// The names of the classes in a file of either version.
absl::StatusOr<std::vector<std::string>> ReadNames(const std::string& path,
                                                   const CifarLayout& layout, bool is_pickle) {
  if (!is_pickle) return ReadClassNames(path);
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxPickleBytes));
  DISTILLERY_ASSIGN_OR_RETURN(const Pickle pickle, Pickle::Parse(bytes, BaseName(path)));
  const PickleValue* const found = pickle.root().Find(layout.names_key);
  std::vector<std::string> names;
  if (found == nullptr || found->kind != PickleValue::Kind::kList) {
    return absl::DataLossError(
        absl::StrCat(BaseName(path), " has no list \"", layout.names_key, "\""));
  }
  for (const PickleValue* const name : found->items) names.emplace_back(name->text);
  return names;
}

// The files of one of the versions.
struct CifarFiles {
  std::vector<std::string> train;
  std::string test;
  std::string names;
  bool are_pickles;
};

absl::StatusOr<StoredSamples> ReadCifar(const std::string& name, const std::string& folder,
                                        const CifarLayout& layout, const CifarFiles& files) {
  StoredSamples samples;
  samples.name = name;
  samples.spec = SampleSpec::Pictures(kShape, 255);
  samples.sources.folder = folder;
  const AppendCifar append = files.are_pickles ? AppendPickle : AppendFile;
  DISTILLERY_ASSIGN_OR_RETURN(samples.train,
                              AppendFiles(folder, files.train, layout, append, &samples));
  DISTILLERY_ASSIGN_OR_RETURN(samples.test,
                              AppendFiles(folder, {files.test}, layout, append, &samples));
  samples.class_names = NumberedClassNames(layout.class_count);
  const std::string names_path = absl::StrCat(folder, "/", files.names);
  if (NameIsTaken(names_path)) {
    absl::StatusOr<std::vector<std::string>> names =
        ReadNames(names_path, layout, files.are_pickles);
    if (!names.ok()) return Annotate(names.status(), name);
    samples.class_names = *std::move(names);
    if (static_cast<int64_t>(samples.class_names.size()) != layout.class_count) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": ", files.names, " has ", samples.class_names.size(), " names, ",
                       layout.name, " has ", layout.class_count, " classes"));
    }
  }
  std::set<std::string> read(files.train.begin(), files.train.end());
  read.insert({files.test, files.names});
  samples.left_out = LeftOutBeside(folder, read);
  return samples;
}

// The folder itself, or the one in it that the archive of the version for Python unpacks to.
std::string PickleFolder(const std::string& folder, const std::string& unpacked,
                         const std::string& file) {
  for (const std::string& at : {folder, absl::StrCat(folder, "/", unpacked)}) {
    const std::string path = absl::StrCat(at, "/", file);
    // A folder `train` is another format's; what is no file at all is refused when it is opened.
    if (NameIsTaken(path) && !IsFolder(path)) return at;
  }
  return "";
}
std::string Cifar10PickleFolder(const std::string& folder) {
  return PickleFolder(folder, "cifar-10-batches-py", "data_batch_1");
}
std::string Cifar100PickleFolder(const std::string& folder) {
  return PickleFolder(folder, "cifar-100-python", "train");
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

absl::StatusOr<CifarPickle> ParseCifarPickle(absl::string_view bytes, const CifarLayout& layout,
                                             absl::string_view name) {
  using Kind = PickleValue::Kind;
  DISTILLERY_ASSIGN_OR_RETURN(const Pickle pickle, Pickle::Parse(bytes, name));
  const PickleValue* const data = pickle.root().Find("data");
  const PickleValue* const labels = pickle.root().Find(layout.labels_key);
  if (data == nullptr || data->kind != Kind::kArray || labels == nullptr ||
      labels->kind != Kind::kList) {
    return absl::DataLossError(absl::StrCat(name, " has no array \"data\" and list \"",
                                            layout.labels_key, "\", as ", layout.name, " has"));
  }
  const auto count = static_cast<int64_t>(labels->items.size());
  if (data->type != "u1" || data->fortran || data->items.size() != 2 || count == 0 ||
      data->items[0]->number != count || data->items[1]->number != kShape.size() ||
      static_cast<int64_t>(data->text.size()) != count * kShape.size()) {
    return absl::DataLossError(absl::StrCat(name, ": \"data\" is no array of bytes [", count, ", ",
                                            kShape.size(), "], a row for each label"));
  }
  CifarPickle result;
  result.offset = data->text.data() - bytes.data();
  for (const PickleValue* const label : labels->items) {
    if (label->kind != Kind::kNumber || label->number < 0 || label->number >= layout.class_count) {
      return absl::DataLossError(absl::StrCat(name, ": record ", result.labels.size(),
                                              " has the label ", label->number, ", ", layout.name,
                                              "'s are 0 to ", layout.class_count - 1));
    }
    result.labels.push_back(static_cast<int32_t>(label->number));
  }
  return result;
}

bool HoldsCifar10(const std::string& folder) { return NameIsTaken(folder + "/data_batch_1.bin"); }

bool HoldsCifar100(const std::string& folder) { return NameIsTaken(folder + "/train.bin"); }

bool HoldsCifar10Pickles(const std::string& folder) { return !Cifar10PickleFolder(folder).empty(); }

bool HoldsCifar100Pickles(const std::string& folder) {
  return !Cifar100PickleFolder(folder).empty();
}

absl::StatusOr<StoredSamples> ReadCifar10Folder(const std::string& name,
                                                const std::string& folder) {
  CifarFiles files{{}, "test_batch.bin", "batches.meta.txt", false};
  for (int i = 1; i <= 5; ++i) files.train.push_back(absl::StrCat("data_batch_", i, ".bin"));
  return ReadCifar(name, folder, kCifar10, files);
}

absl::StatusOr<StoredSamples> ReadCifar100Folder(const std::string& name,
                                                 const std::string& folder) {
  return ReadCifar(name, folder, kCifar100,
                   {{"train.bin"}, "test.bin", "fine_label_names.txt", false});
}

absl::StatusOr<StoredSamples> ReadCifar10Pickles(const std::string& name,
                                                 const std::string& folder) {
  CifarFiles files{{}, "test_batch", "batches.meta", true};
  for (int i = 1; i <= 5; ++i) files.train.push_back(absl::StrCat("data_batch_", i));
  return ReadCifar(name, Cifar10PickleFolder(folder), kCifar10, files);
}

absl::StatusOr<StoredSamples> ReadCifar100Pickles(const std::string& name,
                                                  const std::string& folder) {
  return ReadCifar(name, Cifar100PickleFolder(folder), kCifar100,
                   {{"train"}, "test", "meta", true});
}

}  // namespace distillery
