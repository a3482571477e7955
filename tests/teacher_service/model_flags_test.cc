#include "teacher_service/model_flags.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ModelFlags, AFileAloneIsNamedByItself) {
  ASSERT_OK_AND_ASSIGN(const ModelFlag flag, ParseModelFlag("runs/demo/teacher.v2.pt", {}));
  EXPECT_EQ(flag.name, "teacher.v2");
  EXPECT_EQ(flag.path, "runs/demo/teacher.v2.pt");
  EXPECT_THAT(flag.devices, ElementsAre("cpu"));
}

TEST(ModelFlags, ReadsEachKey) {
  ModelFlag defaults;
  defaults.batch_rows = 64;
  ASSERT_OK_AND_ASSIGN(
      const ModelFlag flag,
      ParseModelFlag("big=a=b.pt,device=cuda:1,precision=bfloat16,card=c.json,max_batch_rows=512",
                     defaults));
  EXPECT_EQ(flag.name, "big");
  EXPECT_EQ(flag.path, "a=b.pt");
  EXPECT_THAT(flag.devices, ElementsAre("cuda:1"));
  EXPECT_EQ(flag.precision, "bfloat16");
  EXPECT_EQ(flag.card_path, "c.json");
  EXPECT_EQ(flag.max_batch_rows, 512);
  EXPECT_EQ(flag.batch_rows, 64);
}

TEST(ModelFlags, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(
      ParseModelFlag("m=t.pt,presision=x", {}).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you mean \"precision\"?")));
  for (const char* const text :
       {"", "m=", "m=t.pt,batch_rows=0", "m=t.pt,batch_rows=x", "m=t.pt,max_batch_rows=65537",
        "m=t.pt,", "m=t.pt,device=", "m=t.pt,device=cuda+cuda:0", "m=t.pt,device=cuda:0+"}) {
    EXPECT_THAT(ParseModelFlag(text, {}).status(), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(ModelFlags, AModelMayHaveSeveralDevices) {
  ASSERT_OK_AND_ASSIGN(const ModelFlag flag, ParseModelFlag("t.pt,device=cuda:0+cuda:2", {}));
  EXPECT_THAT(flag.devices, ElementsAre("cuda:0", "cuda:2"));
  ASSERT_OK_AND_ASSIGN(const auto devices, ParseDevices("cuda:0,cuda:1", ','));
  EXPECT_THAT(devices, ElementsAre("cuda:0", "cuda:1"));
  EXPECT_THAT(ParseDevices("cuda:1,cuda:1", ',').status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("names cuda:1 twice")));
}

TEST(ModelFlags, EachGpuHasFourSlots) {
  const auto slots = [](const std::vector<std::vector<std::string>>& devices, int cores) {
    std::vector<ModelFlag> models(devices.size());
    for (size_t i = 0; i < devices.size(); ++i) models[i].devices = devices[i];
    return DefaultComputeSlots(models, cores);
  };
  EXPECT_EQ(slots({{"cpu"}}, 8), 8);
  EXPECT_EQ(slots({{"cuda"}}, 8), 4);
  EXPECT_EQ(slots({{"cuda:0", "cuda:1"}}, 1), 8);
  EXPECT_EQ(slots({{"cuda"}, {"cuda:0"}}, 8), 4);  // the same card
  EXPECT_EQ(slots({{"cpu"}, {"cuda"}}, 8), 8);
  EXPECT_EQ(slots({{"cpu"}, {"cuda"}}, 1), 4);
}

}  // namespace
}  // namespace distillery
