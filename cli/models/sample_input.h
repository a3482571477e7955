// Samples that are in no data set: image files, recordings, texts, rows of tables, JSON.
//
// What the samples are made of is known: it is what a model takes. Each function gives a Sample of
// that spec, without labels.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/models/sample.h"

namespace distillery {

// A PNG, JPEG or PGM file, resized to the spec's picture if it has another size, and inverted (dark
// on light to light on dark) if asked for. DATA_LOSS if it is corrupt, naming the file;
// INVALID_ARGUMENT if the model takes no picture.
absl::StatusOr<Sample> ReadImageSample(const std::string& path, const SampleSpec& spec,
                                       bool invert);

// A recording, made into a sample as those of the data set in `folder` are (sound_folder.h): its
// dataset.json says rate, length and features. INVALID_ARGUMENT without a folder, and if the model
// takes something else; errors of ReadSoundSamples and of DecodeSound.
absl::StatusOr<Sample> ReadSoundSample(const std::string& path, const SampleSpec& spec,
                                       const std::string& folder);

// A text as bytes, each one token; a longer one is cut to the model's length, and the name says so.
// INVALID_ARGUMENT if the model takes no tokens of kByteVocabulary, and for an empty text.
absl::StatusOr<Sample> MakeTextSample(absl::string_view text, const SampleSpec& spec);

// One row: a JSON object with a list of numbers for each input by its name ("text" stands for
// tokens and mask of a text), or else the numbers of a model's one input, set apart by commas.
// INVALID_ARGUMENT names what does not fit.
absl::StatusOr<Sample> MakeRowSample(absl::string_view row, const SampleSpec& spec);

// A file of several, by the ending of its name: .csv with a header and the features in the order of
// the model's; .jsonl or .json with a row's JSON object on each line; .txt with a text on each
// line. `table_folder` is that of the data set whose train.csv says what the columns of a table
// are; "": each column is one feature, a number. INVALID_ARGUMENT names file and line.
absl::StatusOr<std::vector<Sample>> ReadSampleFile(const std::string& path, const SampleSpec& spec,
                                                   const std::string& table_folder);
// Whether a file of this name is read by ReadSampleFile.
bool IsSampleFile(absl::string_view path);

}  // namespace distillery
