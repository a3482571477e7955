#include "coordinator/rpc/run_messages.h"

#include <gtest/gtest.h>

#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

TEST(RunStates, AreThoseOfTheContract) {
  const auto& contract = *v1::RunState_descriptor();
  ASSERT_EQ(contract.value_count(), static_cast<int>(std::size(kRunStates)) + 1);
  for (const auto& [state, name] : kRunStates) {
    EXPECT_EQ(v1::RunState_Name(static_cast<v1::RunState>(state)),
              absl::StrCat("RUN_STATE_", absl::AsciiStrToUpper(name)));
  }
}

}  // namespace
}  // namespace distillery
