#include "common/data/sound_folder.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/on_all_cores.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/data/bad_files.h"
#include "common/data/data_options.h"
#include "common/data/record_list.h"
#include "common/data/sound_samples.h"

namespace distillery {
namespace {

// Recordings that are decoded before they are stored.
constexpr size_t kBlockFiles = 64;

class SoundFolderReader {
 public:
  SoundFolderReader(const std::string& name, const std::string& folder)
      : folder_(folder), bad_(folder, "sound") {
    samples_.name = name;
  }

  // Learns how recordings become samples; returns their files.
  absl::StatusOr<ClassFiles> Prepare() {
    absl::StatusOr<SoundOptions> options = ReadSoundOptions(folder_);
    if (!options.ok()) return WithoutFolder(options.status(), folder_, kOptionsFile);
    options_ = *options;
    DISTILLERY_ASSIGN_OR_RETURN(ClassFiles found,
                                FindClassFiles(folder_, kSoundFiles, options_.test_fraction));
    if (options_.rate == 0) DISTILLERY_RETURN_IF_ERROR(FindRate(found.train));
    // There is none that can be read.
    if (options_.rate == 0) return bad_.Check(found.train.size() + found.test.size());
    absl::StatusOr<SoundSamples> reader = SoundSamples::Create(options_);
    if (!reader.ok()) return Annotate(reader.status(), kOptionsFile);
    reader_ = *std::move(reader);
    return found;
  }
  // REQUIRES: Prepare went well.
  const SoundSamples& reader() const { return *reader_; }

  absl::StatusOr<StoredSamples> Read() {
    DISTILLERY_ASSIGN_OR_RETURN(ClassFiles found, Prepare());
    samples_.class_names = std::move(found.class_names);
    const size_t files = found.train.size() + found.test.size();
    DISTILLERY_RETURN_IF_ERROR(Plan(static_cast<int64_t>(files)));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(found.train, &samples_.train));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(found.test, &samples_.test));
    if (!options_.skip_corrupt) DISTILLERY_RETURN_IF_ERROR(bad_.Check(files));
    const std::vector<std::string> without = ClassesWithoutTraining(samples_);
    if (!without.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("class ", without.front(), " of train has damaged recordings only"));
    }
    samples_.left_out = bad_.LeftOutFiles();
    std::move(found.left_out.begin(), found.left_out.end(), std::back_inserter(samples_.left_out));
    return std::move(samples_);
  }

 private:
  absl::StatusOr<std::string> Bytes(const std::string& path) const {
    return ReadFile(absl::StrCat(folder_, "/", path), kMaxSoundFileBytes);
  }

  // The rate of the first recording of train that can be read.
  absl::Status FindRate(const std::vector<ClassFile>& train) {
    for (const ClassFile& file : train) {
      const absl::StatusOr<std::string> bytes = Bytes(file.path);
      if (!bytes.ok()) {
        DISTILLERY_RETURN_IF_ERROR(bad_.Take(bytes.status(), file.path));
        continue;
      }
      const absl::StatusOr<Sound> sound = DecodeSound(*bytes, PlainText(file.path), 0);
      if (!sound.ok()) {
        DISTILLERY_RETURN_IF_ERROR(bad_.Take(sound.status(), file.path));
        continue;
      }
      options_.rate = sound->rate;
      rate_of_ = file.path;
      return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  absl::Status Plan(int64_t files) {
    samples_.spec.inputs = {reader_->input()};
    DISTILLERY_RETURN_IF_ERROR(CheckSampleSpec(samples_.spec));
    if (files > kMaxStoredBytes / samples_.record_bytes()) {
      return absl::ResourceExhaustedError(
          absl::StrCat(files, " recordings of ", samples_.record_bytes(), " bytes are more than ",
                       kMaxStoredBytes, " bytes; say a smaller \"length\" in dataset.json"));
    }
    samples_.records.reserve(static_cast<size_t>(files * samples_.record_bytes()));
    return absl::OkStatus();
  }

  // Safe for all threads.
  absl::StatusOr<std::vector<float>> ReadSample(const std::string& path) const {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, Bytes(path));
    const std::string name = PlainText(path);
    DISTILLERY_ASSIGN_OR_RETURN(const Sound sound, reader_->Decode(bytes, name));
    if (!rate_of_.empty() && sound.rate != options_.rate) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, " is at ", sound.rate, " Hz, the first recording ", PlainText(rate_of_), " at ",
          options_.rate, "; to bring all to one rate, say {\"rate\": ", options_.rate,
          "} in dataset.json"));
    }
    std::vector<float> numbers(static_cast<size_t>(reader_->input().elements()));
    reader_->Write(sound, numbers.data());
    return numbers;
  }

  absl::Status ReadSplit(const std::vector<ClassFile>& files, IndexList* members) {
    RecordList records(&samples_, kMaxStoredBytes);
    for (size_t first = 0; first < files.size(); first += kBlockFiles) {
      const size_t count = std::min(kBlockFiles, files.size() - first);
      std::vector<absl::StatusOr<std::vector<float>>> block(count, absl::CancelledError(""));
      OnAllCores(count, [&](size_t i) { block[i] = ReadSample(files[first + i].path); });
      for (size_t i = 0; i < count; ++i) {
        const ClassFile& file = files[first + i];
        if (!block[i].ok()) {
          DISTILLERY_RETURN_IF_ERROR(bad_.Take(block[i].status(), file.path));
          continue;
        }
        // With a bad file that is not to be skipped the rest is only looked at.
        if (!bad_.empty() && !options_.skip_corrupt) continue;
        members->push_back(samples_.size());
        DISTILLERY_ASSIGN_OR_RETURN(uint8_t* const record, records.Add(file.label));
        std::memcpy(record, block[i]->data(), block[i]->size() * sizeof(float));
      }
    }
    return absl::OkStatus();
  }

  const std::string folder_;
  SoundOptions options_;
  // The file whose rate all must have; "" if dataset.json says one.
  std::string rate_of_;
  std::optional<SoundSamples> reader_;
  BadFiles bad_;
  StoredSamples samples_;
};

}  // namespace

absl::StatusOr<StoredSamples> ReadSoundFolder(const std::string& name, const std::string& folder) {
  absl::StatusOr<StoredSamples> samples = SoundFolderReader(name, folder).Read();
  if (!samples.ok()) return Annotate(samples.status(), name);
  return samples;
}

absl::StatusOr<SoundSamples> ReadSoundSamples(const std::string& folder) {
  SoundFolderReader reader("", folder);
  DISTILLERY_RETURN_IF_ERROR(Annotate(reader.Prepare().status(), folder));
  return reader.reader();
}

}  // namespace distillery
