#include "cli/experiment/unseen_classes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace distillery {
namespace {

using ::testing::ElementsAre;

TEST(UnseenClassesTest, ErrorsAreCountedOverAllAndOverTheUnseen) {
  // Class 2 was never seen; a bias of 2 finds one of its two samples, and takes one of another.
  SplitLogits logits;
  logits.class_count = 3;
  logits.logits = {5, 0, 4, 9, 0, 1, 0, 3, 2, 8, 0, 0};
  logits.labels = {2, 2, 1, 0};
  BiasedStudent student;
  student.test = {logits};
  const Omission omission{{2}, {2}, "without class 2", "-without-2"};
  const UnseenErrors before = student.At({}, omission);
  EXPECT_THAT(before.all, ElementsAre(2));
  EXPECT_THAT(before.all_rate, ElementsAre(50));
  EXPECT_THAT(before.recall, ElementsAre(0));
  const UnseenErrors after = student.At({2}, omission);
  EXPECT_THAT(after.all, ElementsAre(2));
  EXPECT_THAT(after.unseen, ElementsAre(1));
  EXPECT_THAT(after.unseen_rate, ElementsAre(50));
  EXPECT_THAT(after.recall, ElementsAre(50));
}

}  // namespace
}  // namespace distillery
