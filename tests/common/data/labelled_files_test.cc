#include "common/data/labelled_files.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(LabelledFiles, ColumnsMayStandInAnyOrderBesideOthers) {
  ASSERT_OK_AND_ASSIGN(const LabelledFiles all,
                       ParseLabelledFiles("label,who,file,split\ncat,x, a/1.png ,train\n"
                                          "\"big, dog\",y,b.png,test\n"));
  ASSERT_EQ(all.files.size(), 2U);
  EXPECT_TRUE(all.has_splits);
  EXPECT_EQ(all.files[0].path, "a/1.png");
  EXPECT_EQ(all.files[0].label, "cat");
  EXPECT_EQ(all.files[0].split, "train");
  EXPECT_EQ(all.files[1].label, "big, dog");
  EXPECT_EQ(all.files[1].line, 3);
  ASSERT_OK_AND_ASSIGN(const LabelledFiles two, ParseLabelledFiles("file,label\na,1\n"));
  EXPECT_FALSE(two.has_splits);
}

TEST(LabelledFiles, LinesThatCannotBeAreNamed) {
  for (const auto& [text, message] : {
           std::pair("", "labels.csv:1: the file is empty"),
           std::pair("name,label\n", "labels.csv:1: the header must have the columns file and"),
           std::pair("file,label\na,1\n,2\n", "labels.csv:3: column file is empty"),
           std::pair("file,label\na,\n", "labels.csv:2: column label is empty"),
           std::pair("file,label\na,1,2\n", "labels.csv:2: 3 cells, the header has 2"),
           std::pair("file,label\na,1\na,2\n", "labels.csv:3: file \"a\" is there twice"),
           std::pair("file,label\n/etc/x,1\n", "must be a path within"),
           std::pair("file,label\n../x,1\n", "without \"//\", \".\" and \"..\""),
           std::pair("file,label\na/../../x,1\n", "without \"//\""),
           std::pair("file,label\na//x,1\n", "without \"//\""),
           std::pair("file,label\n./x,1\n", "without \"//\""),
       }) {
    EXPECT_THAT(ParseLabelledFiles(text), StatusIs(kInvalid, HasSubstr(message))) << text;
  }
}

}  // namespace
}  // namespace distillery
