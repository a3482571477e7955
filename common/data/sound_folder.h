// Data sets of recordings by class: FOLDER/train/CLASS/*.wav and FOLDER/test/CLASS/*.wav, or
// another layout of class_files.h, with any of kSoundEndings.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/class_files.h"
#include "common/data/samples.h"
#include "common/data/sound_file.h"
#include "common/data/sound_samples.h"

namespace distillery {

// What class_files.h needs to know of them.
inline constexpr SampleFileKind kSoundFiles{"recordings", kSoundEndings, &HasSoundExtension};

// One float32 input: "audio" [1, length], each sample the number of 16 bits over 32768; or
// "log_mel" [1, bands, frames] of log_mel.h. dataset.json must say the length; see SoundOptions.
//   INVALID_ARGUMENT     as FindClassFiles, ParseSoundOptions and LogMel::Create; a recording of
//                        another rate than the first, if dataset.json says none
//   RESOURCE_EXHAUSTED   more than kMaxStoredBytes of samples: known before any is decoded
//   the first file's     files that cannot be read as sound, as in image_folder.h
//   UNAVAILABLE          another reason of the system
absl::StatusOr<StoredSamples> ReadSoundFolder(const std::string& name, const std::string& folder);

// How recordings become samples of the data set in `folder`, for one that is not among them. Errors
// as above, but for those of files that this does not read.
absl::StatusOr<SoundSamples> ReadSoundSamples(const std::string& folder);

}  // namespace distillery
