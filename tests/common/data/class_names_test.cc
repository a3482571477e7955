#include "common/data/class_names.h"

#include "common/base/files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ReadClassNames, TakesOneNamePerLine) {
  TemporaryFolder folder;
  const std::string path = folder.File("names");
  ASSERT_THAT(WriteFileDurably(path, "cat\r\n great white \n\ndog\n\n\n"), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, ReadClassNames(path));
  EXPECT_THAT(names, ElementsAre("cat", "great white", "", "dog"));
  ASSERT_THAT(WriteFileDurably(path, "\n\n"), IsOk());
  EXPECT_THAT(*ReadClassNames(path), IsEmpty());
  EXPECT_THAT(ReadClassNames(folder.File("none")), StatusIs(absl::StatusCode::kNotFound));
}

TEST(ReadClassNames, TheByteOrderMarkOfAnEditorIsNoPartOfTheFirstName) {
  TemporaryFolder folder;
  const std::string path = folder.File("names");
  ASSERT_THAT(WriteFileDurably(path,
                               "\xEF\xBB\xBF"
                               "cat\ndog\n"),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, ReadClassNames(path));
  EXPECT_THAT(names, ElementsAre("cat", "dog"));
}

TEST(CheckClassNames, TakesNumbersAndUtf8) {
  EXPECT_EQ(NumberedClassNames(3), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_THAT(CheckClassNames(NumberedClassNames(kMaxClasses)), IsOk());
  EXPECT_THAT(CheckClassNames({"K\xC3\xA4tzchen", "\xE7\x8C\xAB", "a \"b\" \\ c"}), IsOk());
}

TEST(CheckClassNames, RefusesTooFewAndTooMany) {
  EXPECT_THAT(CheckClassNames({}), StatusIs(kInvalid, HasSubstr("not 0")));
  EXPECT_THAT(CheckClassNames({"only"}), StatusIs(kInvalid, HasSubstr("not 1")));
  EXPECT_THAT(CheckClassNames(NumberedClassNames(kMaxClasses + 1)), StatusIs(kInvalid));
}

TEST(CheckClassNames, NamesTheClassThatIsWrong) {
  EXPECT_THAT(CheckClassNames({"a", "b", "a"}),
              StatusIs(kInvalid, AllOf(HasSubstr("class 2"), HasSubstr("another class"))));
  EXPECT_THAT(CheckClassNames({"a", ""}), StatusIs(kInvalid, HasSubstr("class 1")));
  EXPECT_THAT(CheckClassNames({"a", std::string(257, 'b')}), StatusIs(kInvalid));
  EXPECT_THAT(CheckClassNames({"a\tb", "c"}), StatusIs(kInvalid, HasSubstr("printable")));
  EXPECT_THAT(CheckClassNames({"a", "K\xE4tzchen"}),
              StatusIs(kInvalid, AllOf(HasSubstr("\\xe4"), HasSubstr("UTF-8"))));
}

}  // namespace
}  // namespace distillery
