#include "common/data/class_files.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/input_file.h"
#include "common/base/names.h"
#include "common/base/philox.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/base/text_file.h"
#include "common/data/class_names.h"
#include "common/data/label_texts.h"
#include "common/data/labelled_files.h"

namespace distillery {
namespace {

constexpr int kMostDeep = 16;
constexpr int64_t kMaxLabelsBytes = int64_t{1} << 30;
constexpr int64_t kSplitSeed = 0;
constexpr const char* kValidationNames[] = {"val", "valid", "validation"};
constexpr absl::string_view kFractionHint =
    "to draw the test from the rest, say {\"test_fraction\": 0.2} in dataset.json";

// A link to a folder may lead to one above it. Below a class none is followed.
bool IsLink(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_symlink(path, ignored);
}

bool IsValidation(const std::string& name) {
  return std::find(std::begin(kValidationNames), std::end(kValidationNames), name) !=
         std::end(kValidationNames);
}

class ClassFileFinder {
 public:
  ClassFileFinder(const std::string& folder, const SampleFileKind& kind, double test_fraction)
      : folder_(folder), kind_(kind), test_fraction_(test_fraction), left_out_(folder) {}

  absl::StatusOr<ClassFiles> Find() {
    if (NameIsTaken(absl::StrCat(folder_, "/", kLabelsFile))) {
      DISTILLERY_RETURN_IF_ERROR(ReadLabels());
    } else {
      DISTILLERY_RETURN_IF_ERROR(ListSplits());
    }
    if (test_fraction_ > 0) DrawTest();
    for (LeftOut& other : std::move(left_out_).Finish()) {
      found_.left_out.push_back(std::move(other));
    }
    return std::move(found_);
  }

 private:
  std::string At(const std::string& name) const { return absl::StrCat(folder_, "/", name); }

  // The folder of the other split; "" if the test is drawn.
  absl::StatusOr<std::string> TestFolder() const {
    std::string given = IsFolder(At("test")) ? "test" : "";
    for (const char* const name : kValidationNames) {
      if (given.empty() && IsFolder(At(name))) given = name;
    }
    if (!given.empty() && test_fraction_ > 0) {
      return absl::InvalidArgumentError(absl::StrCat("there is a folder ", given,
                                                     ", and dataset.json has test_fraction: take "
                                                     "one of them away"));
    }
    if (given.empty() && test_fraction_ == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no folder test; it must hold a folder of ", kind_.noun,
                       " for each class; ", kFractionHint));
    }
    return given;
  }

  absl::Status ListSplits() {
    const bool has_train = IsFolder(At("train"));
    if (!has_train && test_fraction_ == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no folder train; if the folders are classes, ", kFractionHint));
    }
    const std::string root = has_train ? "train" : "";
    DISTILLERY_ASSIGN_OR_RETURN(const FolderNames names, ListFolder(At(root)));
    found_.class_names = names.folders;
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(found_.class_names),
                                        has_train ? "folder train" : "the data set's folder"));
    DISTILLERY_RETURN_IF_ERROR(ListClasses(root, names, &found_.train));
    std::string test;
    if (has_train) {
      DISTILLERY_ASSIGN_OR_RETURN(test, TestFolder());
      if (!test.empty()) {
        DISTILLERY_ASSIGN_OR_RETURN(const FolderNames others, ListFolder(At(test)));
        DISTILLERY_RETURN_IF_ERROR(ListClasses(test, others, &found_.test));
      }
      AddOthers(test);
    }
    return absl::OkStatus();
  }

  // The classes of a split, or of the whole where `split` is "".
  absl::Status ListClasses(const std::string& split, const FolderNames& names,
                           std::vector<ClassFile>* files) {
    const std::string within = split.empty() ? "" : split + "/";
    for (const std::string& file : names.files) {
      if (!within.empty() || file != "dataset.json") left_out_.AddFile(within + file);
    }
    for (const std::string& name : names.folders) {
      const auto& known = found_.class_names;
      const auto place = std::lower_bound(known.begin(), known.end(), name);
      if (place == known.end() || *place != name) {
        return absl::InvalidArgumentError(absl::StrCat("folder ", within, PlainText(name), ": ",
                                                       UnknownName("class", name, known)));
      }
      const auto label = static_cast<int32_t>(place - known.begin());
      DISTILLERY_RETURN_IF_ERROR(ListClass(within + name, label, files));
    }
    return absl::OkStatus();
  }

  absl::Status ListClass(const std::string& path, int32_t label, std::vector<ClassFile>* files) {
    const size_t before = files->size();
    DISTILLERY_RETURN_IF_ERROR(ListFiles(path, label, 0, files));
    if (files->size() > before) return absl::OkStatus();
    const std::vector<LeftOut> others = LeftOutBeside(At(path), {});
    return absl::InvalidArgumentError(
        absl::StrCat("folder ", PlainText(path), " holds no ", kind_.noun, " (", kind_.endings, ")",
                     others.empty() ? "" : ", but ", others.empty() ? "" : JoinLeftOut(others)));
  }

  absl::Status ListFiles(const std::string& path, int32_t label, int depth,
                         std::vector<ClassFile>* files) {
    if (depth > kMostDeep) {
      return absl::ResourceExhaustedError(absl::StrCat("folder ", PlainText(path), " is more than ",
                                                       kMostDeep, " folders below its class"));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const FolderNames names, ListFolder(At(path)));
    for (const std::string& file : names.files) {
      std::string name = absl::StrCat(path, "/", file);
      if (kind_.has_ending(file)) {
        files->push_back({std::move(name), label});
      } else {
        left_out_.AddFile(name);
      }
    }
    for (const std::string& name : names.folders) {
      if (IsLink(At(absl::StrCat(path, "/", name)))) {
        left_out_.AddFolder(absl::StrCat(path, "/", name),
                            ": links to folders within a class are not followed");
        continue;
      }
      DISTILLERY_RETURN_IF_ERROR(ListFiles(absl::StrCat(path, "/", name), label, depth + 1, files));
    }
    return absl::OkStatus();
  }

  // What lies beside the splits.
  void AddOthers(const std::string& test) {
    const absl::StatusOr<FolderNames> names = ListFolder(folder_);
    if (!names.ok()) return;
    for (const std::string& file : names->files) {
      if (file != "dataset.json") left_out_.AddFile(file);
    }
    for (const std::string& name : names->folders) {
      if (name == "train" || name == test) continue;
      const bool validation = absl::StartsWith(name, "val") || name == "dev";
      left_out_.AddFolder(name, validation ? ": the split validation is drawn from train" : "");
    }
  }

  absl::Status ReadLabels() {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string text,
                                ReadTextFile(At(kLabelsFile), kMaxLabelsBytes));
    DISTILLERY_ASSIGN_OR_RETURN(const LabelledFiles labelled, ParseLabelledFiles(text));
    if (labelled.has_splits == (test_fraction_ > 0)) {
      return absl::InvalidArgumentError(
          labelled.has_splits
              ? absl::StrCat(kLabelsFile, " has a column split, and dataset.json test_fraction: ",
                             "take one of them away")
              : absl::StrCat(kLabelsFile, " has no column split; add one of train and test, or ",
                             kFractionHint));
    }
    const std::string test = NameOfTest(labelled);
    LabelTexts labels(AnswerKind::kClasses, "label");
    for (const LabelledFile& file : labelled.files) {
      DISTILLERY_RETURN_IF_ERROR(CheckRow(file, labelled.has_splits));
      if (InTrain(file)) DISTILLERY_RETURN_IF_ERROR(labels.Add(file.label, PlaceOf(file)));
    }
    DISTILLERY_RETURN_IF_ERROR(Annotate(labels.Finish(), kLabelsFile));
    found_.class_names = labels.names();
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(found_.class_names), kLabelsFile));
    std::set<std::string> listed{kLabelsFile, "dataset.json"};
    int64_t others = 0;
    for (const LabelledFile& file : labelled.files) {
      listed.insert(file.path);
      if (!InTrain(file) && file.split != test) {
        ++others;
        continue;
      }
      DISTILLERY_ASSIGN_OR_RETURN(const int32_t label, labels.Class(file.label, PlaceOf(file)));
      (InTrain(file) ? found_.train : found_.test).push_back({file.path, label});
    }
    if (others > 0) {
      found_.left_out.push_back(
          {absl::StrCat(others, others == 1 ? " line" : " lines", " of ", kLabelsFile,
                        " of a split other than train and test: validation is drawn from train"),
           others});
    }
    for (const auto* const split : {&found_.train, &found_.test}) {
      if (split->empty() && (split == &found_.train || labelled.has_splits)) {
        return absl::InvalidArgumentError(absl::StrCat(kLabelsFile, " has no line of the split ",
                                                       split == &found_.train ? "train" : "test"));
      }
    }
    return AddUnlisted("", 0, listed);
  }

  static CellPlace PlaceOf(const LabelledFile& file) { return {kLabelsFile, file.line, "label"}; }
  static bool InTrain(const LabelledFile& file) {
    return file.split.empty() || file.split == "train";
  }
  // "test", or what takes its place.
  static std::string NameOfTest(const LabelledFiles& labelled) {
    std::string name = "test";
    for (const LabelledFile& file : labelled.files) {
      if (file.split == "test") return "test";
      if (IsValidation(file.split)) name = file.split;
    }
    return name;
  }

  absl::Status CheckRow(const LabelledFile& file, bool has_splits) const {
    const std::string place = absl::StrCat(kLabelsFile, ":", file.line, ": ");
    if (has_splits && file.split != "train" && file.split != "test" && !IsValidation(file.split)) {
      return absl::InvalidArgumentError(absl::StrCat(place, "split \"", Printable(file.split),
                                                     "\" must be train, test or validation"));
    }
    if (kind_.has_ending(file.path)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(place, "file \"", Printable(file.path),
                                                   "\" must be one of ", kind_.noun, ", ",
                                                   kind_.endings));
  }

  // Files in the folder that labels.csv does not name.
  absl::Status AddUnlisted(const std::string& path, int depth,
                           const std::set<std::string>& listed) {
    if (depth > kMostDeep) return absl::OkStatus();
    DISTILLERY_ASSIGN_OR_RETURN(const FolderNames names, ListFolder(At(path)));
    const std::string within = path.empty() ? "" : path + "/";
    for (const std::string& file : names.files) {
      if (listed.count(within + file) == 0) left_out_.AddFile(within + file);
    }
    for (const std::string& name : names.folders) {
      if (IsLink(At(within + name))) continue;
      DISTILLERY_RETURN_IF_ERROR(AddUnlisted(within + name, depth + 1, listed));
    }
    return absl::OkStatus();
  }

  // Moves a part of each class from train to test, the rest keeping its order.
  void DrawTest() {
    std::vector<std::vector<size_t>> of_class(found_.class_names.size());
    for (size_t i = 0; i < found_.train.size(); ++i) {
      of_class[static_cast<size_t>(found_.train[i].label)].push_back(i);
    }
    std::vector<bool> drawn(found_.train.size(), false);
    for (size_t label = 0; label < of_class.size(); ++label) {
      const auto size = static_cast<int64_t>(of_class[label].size());
      if (size < 2) continue;
      const auto wanted =
          static_cast<int64_t>(std::floor(test_fraction_ * static_cast<double>(size) + 0.5));
      const int64_t count = std::clamp<int64_t>(wanted, 1, size - 1);
      const std::vector<int64_t> order =
          Permutation(size, RandomStream(kSplitSeed, "test-fraction", label));
      for (int64_t i = 0; i < count; ++i) {
        drawn[of_class[label][static_cast<size_t>(order[static_cast<size_t>(i)])]] = true;
      }
    }
    std::vector<ClassFile> train;
    for (size_t i = 0; i < found_.train.size(); ++i) {
      (drawn[i] ? found_.test : train).push_back(std::move(found_.train[i]));
    }
    found_.train = std::move(train);
  }

  const std::string& folder_;
  const SampleFileKind& kind_;
  const double test_fraction_;
  LeftOutFiles left_out_;
  ClassFiles found_;
};

// The kind of the first file by name in the folder or, if it has none, in those below it; classes
// are folders at depth 1.
int KindOfFirst(const std::string& folder, const std::vector<SampleFileKind>& kinds, int depth) {
  const absl::StatusOr<FolderNames> names = ListFolder(folder);
  if (!names.ok() || depth > kMostDeep) return -1;
  for (const std::string& file : names->files) {
    for (size_t k = 0; k < kinds.size(); ++k) {
      if (kinds[k].has_ending(file)) return static_cast<int>(k);
    }
  }
  for (const std::string& name : names->folders) {
    if (depth > 0 && IsLink(absl::StrCat(folder, "/", name))) continue;
    const int kind = KindOfFirst(absl::StrCat(folder, "/", name), kinds, depth + 1);
    if (kind >= 0) return kind;
  }
  return -1;
}

// The kind of the first file that labels.csv lists.
int KindOfLabelled(const std::string& path, const std::vector<SampleFileKind>& kinds) {
  constexpr int64_t kStartBytes = 65536;
  const absl::StatusOr<InputFile> file = InputFile::Open(path);
  if (!file.ok()) return 0;  // whose reader says why
  std::string start(static_cast<size_t>(std::min(file->size(), kStartBytes)), '\0');
  if (!file->ReadAt(0, static_cast<int64_t>(start.size()), start.data()).ok()) return 0;
  if (file->size() > kStartBytes) start.resize(start.rfind('\n') + 1);
  const absl::StatusOr<LabelledFiles> labelled = ParseLabelledFiles(start);
  if (!labelled.ok() || labelled->files.empty()) return 0;
  for (size_t k = 0; k < kinds.size(); ++k) {
    if (kinds[k].has_ending(labelled->files[0].path)) return static_cast<int>(k);
  }
  return 0;
}

}  // namespace

absl::StatusOr<ClassFiles> FindClassFiles(const std::string& folder, const SampleFileKind& kind,
                                          double test_fraction) {
  return ClassFileFinder(folder, kind, test_fraction).Find();
}

int FindSampleFileKind(const std::string& folder, const std::vector<SampleFileKind>& kinds) {
  const std::string labels = absl::StrCat(folder, "/", kLabelsFile);
  if (NameIsTaken(labels)) return KindOfLabelled(labels, kinds);
  const std::string train = folder + "/train";
  if (IsFolder(train)) return std::max(0, KindOfFirst(train, kinds, 0));
  // Folders of classes, which a folder of data sets looks like too: dataset.json tells them apart.
  const absl::StatusOr<std::string> options =
      ReadTextFile(absl::StrCat(folder, "/dataset.json"), 65536);
  if (!options.ok() || !absl::StrContains(*options, "\"test_fraction\"")) return -1;
  return std::max(0, KindOfFirst(folder, kinds, 0));
}

}  // namespace distillery
