// What FOLDER/dataset.json may say of arrays, tables, texts and sound; image_folder.h has what it
// says of folders of images.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/log_mel.h"
#include "common/data/sample_spec.h"

namespace distillery {

inline constexpr char kOptionsFile[] = "dataset.json";

// The text of that file in the folder, or "{}" if there is none. Errors of ReadTextFile.
absl::StatusOr<std::string> ReadOptionsText(const std::string& folder);
// The most tokens of a text.
inline constexpr int64_t kMaxLength = 65536;

struct ArrayOptions {
  // How many tokens there are; nothing: as many as the largest says.
  std::optional<int64_t> vocabulary;
};

struct TableOptions {
  // The column of the labels; "": "label", or the last one.
  std::string label;
  // "classes" or "values"; nothing: as the labels look.
  std::optional<AnswerKind> answer;
  // Columns whose numbers are names.
  std::vector<std::string> categorical;
};

struct TextOptions {
  // Tokens of a sample.
  int64_t length = 128;
  std::optional<AnswerKind> answer;
};

struct SoundOptions {
  // Samples per second of all recordings; 0: as the first one has it.
  int64_t rate = 0;
  // Samples of each, which must be said.
  int64_t length = 0;
  // A longer recording loses what lies at both ends, and a shorter one gets zeros there: "centre".
  // Else ("start") both happen at the end.
  bool centre = false;
  // Samples are spectrograms: "log_mel"; else ("raw") the sound itself.
  std::optional<LogMelOptions> log_mel;
  // Leave out files that cannot be read as sound, and list them in `left_out`.
  bool skip_corrupt = false;
  // See class_files.h.
  double test_fraction = 0;
};

// INVALID_ARGUMENT "dataset.json: ..." for text that is no JSON object of these keys, or values
// that cannot be.
absl::StatusOr<ArrayOptions> ParseArrayOptions(const std::string& text);
absl::StatusOr<TableOptions> ParseTableOptions(const std::string& text);
absl::StatusOr<TextOptions> ParseTextOptions(const std::string& text);
absl::StatusOr<SoundOptions> ParseSoundOptions(const std::string& text);

// Of the file in the folder, or the defaults if there is none. Errors of ReadTextFile too.
absl::StatusOr<ArrayOptions> ReadArrayOptions(const std::string& folder);
absl::StatusOr<TableOptions> ReadTableOptions(const std::string& folder);
absl::StatusOr<TextOptions> ReadTextOptions(const std::string& folder);
absl::StatusOr<SoundOptions> ReadSoundOptions(const std::string& folder);

}  // namespace distillery
