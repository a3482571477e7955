// Pictures that a model takes in another size than the data set has them.
//
// One augmented view of a picture is made in the size of the data; a model that takes less gets the
// area resize of that view (image_resize.h), so that a teacher and a student of unlike sizes see
// the same. No picture is grown: a data set has the largest size that a model wants.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"

namespace distillery {

// `data`, each of whose pictures is given the height and width of the input of `taken` in its place
// where that is a picture of as many channels and no larger. All else stays as the data has it: the
// result equals what a model takes if and only if the model can be given this data.
SampleSpec InSizesOf(const std::vector<InputSpec>& taken, SampleSpec data);

// What a message about a model that does not fit adds if its picture is larger than that of the
// data: both sizes and a way out. "": none is.
std::string DescribeGrowth(const std::vector<InputSpec>& taken, const SampleSpec& data);

// `data` with all its pictures `height` x `width`. INVALID_ARGUMENT, naming both sizes, if one of
// them would grow, and if there is no picture.
absl::StatusOr<SampleSpec> Shrunk(SampleSpec data, int64_t height, int64_t width);

}  // namespace distillery
