// Any bytes as an encoded delta, and as a weights file on its own.
#include "common/weights/broadcast_encoding.h"
#include "common/weights/delta_encoding.h"
#include "common/weights/weights.h"
#include "coordinator/upload/weights_scan.h"
#include "tests/fuzz/fuzz_main.h"

namespace distillery {
namespace {

WeightsLayout SmallLayout() {
  std::vector<TensorSpec> tensors(3);
  tensors[0].name = "bias";
  tensors[0].shape = {3};
  tensors[1].name = "mean";
  tensors[1].shape = {2};
  tensors[2].name = "weight";
  tensors[2].shape = {3, 100};
  return *WeightsLayout::Create(tensors);
}

void TestOneInput(absl::string_view bytes) {
  static const WeightsLayout layout = SmallLayout();
  const auto encoding = static_cast<DeltaEncoding>(TakeByte(&bytes) % 4);
  const auto source = TensorSource::OfBytes(bytes);
  int64_t written = 0;
  const absl::Status status = source.ok()
                                  ? DecodeDelta(*source, layout, {"mean"}, encoding,
                                                [&](absl::string_view piece) {
                                                  written += static_cast<int64_t>(piece.size());
                                                  return absl::OkStatus();
                                                })
                                  : source.status();
  Require(written <= layout.file_size());
  if (status.ok()) Require(written == layout.file_size());
  const auto broadcast = DecodeFloat16(bytes, {"mean"});
  if (broadcast.ok()) Require(broadcast->layout().canonical());
  const auto parsed = WeightsLayout::Parse(bytes);
  if (!parsed.ok()) return;
  (void)CheckFinite(*source);
  const auto weights = Weights::FromFile(std::string(bytes));
  if (weights.ok()) Require(weights->layout().canonical());
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET(distillery::TestOneInput)
