#include "common/data/mask_folder.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/files.h"
#include "common/base/on_all_cores.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/data/archived_samples.h"
#include "common/data/bad_files.h"
#include "common/data/class_names.h"
#include "common/data/data_options.h"
#include "common/data/image_folder.h"
#include "common/data/left_out.h"
#include "common/data/png_file.h"
#include "common/data/record_list.h"

namespace distillery {
namespace {

constexpr uint8_t kNoClass = 255;
// Pairs that are decoded before they are stored.
constexpr size_t kBlockPairs = 64;

// Within the data set's folder.
struct MaskedPicture {
  std::string picture;
  std::string mask;
};

class MaskFolderReader {
 public:
  MaskFolderReader(const std::string& name, const std::string& folder)
      : folder_(folder), bad_(folder, "image") {
    samples_.name = name;
  }

  absl::StatusOr<StoredSamples> Read() {
    DISTILLERY_RETURN_IF_ERROR(ReadOptions());
    const char* const test = IsFolder(absl::StrCat(folder_, "/test")) ? "test" : "val";
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<MaskedPicture> train, FindPairs("train"));
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<MaskedPicture> tested, FindPairs(test));
    DISTILLERY_RETURN_IF_ERROR(Plan(train, train.size() + tested.size()));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(train, &samples_.train));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(tested, &samples_.test));
    if (!options_.skip_corrupt) {
      DISTILLERY_RETURN_IF_ERROR(bad_.Check(train.size() + tested.size()));
    }
    if (samples_.class_names.empty()) samples_.class_names = NumberedClassNames(largest_ + 1);
    for (LeftOut& other : bad_.LeftOutFiles()) samples_.left_out.push_back(std::move(other));
    AddLeftOut(test);
    return std::move(samples_);
  }

 private:
  std::string At(const std::string& name) const { return absl::StrCat(folder_, "/", name); }

  absl::Status ReadOptions() {
    if (NameIsTaken(At("classes.txt"))) {
      DISTILLERY_ASSIGN_OR_RETURN(samples_.class_names, ReadClassNames(At("classes.txt")));
    }
    const absl::StatusOr<std::string> text = ReadOptionsText(folder_);
    if (!text.ok()) return WithoutFolder(text.status(), folder_, kOptionsFile);
    DISTILLERY_ASSIGN_OR_RETURN(options_, ParseImageFolderOptions(*text));
    if (options_.test_fraction > 0) {
      return absl::InvalidArgumentError(
          "dataset.json: \"test_fraction\" is for files by class; leave it out, and give a folder "
          "test with images and masks");
    }
    if (options_.crop) {
      return absl::InvalidArgumentError(
          "dataset.json: \"resize\": \"crop\" is not for pictures with masks; leave it out");
    }
    return absl::OkStatus();
  }

  // The pictures of a split with their masks, by name.
  absl::StatusOr<std::vector<MaskedPicture>> FindPairs(const std::string& split) {
    const std::string images = absl::StrCat(split, "/images");
    const std::string masks = absl::StrCat(split, "/masks");
    const absl::StatusOr<FolderNames> names = ListFolder(At(images));
    if (!names.ok()) return WithoutFolder(names.status(), folder_, images);
    known_.insert({split, images, masks});
    std::vector<MaskedPicture> pairs;
    for (const std::string& file : names->files) {
      if (!HasImageExtension(file)) continue;
      const std::string mask = absl::StrCat(file.substr(0, file.rfind('.')), ".png");
      MaskedPicture pair{absl::StrCat(images, "/", file), absl::StrCat(masks, "/", mask)};
      if (!NameIsTaken(At(pair.mask))) {
        return absl::InvalidArgumentError(absl::StrCat(PlainText(pair.picture), " has no mask ",
                                                       PlainText(pair.mask), "; add it"));
      }
      if (!known_.insert(pair.mask).second) {
        return absl::InvalidArgumentError(absl::StrCat(
            "the mask ", PlainText(pair.mask), " is that of two pictures, one of them ",
            PlainText(pair.picture), "; give them names of their own"));
      }
      known_.insert(pair.picture);
      pairs.push_back(std::move(pair));
    }
    if (!pairs.empty()) return pairs;
    return absl::InvalidArgumentError(
        absl::StrCat("folder ", images, " holds no pictures (", kImageEndings, ")"));
  }

  absl::StatusOr<std::string> Bytes(const std::string& path) const {
    return ReadFile(At(path), kMaxImageFileBytes);
  }

  absl::StatusOr<MemberForm> FormOf(const std::string& picture) const {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, Bytes(picture));
    return PictureForm(bytes, PlainText(picture), options_);
  }

  // All samples are like the first one that can be read.
  absl::Status Plan(const std::vector<MaskedPicture>& train, size_t count) {
    absl::StatusOr<MemberForm> form = absl::CancelledError("");
    for (const MaskedPicture& pair : train) {
      form = FormOf(pair.picture);
      if (form.ok()) break;
      DISTILLERY_RETURN_IF_ERROR(bad_.Take(form.status(), pair.picture));
      if (!options_.skip_corrupt) return bad_.Check(count);
    }
    if (!form.ok()) return bad_.Check(count);
    form_ = *std::move(form);
    samples_.spec.inputs = {form_.input};
    samples_.spec.answer.positions = {form_.input.shape[1], form_.input.shape[2]};
    DISTILLERY_RETURN_IF_ERROR(CheckSampleSpec(samples_.spec));
    const auto planned = static_cast<int64_t>(count);
    if (planned > kMaxStoredBytes / samples_.record_bytes()) {
      return absl::ResourceExhaustedError(absl::StrCat(
          planned, " pictures with masks of ", samples_.record_bytes(), " bytes are more than ",
          kMaxStoredBytes, " bytes; say a smaller \"height\" and \"width\" in dataset.json"));
    }
    return absl::OkStatus();
  }

  // Safe for all threads.
  absl::StatusOr<std::vector<uint8_t>> ReadRecord(const MaskedPicture& pair) const {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string picture, Bytes(pair.picture));
    const std::string name = PlainText(pair.picture);
    DISTILLERY_ASSIGN_OR_RETURN(const ImageShape shape,
                                ReadImageShape(picture, options_.channels, name));
    std::vector<uint8_t> record(static_cast<size_t>(samples_.record_bytes()));
    DISTILLERY_RETURN_IF_ERROR(form_.decode(picture, name, record.data()));
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, Bytes(pair.mask));
    const std::string mask_name = PlainText(pair.mask);
    DISTILLERY_ASSIGN_OR_RETURN(const Image mask, DecodePngValues(bytes, mask_name));
    if (mask.shape.height != shape.height || mask.shape.width != shape.width) {
      return absl::InvalidArgumentError(absl::StrCat(mask_name, " is ", mask.shape.height, " x ",
                                                     mask.shape.width, ", its picture is ",
                                                     shape.height, " x ", shape.width));
    }
    const int64_t height = form_.input.shape[1];
    const int64_t width = form_.input.shape[2];
    uint8_t* output = record.data() + form_.input.bytes();
    for (int64_t y = 0; y < height; ++y) {
      // The old pixel in which the middle of the new one lies.
      const int64_t from_y = (2 * y + 1) * shape.height / (2 * height);
      for (int64_t x = 0; x < width; ++x) {
        const int64_t from_x = (2 * x + 1) * shape.width / (2 * width);
        const uint8_t value = mask.pixels[static_cast<size_t>(from_y * shape.width + from_x)];
        const int32_t label = value == kNoClass ? kNoLabel : value;
        std::memcpy(output, &label, sizeof label);
        output += sizeof label;
      }
    }
    return record;
  }

  // INVALID_ARGUMENT for a class that is none. Notes the largest one.
  absl::Status CheckClasses(const std::vector<uint8_t>& record, const std::string& mask) {
    const auto first = static_cast<size_t>(form_.input.bytes());
    for (size_t at = first; at < record.size(); at += sizeof(int32_t)) {
      int32_t label = 0;
      std::memcpy(&label, &record[at], sizeof label);
      largest_ = std::max<int64_t>(largest_, label);
      if (samples_.class_names.empty() ||
          label < static_cast<int64_t>(samples_.class_names.size())) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat(PlainText(mask), " has the value ", label, ", classes.txt has ",
                       samples_.class_names.size(), " classes; 255 stands for no class"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadSplit(const std::vector<MaskedPicture>& pairs, IndexList* members) {
    RecordList records(&samples_, kMaxStoredBytes);
    for (size_t first = 0; first < pairs.size(); first += kBlockPairs) {
      const size_t count = std::min(kBlockPairs, pairs.size() - first);
      std::vector<absl::StatusOr<std::vector<uint8_t>>> block(count, absl::CancelledError(""));
      OnAllCores(count, [&](size_t i) { block[i] = ReadRecord(pairs[first + i]); });
      for (size_t i = 0; i < count; ++i) {
        const MaskedPicture& pair = pairs[first + i];
        absl::Status status = block[i].status();
        if (status.ok()) status = CheckClasses(*block[i], pair.mask);
        if (!status.ok()) {
          DISTILLERY_RETURN_IF_ERROR(bad_.Take(status, pair.picture));
          continue;
        }
        if (!bad_.empty() && !options_.skip_corrupt) continue;
        members->push_back(samples_.size());
        DISTILLERY_ASSIGN_OR_RETURN(uint8_t* const record, records.Add(/*label=*/0));
        std::copy(block[i]->begin(), block[i]->end(), record);
      }
    }
    return absl::OkStatus();
  }

  // What lies beside pictures and masks.
  void AddLeftOut(const std::string& test) {
    LeftOutFiles others(folder_);
    others.AddBeside("", known_);
    for (const std::string& split : {std::string("train"), test}) {
      for (const char* const within : {"", "/images", "/masks"}) {
        others.AddBeside(absl::StrCat(split, within), known_);
      }
    }
    for (LeftOut& other : std::move(others).Finish()) {
      samples_.left_out.push_back(std::move(other));
    }
  }

  const std::string folder_;
  ImageFolderOptions options_;
  MemberForm form_;
  int64_t largest_ = 1;
  // Files and folders that are read, within the data set's folder.
  std::set<std::string> known_ = {kOptionsFile, "classes.txt"};
  BadFiles bad_;
  StoredSamples samples_;
};

}  // namespace

bool HoldsMasks(const std::string& folder) {
  return IsFolder(folder + "/train/images") && IsFolder(folder + "/train/masks");
}

absl::StatusOr<StoredSamples> ReadMaskFolder(const std::string& name, const std::string& folder) {
  absl::StatusOr<StoredSamples> samples = MaskFolderReader(name, folder).Read();
  if (!samples.ok()) return Annotate(samples.status(), name);
  return samples;
}

}  // namespace distillery
