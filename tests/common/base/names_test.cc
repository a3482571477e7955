#include "common/base/names.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kKnown = {"constant", "cosine", "one_cycle"};

TEST(NearestName, FindsASlipOfTheFingers) {
  EXPECT_EQ(NearestName("cosin", kKnown), "cosine");
  EXPECT_EQ(NearestName("onecycle", kKnown), "one_cycle");
  EXPECT_EQ(NearestName("constnat", kKnown), "constant");
}

TEST(NearestName, FindsNothingFarAway) {
  EXPECT_EQ(NearestName("warmup", kKnown), "");
  EXPECT_EQ(NearestName("cosine", {}), "");
  EXPECT_EQ(NearestName(std::string(1 << 20, 'c'), kKnown), "");
}

TEST(UnknownName, AsksOrLists) {
  EXPECT_EQ(UnknownName("schedule", "cosin", kKnown),
            "unknown schedule \"cosin\"; did you mean \"cosine\"?");
  EXPECT_EQ(UnknownName("schedule", "warmup", kKnown),
            "unknown schedule \"warmup\"; known: constant, cosine, one_cycle");
}

TEST(UnknownName, MakesStrangeBytesHarmless) {
  const std::string message =
      UnknownName("key", std::string("\n\x1B[31m") + std::string(999, 'a'), kKnown);
  EXPECT_THAT(message, AllOf(Not(HasSubstr("\n")), Not(HasSubstr("\x1B"))));
  EXPECT_LT(message.size(), 300);
}

TEST(CheckName, TakesWhatIsSafeAsAFileName) {
  for (const std::string name : {"a", "run-1", "A_b.c", "0", "a..b"}) {
    EXPECT_THAT(CheckName("id", name, 8), IsOk()) << name;
  }
  EXPECT_THAT(CheckName("id", "12345678", 8), IsOk());
}

TEST(CheckName, RefusesTheRestNamingTheField) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".a"), std::string("a/b"),
        std::string("a b"), std::string("\xC3\xA9"), std::string("a\0", 2), std::string("a\n"),
        std::string("123456789"), std::string(1 << 20, 'a')}) {
    const absl::Status status = CheckName("run_id", name, 8);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("run_id")));
    EXPECT_LT(status.message().size(), 300);
  }
}

TEST(RandomHex, HasTheAskedSizeAndDiffersEachTime) {
  const std::string first = RandomHex(16);
  EXPECT_EQ(first.size(), 16);
  EXPECT_EQ(first.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(RandomHex(16), first);
}

}  // namespace
}  // namespace distillery
