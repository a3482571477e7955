#include "teacher_service/model_flags.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

TEST(ModelFlags, AFileAloneIsNamedByItself) {
  ASSERT_OK_AND_ASSIGN(const ModelFlag flag, ParseModelFlag("runs/demo/teacher.v2.pt", {}));
  EXPECT_EQ(flag.name, "teacher.v2");
  EXPECT_EQ(flag.path, "runs/demo/teacher.v2.pt");
  EXPECT_EQ(flag.device, "cpu");
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
  EXPECT_EQ(flag.device, "cuda:1");
  EXPECT_EQ(flag.precision, "bfloat16");
  EXPECT_EQ(flag.card_path, "c.json");
  EXPECT_EQ(flag.max_batch_rows, 512);
  EXPECT_EQ(flag.batch_rows, 64);
}

TEST(ModelFlags, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(ParseModelFlag("m=t.pt,presision=x", {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you mean \"precision\"?")));
  for (const char* const text : {"", "m=", "m=t.pt,batch_rows=0", "m=t.pt,batch_rows=x",
                                 "m=t.pt,max_batch_rows=65537", "m=t.pt,"}) {
    EXPECT_THAT(ParseModelFlag(text, {}).status(), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace distillery
