// Tests compute with one LibTorch thread, as the programs do by default: their numbers are then the
// same wherever they run, and no idle thread spins beside them.
#include <gtest/gtest.h>

#include "common/nn/numerics.h"

namespace distillery {
namespace {

class OneThread : public ::testing::Environment {
 public:
  void SetUp() override { ConfigureTorch(/*compute_threads=*/1); }
};

const ::testing::Environment* const kRegistered =
    ::testing::AddGlobalTestEnvironment(new OneThread);

}  // namespace
}  // namespace distillery
