// The lists that make their elements when asked for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/data/index_list.h"
#include "common/data/label_list.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LabelList, KeepsLabelsOfOneByteAndOfTwo) {
  LabelList labels = {0, 7, 255};
  EXPECT_THAT(labels, ElementsAre(0, 7, 255));
  labels.push_back(256);
  labels.push_back(LabelList::kMax);
  EXPECT_THAT(labels, ElementsAre(0, 7, 255, 256, 65535));
  EXPECT_EQ(labels[4], 65535);
  labels.Truncate(2);
  EXPECT_THAT(labels, ElementsAre(0, 7));
  EXPECT_TRUE(labels == (LabelList{0, 7}));
  EXPECT_FALSE(labels == (LabelList{0, 8}));
  EXPECT_THAT(LabelList(), IsEmpty());
}

TEST(IndexList, IsARangeUntilItIsNot) {
  IndexList list = IndexList::Range(5, 3);
  EXPECT_THAT(list, ElementsAre(5, 6, 7));
  list.push_back(8);
  EXPECT_THAT(list, ElementsAre(5, 6, 7, 8));
  list.push_back(2);
  list.push_back(3);
  EXPECT_THAT(list, ElementsAre(5, 6, 7, 8, 2, 3));
  EXPECT_THAT((IndexList{3, 1}), ElementsAre(3, 1));
  EXPECT_THAT(IndexList(), IsEmpty());
}

}  // namespace
}  // namespace distillery
