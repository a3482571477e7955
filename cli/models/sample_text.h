// A sample as people read it: one way for each form of input, in one table.
//
//   features: alcohol = 13.2, malic acid = 1.78, ... and 3 more      a row of a table
//   tokens: "What a piece of work is man"                            a text
//   inputs: 1 x 16000 numbers, -0.31 to 0.29, mean 0.0012            a series
//
// No text of a sample can move a terminal's cursor: what is no letter is escaped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cli/models/sample.h"
#include "common/data/image.h"
#include "nlohmann/json_fwd.hpp"

namespace distillery {

enum class InputForm {
  // Pixels.
  kPicture,
  // Tokens [length] that are bytes: see byte_tokens.h.
  kText,
  // Other tokens.
  kTokens,
  // Float numbers [n], each with a meaning of its own.
  kTable,
  // Other float numbers.
  kSeries,
  // Whole numbers and bytes, such as a mask.
  kNumbers,
};
InputForm FormOf(const InputSpec& input);
// "picture", "text", "tokens", "table", "series", "numbers".
absl::string_view NameOf(InputForm form);

// How much of a sample is shown; the rest is counted.
struct SampleTextLimits {
  size_t features = 64;
  size_t tokens = 64;
  // Bytes of a text.
  size_t text = 400;
};

// The bytes that tokens stand for, with `\n` for a line end; what fills the end is left out.
std::string TextOfTokens(const std::vector<int64_t>& tokens, size_t most_bytes);
// "a", "<0x0A>", "<pad>" of a text; else the number.
std::string NameOfToken(const InputSpec& input, int64_t token);

// One line for each input. Of a table `row` starts each feature on a line of its own.
std::string DescribeInputs(const Sample& sample, bool feature_lines,
                           const SampleTextLimits& limits = {});
// Its hard label in one line: "cat"; "sunny, wet"; "price = 3.2"; of positions how many have which
// class, the most frequent first, or for tokens the text that they make. "" without one.
std::string DescribeLabel(const Sample& sample, const SampleTextLimits& limits = {});

// For pages and scripts: {"name", "form", "shape"} of an input and what it holds: "text", "tokens",
// "features" [{"name", "value"}], or "low", "high", "mean" of a series. With `all` every number
// stands in "values" too.
nlohmann::ordered_json InputToJson(const Sample& sample, size_t input, bool all);

// The picture of a sample as bytes, 255 for 1: the first input of `height` x `width`, or with 0 of
// any size; nothing if there is none.
std::optional<Image> PictureOf(const Sample& sample, int64_t height = 0, int64_t width = 0);

// What stands at position `at` of [length] positions: the token of the first input as long; "" if
// there is none.
std::string TokenAt(const Sample& sample, int64_t at);
// Positions of [length] that hold something: up to the last token that is not filling, or whose
// mask is 1. All of them for other samples.
int64_t FilledLength(const Sample& sample);

// 0.125 -> "0.125", 12345.678 -> "12345.7"
std::string NumberText(double number);

}  // namespace distillery
