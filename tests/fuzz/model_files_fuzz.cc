// Any bytes as a model card, a RunSpec or a safetensors file.
#include "common/model/card.h"
#include "common/run/run_spec.h"
#include "common/weights/weights.h"
#include "tests/fuzz/fuzz_main.h"

namespace distillery {
namespace {

void TestOneInput(absl::string_view bytes) {
  switch (TakeByte(&bytes) % 3) {
    case 0: {
      const auto card = ParseModelCard(std::string(bytes));
      // What was read is written so that it reads the same.
      if (card.ok()) {
        const auto again = ParseModelCard(ModelCardToJson(*card));
        Require(again.ok() && ModelCardToJson(*again) == ModelCardToJson(*card));
      }
      break;
    }
    case 1: {
      const auto spec = ParseRunSpec(std::string(bytes), "fuzz.yaml");
      if (spec.ok()) Require(ParseRunSpec(RunSpecToJson(*spec), "again.yaml").ok());
      break;
    }
    default: {
      const auto weights = Weights::FromFile(std::string(bytes));
      if (weights.ok()) {
        Require(weights->layout().canonical());
        Require(Weights::FromFile(weights->file())->Sha256() == weights->Sha256());
      }
      break;
    }
  }
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET(distillery::TestOneInput)
