#include "common/data/tar_folder.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/input_file.h"
#include "common/base/json_fields.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/data/archived_samples.h"
#include "common/data/class_names.h"
#include "common/data/data_options.h"
#include "common/data/image_file.h"
#include "common/data/image_folder.h"
#include "common/data/left_out.h"
#include "common/data/tar.h"

namespace distillery {
namespace {

constexpr int64_t kMaxLabelBytes = 65536;

bool IsArchive(absl::string_view name) {
  return absl::EndsWith(name, ".tar") || absl::EndsWith(name, ".tar.gz") ||
         absl::EndsWith(name, ".tgz");
}

// The archives of a split, within the folder, sorted.
std::vector<std::string> ArchivesOf(const std::string& folder, const std::string& split) {
  std::vector<std::string> names;
  if (const auto beside = ListFolder(folder); beside.ok()) {
    for (const std::string& file : beside->files) {
      if (absl::StartsWith(file, split) && IsArchive(file)) names.push_back(file);
    }
  }
  if (const auto within = ListFolder(absl::StrCat(folder, "/", split));
      within.ok() && within->folders.empty()) {
    for (const std::string& file : within->files) {
      if (IsArchive(file)) names.push_back(absl::StrCat(split, "/", file));
    }
  }
  return names;
}

// Where a sample's label stands.
enum class LabelPlace { kCls, kJson, kFolder };
constexpr const char* LabelPlaceText(LabelPlace place) {
  if (place == LabelPlace::kCls) return "a member cls";
  return place == LabelPlace::kJson ? "\"cls\" or \"label\" of a member json" : "its folder";
}

struct TarEntry {
  MemberPlace place;
  // The member's name, in the text of all names.
  uint64_t name_at = 0;
  uint32_t name_bytes = 0;
  // Number of the label's text.
  int32_t label = 0;
};

struct TarSplit {
  std::vector<InputFile> archives;
  std::vector<std::string> archive_names;
  std::vector<TarEntry> entries;
  std::string names;

  absl::string_view NameOf(const TarEntry& entry) const {
    return absl::string_view(names).substr(entry.name_at, entry.name_bytes);
  }
};

// Up to the first dot after the last slash.
absl::string_view TarKeyOf(absl::string_view name) {
  const size_t slash = name.rfind('/');
  return name.substr(0, name.find('.', slash == absl::string_view::npos ? 0 : slash));
}

// The members of one key as they come.
struct TarGroup {
  std::string key;
  // The member that is the input.
  std::string input;
  bool is_array = false;
  MemberPlace place;
  std::optional<std::string> cls;
  std::optional<std::string> json;
};

class TarFolderReader {
 public:
  TarFolderReader(const std::string& name, const std::string& folder) : folder_(folder) {
    samples_.name = name;
  }

  absl::StatusOr<StoredSamples> Read() {
    DISTILLERY_RETURN_IF_ERROR(ReadOptions());
    TarSplit train;
    TarSplit test;
    DISTILLERY_RETURN_IF_ERROR(ReadSplit("train", &train));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit("test", &test));
    DISTILLERY_RETURN_IF_ERROR(NameClasses(train, test));
    DISTILLERY_RETURN_IF_ERROR(Sort(&train));
    DISTILLERY_RETURN_IF_ERROR(Sort(&test));
    DISTILLERY_ASSIGN_OR_RETURN(const MemberForm form, FormOf(train));
    samples_.spec.inputs = {form.input};
    DISTILLERY_RETURN_IF_ERROR(CheckSampleSpec(samples_.spec));
    samples_.train = IndexList::Range(0, static_cast<int64_t>(train.entries.size()));
    samples_.test = IndexList::Range(samples_.train.size(), test.entries.size());
    Store(std::move(train), form);
    Store(std::move(test), form);
    AddLeftOut();
    samples_.sources.folder = folder_;
    return std::move(samples_);
  }

 private:
  absl::Status ReadOptions() {
    for (const char* const name : {kOptionsFile, "classes.txt"}) {
      const std::string path = absl::StrCat(folder_, "/", name);
      if (!NameIsTaken(path)) continue;
      DISTILLERY_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(path));
      samples_.sources.files.push_back(file.stamp());
      read_.insert(name);
      if (absl::string_view(name) == "classes.txt") {
        DISTILLERY_ASSIGN_OR_RETURN(given_names_, ReadClassNames(path));
        continue;
      }
      DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadOptionsText(folder_));
      DISTILLERY_ASSIGN_OR_RETURN(options_, ParseImageFolderOptions(text));
    }
    if (options_.skip_corrupt) {
      return absl::InvalidArgumentError(
          "dataset.json: \"skip_corrupt\" is for folders of images: members of archives are "
          "decoded "
          "when they are read; leave it out, and pack the archives without damaged pictures");
    }
    if (options_.test_fraction == 0) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "dataset.json: \"test_fraction\" is for folders of files; leave it out, and give some of "
        "the "
        "archives names such as test-000000.tar");
  }

  // Of the first sample, which is that of all.
  absl::StatusOr<MemberForm> FormOf(const TarSplit& train) const {
    const MemberPlace& first = train.entries.front().place;
    const std::string name = MemberName(PlainText(train.archive_names[first.archive]), first);
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                ReadMember(train.archives[first.archive], first));
    return *is_array_ ? ArrayForm(bytes, name) : PictureForm(bytes, name, options_);
  }

  absl::Status ReadSplit(const std::string& name, TarSplit* split) {
    split->archive_names = ArchivesOf(folder_, name);
    if (split->archive_names.empty() && name == "test") {
      split->archive_names = ArchivesOf(folder_, "val");
    }
    if (split->archive_names.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("there are no archives ", name, "*.tar or ", name, "/*.tar",
                       name == "test" ? ", nor val*.tar or val/*.tar" : ""));
    }
    for (size_t i = 0; i < split->archive_names.size(); ++i) {
      const std::string& archive = split->archive_names[i];
      DISTILLERY_ASSIGN_OR_RETURN(InputFile file,
                                  InputFile::Open(absl::StrCat(folder_, "/", archive)));
      FileStamp stamp = file.stamp();
      stamp.name = archive;
      samples_.sources.files.push_back(std::move(stamp));
      read_.insert(archive);
      split->archives.push_back(std::move(file));
      DISTILLERY_RETURN_IF_ERROR(ReadArchive(static_cast<uint32_t>(i), split));
    }
    return absl::OkStatus();
  }

  absl::Status ReadArchive(uint32_t number, TarSplit* split) {
    const InputFile& file = split->archives[number];
    const std::string archive = PlainText(split->archive_names[number]);
    const size_t before = split->entries.size();
    TarReader reader(file, archive);
    std::optional<TarGroup> group;
    while (true) {
      DISTILLERY_ASSIGN_OR_RETURN(const std::optional<TarMember> member, reader.Next());
      if (!member.has_value()) break;
      if (member->is_folder) continue;
      if (!member->is_file) {
        Count("members that are no plain files", archive, member->name);
        continue;
      }
      const absl::string_view key = TarKeyOf(member->name);
      if (key.empty() || absl::EndsWith(key, "/")) {
        Count("members whose names start with a dot", archive, member->name);
        continue;
      }
      if (group.has_value() && group->key != key) {
        DISTILLERY_RETURN_IF_ERROR(Finish(archive, *group, split));
        group.reset();
      }
      if (!group.has_value()) group = TarGroup{std::string(key), "", false, {}, {}, {}};
      DISTILLERY_RETURN_IF_ERROR(Take(file, archive, number, *member, &*group));
      Report(archive, reader.offset(), file.size());
    }
    if (group.has_value()) DISTILLERY_RETURN_IF_ERROR(Finish(archive, *group, split));
    if (split->entries.size() > before) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(archive, " holds no samples"));
  }

  absl::Status Take(const InputFile& file, const std::string& archive, uint32_t number,
                    const TarMember& member, TarGroup* group) {
    const std::string ending = absl::AsciiStrToLower(
        member.name.substr(std::min(group->key.size() + 1, member.name.size())));
    const std::string name = absl::StrCat(archive, ": ", PlainText(member.name));
    const bool is_array = ending == "npy" || absl::EndsWith(ending, ".npy");
    const bool is_picture =
        HasImageExtension(absl::StrCat(".", ending)) && !absl::StrContains(ending, '.');
    if (is_picture || is_array) {
      if (!group->input.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(
            archive, ": the sample ", PlainText(group->key), " has two pictures or arrays, ",
            PlainText(group->input), " and ", PlainText(member.name), "; leave one of them out"));
      }
      if (member.bytes > kMaxImageFileBytes) {
        return absl::ResourceExhaustedError(
            absl::StrCat(name, " has ", member.bytes, " bytes, the limit is ", kMaxImageFileBytes));
      }
      group->input = member.name;
      group->is_array = is_array;
      group->place = {member.offset, static_cast<uint32_t>(member.bytes), number};
      return absl::OkStatus();
    }
    if (ending != "cls" && ending != "json") {
      Count(absl::StrCat("members .", PlainText(ending)), archive, member.name);
      return absl::OkStatus();
    }
    std::optional<std::string>* const text = ending == "cls" ? &group->cls : &group->json;
    if (text->has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(name, " is there twice; leave one out"));
    }
    if (member.bytes > kMaxLabelBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(name, " has ", member.bytes, " bytes, the limit is ", kMaxLabelBytes));
    }
    text->emplace(static_cast<size_t>(member.bytes), '\0');
    return file.ReadAt(member.offset, member.bytes, (*text)->data());
  }

  // The label's text and where it stands.
  absl::StatusOr<std::pair<std::string, LabelPlace>> LabelOf(const std::string& place,
                                                             const TarGroup& group) const {
    if (group.cls.has_value()) {
      return std::pair{std::string(absl::StripAsciiWhitespace(*group.cls)), LabelPlace::kCls};
    }
    if (group.json.has_value()) {
      const absl::StatusOr<Json> json = ParseJsonObject(*group.json, /*most_depth=*/1);
      if (!json.ok()) return Annotate(json.status(), absl::StrCat(place, ".json"));
      for (const char* const key : {"cls", "label"}) {
        const auto found = json->find(key);
        if (found == json->end()) continue;
        if (found->is_string()) return std::pair{found->get<std::string>(), LabelPlace::kJson};
        if (found->is_number_integer()) {
          return std::pair{absl::StrCat(found->get<int64_t>()), LabelPlace::kJson};
        }
        return absl::InvalidArgumentError(absl::StrCat(
            place, ".json: \"", key, "\" must be a whole number or the name of a class"));
      }
    }
    const size_t end = group.key.rfind('/');
    if (end == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          place,
          " has no label: no member cls, no \"cls\" or \"label\" in a member json, and no "
          "folder in its name"));
    }
    const size_t start = end == 0 ? std::string::npos : group.key.rfind('/', end - 1);
    const size_t first = start == std::string::npos ? 0 : start + 1;
    return std::pair{group.key.substr(first, end - first), LabelPlace::kFolder};
  }

  absl::Status Finish(const std::string& archive, const TarGroup& group, TarSplit* split) {
    const std::string place = absl::StrCat(archive, ": the sample ", PlainText(group.key));
    if (group.input.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, " has no picture (", kImageEndings, ") and no array (.npy)"));
    }
    if (!is_array_.has_value()) is_array_ = group.is_array;
    if (*is_array_ != group.is_array) {
      return absl::InvalidArgumentError(
          absl::StrCat(place,
                       group.is_array ? " is an array, those before it are pictures"
                                      : " is a picture, those before it are arrays",
                       "; keep them in two data sets"));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const auto label, LabelOf(place, group));
    if (!label_place_.has_value()) label_place_ = label.second;
    if (*label_place_ != label.second) {
      return absl::InvalidArgumentError(absl::StrCat(
          place, " has its label from ", LabelPlaceText(label.second), ", those before it from ",
          LabelPlaceText(*label_place_), "; give all samples labels of one kind"));
    }
    const auto found = labels_.try_emplace(label.first, static_cast<int32_t>(labels_.size())).first;
    if (static_cast<int64_t>(labels_.size()) > kMaxClasses) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, ": more than ", kMaxClasses, " unlike labels"));
    }
    count_ += 1;
    if (count_ > kMaxSamples) {
      return absl::ResourceExhaustedError(
          absl::StrCat(place, ": more than ", kMaxSamples, " samples"));
    }
    split->entries.push_back({group.place, split->names.size(),
                              static_cast<uint32_t>(group.input.size()), found->second});
    split->names += group.input;
    return absl::OkStatus();
  }

  // Sets the names of classes, and for each label's text its class.
  absl::Status NameClasses(const TarSplit& train, const TarSplit& test) {
    std::vector<bool> in_train(labels_.size());
    for (const TarEntry& entry : train.entries) in_train[entry.label] = true;
    bool numbers = *label_place_ != LabelPlace::kFolder;
    int64_t most = 0;
    for (const auto& [text, id] : labels_) {
      int64_t number = 0;
      numbers = numbers && absl::SimpleAtoi(text, &number);
      most = std::max(most, number);
    }
    std::vector<std::string>& names = samples_.class_names;
    names = given_names_;
    if (names.empty() && numbers && most < kMaxClasses) names = NumberedClassNames(most + 1);
    if (names.empty() && !numbers) {
      for (const auto& [text, id] : labels_) {  // sorted as bytes
        if (in_train[id]) names.push_back(text);
      }
    }
    class_of_.resize(labels_.size());
    for (const auto& [text, id] : labels_) {
      if (numbers) {
        int64_t number = -1;
        const bool parsed = absl::SimpleAtoi(text, &number);
        if (!parsed || number < 0 || number >= static_cast<int64_t>(names.size())) {
          return absl::InvalidArgumentError(absl::StrCat(
              PlaceOf(id, train, test), ": the label ", PlainText(text),
              " is none of the classes 0 to ", names.empty() ? kMaxClasses - 1 : names.size() - 1));
        }
        class_of_[id] = static_cast<int32_t>(number);
        continue;
      }
      const auto found = std::find(names.begin(), names.end(), text);
      if (found == names.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat(PlaceOf(id, train, test), ": ", UnknownName("class", text, names)));
      }
      class_of_[id] = static_cast<int32_t>(found - names.begin());
    }
    return CheckClassNames(names);
  }

  // A sample with the label, for messages.
  static std::string PlaceOf(int32_t label, const TarSplit& train, const TarSplit& test) {
    for (const TarSplit* const split : {&train, &test}) {
      for (const TarEntry& entry : split->entries) {
        if (entry.label != label) continue;
        return absl::StrCat(PlainText(split->archive_names[entry.place.archive]), ": ",
                            PlainText(split->NameOf(entry)));
      }
    }
    return "";
  }

  // Class by class, by the pictures' names.
  absl::Status Sort(TarSplit* split) const {
    std::vector<TarEntry>& entries = split->entries;
    // A key's names follow one another, since a dot comes after it.
    std::sort(entries.begin(), entries.end(), [&](const TarEntry& a, const TarEntry& b) {
      return std::pair{split->NameOf(a), a.place.archive} <
             std::pair{split->NameOf(b), b.place.archive};
    });
    for (size_t i = 1; i < entries.size(); ++i) {
      const absl::string_view key = TarKeyOf(split->NameOf(entries[i]));
      if (key != TarKeyOf(split->NameOf(entries[i - 1]))) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "two samples have the key ", PlainText(key), ", in ",
          PlainText(split->archive_names[entries[i - 1].place.archive]), " and ",
          PlainText(split->archive_names[entries[i].place.archive]),
          "; the members of a sample must follow one another, and each needs a key of its own"));
    }
    std::stable_sort(entries.begin(), entries.end(), [&](const TarEntry& a, const TarEntry& b) {
      return class_of_[a.label] < class_of_[b.label];
    });
    return absl::OkStatus();
  }

  void Store(TarSplit split, const MemberForm& form) {
    std::vector<MemberPlace> places;
    places.reserve(split.entries.size());
    for (const TarEntry& entry : split.entries) {
      samples_.labels.push_back(class_of_[entry.label]);
      places.push_back(entry.place);
    }
    samples_.files.push_back(std::make_shared<ArchivedSamples>(
        std::move(split.archives), std::move(split.archive_names), std::move(places), form));
  }

  void Count(const std::string& what, const std::string& archive, const std::string& member) {
    constexpr size_t kMostKinds = 100;
    const bool many = left_out_.size() >= kMostKinds && left_out_.count(what) == 0;
    auto& [count, example] = left_out_[many ? "other members" : what];
    if (++count == 1) example = absl::StrCat(archive, ": ", PlainText(member));
  }

  void AddLeftOut() {
    for (const auto& [what, group] : left_out_) {
      samples_.left_out.push_back(
          {absl::StrCat(group.first, " ", what, " such as ", group.second), group.first});
    }
    LeftOutFiles others(folder_);
    read_.insert({"train", "test", "val"});
    for (const char* const within : {"", "train", "test", "val"}) others.AddBeside(within, read_);
    for (LeftOut& other : std::move(others).Finish()) samples_.left_out.push_back(std::move(other));
  }

  // Tells the log how far it is, if it takes long.
  void Report(const std::string& archive, int64_t offset, int64_t bytes) {
    const absl::Duration now = Clock::Real()->SteadyNow();
    if (now - reported_ < absl::Seconds(2)) return;
    reported_ = now;
    LogInfo("data set {}: looking at {}, {} of {} bytes, {} samples so far", samples_.name, archive,
            offset, bytes, count_);
  }

  const std::string folder_;
  ImageFolderOptions options_;
  std::vector<std::string> given_names_;
  std::optional<LabelPlace> label_place_;
  // Else a picture.
  std::optional<bool> is_array_;
  // The texts of labels, each with its number.
  std::map<std::string, int32_t> labels_;
  // By the number.
  std::vector<int32_t> class_of_;
  int64_t count_ = 0;
  std::set<std::string> read_;
  // How many, and one of them, by what they are.
  std::map<std::string, std::pair<int64_t, std::string>> left_out_;
  absl::Duration reported_ = Clock::Real()->SteadyNow();
  StoredSamples samples_;
};

}  // namespace

bool HoldsTar(const std::string& folder) {
  const auto classes = ListFolder(folder + "/train");
  const bool by_class = classes.ok() && !classes->folders.empty();
  return !by_class && !ArchivesOf(folder, "train").empty();
}

absl::StatusOr<StoredSamples> ReadTarFolder(const std::string& name, const std::string& folder) {
  absl::StatusOr<StoredSamples> samples = TarFolderReader(name, folder).Read();
  if (!samples.ok()) return Annotate(samples.status(), name);
  return samples;
}

}  // namespace distillery
