// Any bytes as the tensors of encoded soft targets: what a student takes from a stream.
#include <cmath>

#include "common/soft_targets/decode.h"
#include "tests/fuzz/fuzz_main.h"

namespace distillery {
namespace {

void TestOneInput(absl::string_view bytes) {
  constexpr int64_t kClasses = 5;
  SoftTargetFormat format;
  format.encoding = static_cast<Encoding>(TakeByte(&bytes) % kEncodingCount);
  format.top_k = format.encoding == Encoding::kTopK ? 1 + TakeByte(&bytes) % kClasses : 0;
  const int64_t rows = TakeByte(&bytes) % 8;
  const EncodedSizes sizes = format.SizesOf(rows, kClasses);
  EncodedView view;
  // Cut to the right sizes most of the time, else whatever is left.
  const auto take = [&](int64_t size) {
    const absl::string_view part = bytes.substr(0, static_cast<size_t>(size));
    bytes.remove_prefix(part.size());
    return part;
  };
  view.values = take(sizes.values);
  view.row_scales = take(sizes.row_scales);
  view.class_indexes = take(sizes.class_indexes);
  view.tail_mass = take(sizes.tail_mass);
  SoftTargetRows decoded;
  (void)AppendDecoded(view, rows, kClasses, format, &decoded);
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET(distillery::TestOneInput)
