#include "common/model/architecture_plan.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

TEST(ArchitecturePlan, HelpListsEachFamilyOnce) {
  EXPECT_EQ(ArchitectureHelp(), "mlp:IN-HIDDEN-...-OUT, lenet, resnet8 to resnet110 or wrn-D-W");
}

TEST(ArchitecturePlan, AnUnknownNameGetsTheNearestOfAllFamilies) {
  for (const auto& [name, nearest] :
       {std::pair("lenet5", "lenet"), std::pair("wrn-D-V", "wrn-10-1"),
        std::pair("rsenet20", "resnet20")}) {
    EXPECT_THAT(CheckArchitecture(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                                  HasSubstr(std::string(nearest) + "\"?")));
  }
  EXPECT_THAT(CheckArchitecture("mlp:64"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("input and output size")));
  EXPECT_THAT(CheckArchitecture("mlp:64-10,dropout=0.5"), IsOk());
}

}  // namespace
}  // namespace distillery
