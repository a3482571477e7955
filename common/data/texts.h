// Samples of texts: with a label for each text, or plain text for language models.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/data_options.h"
#include "common/data/samples.h"
#include "common/data/text_rows.h"

namespace distillery {

// Inputs "tokens", int64 [length] below kByteVocabulary, and "mask", uint8 [length], 1 where there
// is a token. A longer text is cut, which `left_out` counts. Labels as in label_texts.h; `file` of
// each split is named in messages. INVALID_ARGUMENT for an empty text and labels that are no
// answer, with the line; RESOURCE_EXHAUSTED for more than max_bytes of records.
struct TextSplit {
  std::string file;
  std::vector<TextRow> rows;
};
absl::StatusOr<StoredSamples> ReadTexts(const TextSplit& train, const TextSplit& test,
                                        const TextOptions& options, int64_t max_bytes);

// Windows of `length` tokens of train.txt and test.txt, one after the other; the label of a
// position is the next token, in the next window for the last one. After the text's end there is
// padding, and no label. INVALID_ARGUMENT for a text of less than 2 bytes; RESOURCE_EXHAUSTED as
// ReadTexts.
absl::StatusOr<StoredSamples> ReadLanguage(absl::string_view train, absl::string_view test,
                                           int64_t length, int64_t max_bytes);

}  // namespace distillery
