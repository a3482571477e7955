#include "common/data/catalog.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <future>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/cifar.h"
#include "common/data/class_files.h"
#include "common/data/digits.h"
#include "common/data/idx.h"
#include "common/data/image_folder.h"
#include "common/data/labelled_files.h"
#include "common/data/mask_folder.h"
#include "common/data/npy_folder.h"
#include "common/data/sound_folder.h"
#include "common/data/tar_folder.h"
#include "common/data/text_folder.h"

namespace distillery {
namespace {

// One kind of folder that a data set can be.
struct Format {
  bool (*holds)(const std::string& folder);
  absl::StatusOr<StoredSamples> (*read)(const std::string& name, const std::string& folder);
  const char* name;
};

// Which of the kinds of files by class it holds.
int KindOfFiles(const std::string& folder) {
  return FindSampleFileKind(folder, {kImageFiles, kSoundFiles});
}
bool HoldsImages(const std::string& folder) {
  if (HoldsMasks(folder) || KindOfFiles(folder) != 0) return false;
  // A folder `train` without any file of a kind is taken for one of images, but not if it is of
  // archives. Archives beside images are two formats.
  return !(IsFolder(folder + "/train") && HoldsTar(folder) &&
           !NameIsTaken(absl::StrCat(folder, "/", kLabelsFile)));
}
bool HoldsSounds(const std::string& folder) { return KindOfFiles(folder) == 1; }

constexpr Format kFormats[] = {
    {HoldsIdx, ReadIdxFolder, "MNIST's IDX files (train-images-idx3-ubyte)"},
    {HoldsCifar10, ReadCifar10Folder, "CIFAR-10 (data_batch_1.bin)"},
    {HoldsCifar100, ReadCifar100Folder, "CIFAR-100 (train.bin)"},
    {HoldsCifar10Pickles, ReadCifar10Pickles, "CIFAR-10 for Python (data_batch_1)"},
    {HoldsCifar100Pickles, ReadCifar100Pickles, "CIFAR-100 for Python (train)"},
    {HoldsNpy, ReadNpyFolder, "NPY files (train_images.npy)"},
    {HoldsNpz, ReadNpzFolder, "NPZ archives (train.npz)"},
    {HoldsCsv, ReadCsvFolder, "CSV (train.csv)"},
    {HoldsJsonl, ReadJsonlFolder, "JSONL (train.jsonl)"},
    {HoldsPlainText, ReadPlainTextFolder, "plain text (train.txt)"},
    {HoldsTar, ReadTarFolder, "tar archives (train*.tar)"},
    {HoldsMasks, ReadMaskFolder, "images and masks (train/images, train/masks)"},
    {HoldsImages, ReadImageFolder, "images by class (train/)"},
    {HoldsSounds, ReadSoundFolder, "recordings by class (train/)"}};
constexpr const char* kFormatNames =
    "MNIST's IDX files, CIFAR-10, CIFAR-100, NPY files, NPZ archives, CSV, JSONL, plain text, "
    "tar archives, images with masks, images or recordings by class in train and test, or listed "
    "in labels.csv, or in "
    "folders of "
    "classes with {\"test_fraction\": 0.2} in dataset.json";
constexpr const char* kBuiltIn = "digits";

// The formats that the folder holds.
std::vector<const Format*> FindFormats(const std::string& folder) {
  std::vector<const Format*> found;
  for (const Format& format : kFormats) {
    if (format.holds(folder)) found.push_back(&format);
  }
  return found;
}

// Sorted names of the data sets that `data_dir` holds.
std::vector<std::string> NamesIn(const std::string& data_dir) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(data_dir, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    // No others can be asked for.
    const bool can_be_named = DatasetReference{name, "train", 1}.Validate().ok();
    if (can_be_named && !FindFormats(entry->path().string()).empty()) {
      names.push_back(std::move(name));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// What to do about a name that no data set has, in brackets, or "".
std::string Hint(const std::string& name, const std::string& data_dir) {
  if (data_dir.empty()) return " (no --data-dir is set)";
  if (IsFolder(absl::StrCat(data_dir, "/", name))) {
    return absl::StrCat(" (its folder holds none of: ", kFormatNames, ")");
  }
  if (!HoldsIdxFiles(data_dir) && !FindFormats(data_dir).empty()) {
    return " (--data-dir is the folder of a data set itself; give the one above it)";
  }
  return "";
}

absl::Status Unknown(const std::string& name, const std::string& data_dir) {
  std::vector<std::string> known = {kBuiltIn};
  if (!data_dir.empty()) {
    if (HoldsIdxFiles(data_dir)) known.push_back("mnist");
    for (std::string& found : NamesIn(data_dir)) known.push_back(std::move(found));
  }
  return absl::NotFoundError(
      absl::StrCat(UnknownName("data set", name, known), Hint(name, data_dir)));
}

// Where a data set lies: a format and a folder, or neither for what is built in.
struct Place {
  const Format* format = nullptr;
  std::string folder;
};

absl::StatusOr<Place> FindPlace(const std::string& name, const std::string& data_dir) {
  const std::string folder = absl::StrCat(data_dir, "/", name);
  if (name == kBuiltIn) {
    if (!data_dir.empty() && !FindFormats(folder).empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", name, "\" names both the data set that is built in and a folder in --data-dir: ",
          "give the folder another name, or leave --data-dir out"));
    }
    return Place{};
  }
  if (data_dir.empty()) return Unknown(name, data_dir);
  const std::vector<const Format*> found = FindFormats(folder);
  if (found.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": its folder holds several formats: ",
        absl::StrJoin(found, " and ",
                      [](std::string* out, const Format* format) { out->append(format->name); }),
        "; move all but one of them into folders of their own beside it"));
  }
  const bool is_data_dir = name == "mnist" && HoldsIdxFiles(data_dir);
  if (is_data_dir && !found.empty()) {
    return absl::InvalidArgumentError(
        "\"mnist\" names both the IDX files in --data-dir itself and its folder mnist: move one of "
        "them away");
  }
  if (is_data_dir) return Place{&kFormats[0], data_dir};
  if (found.empty()) return Unknown(name, data_dir);
  return Place{found.front(), folder};
}

// Whether a sample of the split has a label at any position. Only classes at positions may have
// none.
bool HasLabels(const StoredSamples& samples, const IndexList& members) {
  const AnswerSpec& answer = samples.spec.answer;
  if (answer.kind != AnswerKind::kClasses || answer.positions.empty() || !samples.in_memory()) {
    return true;
  }
  const int64_t input_bytes = samples.spec.input_bytes();
  const int64_t positions = answer.position_count();
  return std::any_of(members.begin(), members.end(), [&](int64_t index) {
    const uint8_t* const labels = samples.Record(index) + input_bytes;
    for (int64_t i = 0; i < positions; ++i) {
      int32_t label = 0;
      std::memcpy(&label, labels + i * static_cast<int64_t>(sizeof label), sizeof label);
      if (label != kNoLabel) return true;
    }
    return false;
  });
}

// Tells the log what a person would not expect.
void Warn(const StoredSamples& samples) {
  constexpr size_t kMostNamed = 20;
  if (!samples.left_out.empty()) {
    LogWarning("data set {}: left out: {}", samples.name, JoinLeftOut(samples.left_out));
  }
  for (const auto& [split, members] :
       {std::pair{"train", &samples.train}, std::pair{"test", &samples.test}}) {
    if (HasLabels(samples, *members)) continue;
    LogWarning("data set {}: no position of {} has a label: figures of this split say nothing",
               samples.name, split);
  }
  std::vector<std::string> without = ClassesWithoutTraining(samples);
  if (without.empty()) return;
  const size_t count = without.size();
  without.resize(std::min(kMostNamed, count));
  LogWarning("data set {}: {} of {} classes have no training samples: {}{}", samples.name, count,
             samples.class_names.size(), absl::StrJoin(without, ", "),
             count > kMostNamed ? ", ..." : "");
}

absl::StatusOr<StoredSamples> ReadSamples(const std::string& name, const std::string& data_dir) {
  DISTILLERY_ASSIGN_OR_RETURN(const Place place, FindPlace(name, data_dir));
  if (place.format == nullptr) {
    if (!data_dir.empty() && IsFolder(absl::StrCat(data_dir, "/", name))) {
      LogWarning(
          "data set {}: this is the built-in one; its folder in --data-dir holds none of: {}", name,
          kFormatNames);
    }
    return ReadBuiltInDigits();
  }
  return place.format->read(name, place.folder);
}

}  // namespace

DatasetCatalog::~DatasetCatalog() {
  MutexLock lock(mutex_);
  while (!wishes_.empty()) changed_.Wait(mutex_);
}

DatasetCatalog::Opened DatasetCatalog::Open(const DatasetReference& reference) {
  if (std::shared_ptr<const Dataset> open = Find(reference)) return open;
  DISTILLERY_RETURN_IF_ERROR(reference.Validate());
  std::promise<Opened> answer;
  bool serve = false;
  {
    MutexLock lock(mutex_);
    serve = Add({reference, [&](const Opened& opened) { answer.set_value(opened); }});
  }
  if (serve) Serve(reference.name);
  return answer.get_future().get();
}

std::shared_ptr<const Dataset> DatasetCatalog::Find(const DatasetReference& reference) {
  MutexLock lock(mutex_);
  const auto found = open_.find(reference.ToString());
  return found == open_.end() ? nullptr : found->second;
}

void DatasetCatalog::OpenLater(const DatasetReference& reference,
                               std::function<void(const Opened&)> done) {
  if (std::shared_ptr<const Dataset> open = Find(reference)) return done(open);
  if (const absl::Status valid = reference.Validate(); !valid.ok()) return done(valid);
  // Names that are no data set get no thread.
  if (const auto place = FindPlace(reference.name, data_dir_); !place.ok()) {
    return done(place.status());
  }
  bool serve = false;
  {
    MutexLock lock(mutex_);
    serve = Add({reference, std::move(done)});
  }
  if (serve) std::thread([this, name = reference.name] { Serve(name); }).detach();
}

bool DatasetCatalog::Add(Wish wish) {
  const auto [wishes, added] = wishes_.try_emplace(wish.reference.name);
  wishes->second.push_back(std::move(wish));
  return added;
}

void DatasetCatalog::Serve(const std::string& name) {
  while (true) {
    DatasetReference reference;
    {
      MutexLock lock(mutex_);
      const auto wishes = wishes_.find(name);
      if (wishes->second.empty()) {
        wishes_.erase(wishes);
        changed_.NotifyAll();
        return;
      }
      reference = wishes->second.front().reference;
    }
    const Opened opened = TryToRead(reference);
    // Those who asked for the same meanwhile get the same, errors too: else each would read anew.
    Wishes served;
    {
      MutexLock lock(mutex_);
      Wishes& wishes = wishes_[name];
      const auto same = [&](const Wish& wish) {
        return wish.reference.ToString() == reference.ToString();
      };
      const auto rest = std::stable_partition(wishes.begin(), wishes.end(),
                                              [&](const Wish& wish) { return !same(wish); });
      std::move(rest, wishes.end(), std::back_inserter(served));
      wishes.erase(rest, wishes.end());
    }
    for (const Wish& wish : served) wish.done(opened);
  }
}

DatasetCatalog::Opened DatasetCatalog::TryToRead(const DatasetReference& reference) {
  try {
    return Read(reference);
  } catch (const std::exception& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("data set ", reference.name, " cannot be held here: ", error.what()));
  }
}

DatasetCatalog::Opened DatasetCatalog::Read(const DatasetReference& reference) {
  if (std::shared_ptr<const Dataset> open = Find(reference)) return open;
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<const StoredSamples> samples,
                              Samples(reference.name));
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<const Dataset> dataset,
                              Dataset::Create(std::move(samples), reference));
  MutexLock lock(mutex_);
  if (open_.size() >= kMaxOpen) open_.erase(open_.begin());
  open_[reference.ToString()] = dataset;
  return dataset;
}

absl::StatusOr<std::shared_ptr<const StoredSamples>> DatasetCatalog::Samples(
    const std::string& name) {
  {
    MutexLock lock(mutex_);
    const auto found = samples_.find(name);
    if (found != samples_.end()) return found->second;
  }
  DISTILLERY_ASSIGN_OR_RETURN(StoredSamples read, ReadSamples(name, data_dir_));
  DISTILLERY_RETURN_IF_ERROR(CheckSamples(read));
  Warn(read);
  auto samples = std::make_shared<const StoredSamples>(std::move(read));
  MutexLock lock(mutex_);
  samples_[name] = samples;
  return samples;
}

}  // namespace distillery
