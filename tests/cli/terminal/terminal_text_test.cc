#include "cli/terminal/terminal_text.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/str_join.h"
#include "cli/terminal/text_table.h"
#include "common/base/text.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;

TEST(TerminalText, WidthIsOfCharactersNotOfBytes) {
  EXPECT_EQ(WidthOf(""), 0);
  EXPECT_EQ(WidthOf("gr\xc3\xbc\xc3\x9f"), 4);
  EXPECT_EQ(Pad("\xc3\xbc", 3, /*right=*/false), "\xc3\xbc  ");
  EXPECT_EQ(Pad("\xc3\xbc", 3, /*right=*/true), "  \xc3\xbc");
}

TEST(TerminalText, Fault56_WhatIsCutOffIsCutBetweenCharacters) {
  EXPECT_EQ(Fit("\xc3\xbc\xc3\xbc\xc3\xbc", 3), "\xc3\xbc\xc3\xbc\xc3\xbc");
  EXPECT_EQ(Fit("\xc3\xbc\xc3\xbc\xc3\xbc", 2), "\xc3\xbc…");
  EXPECT_EQ(Fit("abc", 1), "…");
  EXPECT_EQ(Fit("abc", 0), "");
}

TEST(TerminalText, WrapsBetweenWordsAndLosesNothing) {
  EXPECT_THAT(Wrap("one two three", 8, 9), ElementsAre("one two", "three"));
  EXPECT_THAT(Wrap("one two", 7, 9), ElementsAre("one two"));
  EXPECT_THAT(Wrap("abcdefgh ij", 3, 9), ElementsAre("abc", "def", "gh", "ij"));
  EXPECT_THAT(Wrap("", 3, 9), ElementsAre(""));
  EXPECT_THAT(Wrap("one two three four", 8, 2), ElementsAre("one two", "three f…"));
  const std::string text =
      "the loss is nan at batch 3 (from shard 7 of gr\xc3\xbc\xc3\x9f/train@64)";
  for (size_t width = 1; width < 80; ++width) {
    const std::vector<std::string> lines = Wrap(text, width, 1000);
    for (const std::string& line : lines) {
      EXPECT_LE(WidthOf(line), width);
      EXPECT_TRUE(IsUtf8(line));
    }
    std::string all = absl::StrJoin(lines, "");
    all.erase(std::remove(all.begin(), all.end(), ' '), all.end());
    std::string wanted = text;
    wanted.erase(std::remove(wanted.begin(), wanted.end(), ' '), wanted.end());
    EXPECT_EQ(all, wanted) << width;
  }
}

TEST(FormatTable, Fault56_CellsAreOneLineEachAndColumnsStandStraight) {
  EXPECT_EQ(FormatTable({{"class", "n"}, {"gr\xc3\xbc\xc3\x9f", "1"}, {"a\nb\xff", "22"}}),
            "class      n\ngr\xc3\xbc\xc3\x9f       1\na\\nb\\xff  22\n");
}

}  // namespace
}  // namespace distillery
