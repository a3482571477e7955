#include "common/base/text.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace distillery {
namespace {

const std::vector<std::string>& Bad() {
  static const auto* const bad =
      new std::vector<std::string>{"\xff",              // never in UTF-8
                                   "\x80",              // a middle without a beginning
                                   "\xc3",              // a beginning without a middle
                                   "\xc0\xaf",          // overlong '/'
                                   "\xe0\x80\xaf",      // overlong '/'
                                   "\xf0\x80\x80\xaf",  // overlong '/'
                                   "\xed\xa0\x80",      // a surrogate
                                   "\xf4\x90\x80\x80",  // above the last code point
                                   "\xf8\x88\x80\x80\x80"};
  return *bad;
}

TEST(PlainText, LeavesPlainTextAsItIs) {
  for (const std::string text : {"", "seven.png", "a \"b\" \\ c",
                                 "gr\xc3\xbc\xc3\x9f"
                                 "e",
                                 "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_EQ(PlainText(text), text);
    EXPECT_EQ(WholeUtf8(text), text);
    EXPECT_TRUE(IsUtf8(text));
  }
}

TEST(PlainText, Fault56_BytesThatAreNoUtf8AreWrittenOut) {
  EXPECT_EQ(PlainText("a\xff.png"), "a\\xff.png");
  EXPECT_EQ(PlainText("\xe6\x97.png"), "\\xe6\\x97.png");
  EXPECT_EQ(WholeUtf8("a\xff\nb"), "a\\xff\nb");
  for (const std::string& bad : Bad()) {
    EXPECT_FALSE(IsUtf8(bad));
    for (const std::string& text : {bad, "a" + bad, bad + "a", "a" + bad + "\xc3\xa9"}) {
      EXPECT_TRUE(IsUtf8(PlainText(text))) << PlainText(text);
      EXPECT_TRUE(IsUtf8(WholeUtf8(text))) << WholeUtf8(text);
    }
  }
}

TEST(PlainText, Fault56_WhatMovesTheCursorOrTurnsTheTextIsWrittenOut) {
  EXPECT_EQ(PlainText("one\r\n\ttwo"), "one\\r\\n\\ttwo");
  EXPECT_EQ(PlainText("\x1b[2J\x7f"), "\\x1b[2J\\x7f");
  EXPECT_EQ(PlainText(std::string("a\0b", 3)), "a\\x00b");
  // The sequence introducer as one character, a line separator, a right-to-left override.
  EXPECT_EQ(PlainText("\xc2\x9b"
                      "2J"),
            "\\u009b2J");
  EXPECT_EQ(PlainText("a\xe2\x80\xa8"
                      "b"),
            "a\\u2028b");
  EXPECT_EQ(PlainText("\xe2\x80\xae"
                      "gnp.exe"),
            "\\u202egnp.exe");
}

TEST(CutText, EndsAtACharactersBorderAndSaysThatSomethingIsMissing) {
  EXPECT_EQ(CutText("abcdef", 6), "abcdef");
  EXPECT_EQ(CutText("abcdefg", 6), "abc...");
  // "aé" has three bytes: the cut would go through the second character.
  EXPECT_EQ(CutText("a\xc3\xa9"
                    "cdef",
                    5),
            "a...");
  EXPECT_EQ(CutText("\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 7), "\xf0\x9f\x98\x80...");
  EXPECT_EQ(CutText("\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 6), "...");
  EXPECT_EQ(CutText("abcd", 3), "...");
}

// Whatever the bytes, and wherever they are cut.
TEST(CutText, Fault56_AnyBytesComeOutAsUtf8AndGoThroughASecondDoorUnchanged) {
  std::mt19937 generator(7);
  const std::vector<std::string> pieces = {
      "a",    "\xc3\xa9", "\xe6\x97\xa5", "\xf0\x9f\x98\x80",  "\xff", "\xc3", "\n",
      "\x1b", "\xed\xa0", "\\",           std::string(1, '\0')};
  for (int repeat = 0; repeat < 2000; ++repeat) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += pieces[generator() % pieces.size()];
    const std::string plain = PlainText(text);
    ASSERT_TRUE(IsUtf8(plain));
    ASSERT_EQ(PlainText(plain), plain);
    ASSERT_EQ(plain.find_first_of("\n\x1b"), std::string::npos);
    ASSERT_EQ(WholeUtf8(WholeUtf8(text)), WholeUtf8(text));
    for (size_t most = 3; most <= plain.size() + 1; ++most) {
      const std::string cut = CutText(plain, most);
      ASSERT_LE(cut.size(), most);
      ASSERT_TRUE(IsUtf8(cut)) << cut;
    }
  }
}

}  // namespace
}  // namespace distillery
